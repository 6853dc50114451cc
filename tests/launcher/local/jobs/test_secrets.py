"""The owner's secret is in no file of a job, and in no record of it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("fails", [False, True])
def test_no_file_of_a_job_holds_the_owners_secret(cloud, fails):
    script = "import os\nprint('up', sorted(os.environ))\n" + ("raise ValueError('bad')\n" if fails else "")
    job = cloud.job(script, CheckpointConfig={"S3Uri": "s3://shim-tests/ck/secrets"}).start()
    job.wait()
    identity = cloud.store.identity
    files = [path for path in cloud.home.job(job.name).folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"shim.log", "events.jsonl"}
    for path in [*files, *cloud.home.root.glob("records.sqlite*")]:
        assert identity.secret_key.encode() not in path.read_bytes(), path


def test_a_jobs_own_secret_is_in_no_log_and_no_event_of_it(cloud):
    job = cloud.job("import os\nprint('AWS_SECRET_ACCESS_KEY' in os.environ)\nopen('secret', 'w').write('')\n").start()
    job.wait()
    assert job.lines[0] == "True"
    for path in cloud.home.job(job.name).folder.rglob("*"):
        assert not path.is_file() or b"AWS_SECRET" not in path.read_bytes(), path
