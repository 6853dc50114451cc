"""Jobs as containers of a real engine."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.engine


@pytest.fixture
def container_job(cloud, image):
    def make(script, **fields):
        algorithm = {"TrainingImage": image, **fields.pop("AlgorithmSpecification", {})}
        return cloud.job(script, **{"instance_type": "local", **fields}, AlgorithmSpecification=algorithm)

    return make


def test_A1_the_image_runs_with_train_and_its_results_arrive(cloud, container_job):
    job = container_job(
        "import os, pathlib, sys\n"
        "print('hello', os.environ['TRAINING_JOB_NAME'], os.getuid(), os.environ['HOME'], os.isatty(1))\n"
        "pathlib.Path('/opt/ml/model/weights').write_text('w')\n"
    ).start()
    record = job.wait()
    assert record.failure_reason is None
    assert record.executor == "docker"
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"weights": b"w"}
    assert job.lines[0].startswith(f"hello {job.name} ")
    assert job.lines[0].endswith("False")


def test_doors_and_store_are_reached_through_mounted_sockets(cloud, container_job):
    job = container_job(
        "import os, boto3\n"
        "s3 = boto3.client('s3', endpoint_url=os.environ['AWS_ENDPOINT_URL_S3'])\n"
        "key = 'from-container/' + os.environ['TRAINING_JOB_NAME']\n"
        "s3.put_object(Bucket='shim-tests', Key=key, Body=b'x' * 10_000_000)\n"
    ).start()
    record = job.wait()
    assert record.failure_reason is None, job.lines
    assert len(cloud.store.get(f"from-container/{job.name}")) == 10_000_000
