"""Whole transform jobs: real shims, a real store, a scripted model server in both executors (contract B)."""

from __future__ import annotations

import gzip
import os
import subprocess

import pytest

from launcher.local.executors.confinement import JOB_UID
from launcher.local.executors.process import job_processes
from launcher.local.executors.reap import reap
from launcher.local.transform.counts import Counts

REPORT = b'"report"\n'


def states(b: bytes, count: int) -> bytes:
    return b"".join(b'["%b", %d]\n' % (b, number) for number in range(count))


def seen(job, name="report.jsonl"):
    """What the server said about itself."""
    (report,) = job.output(name)
    return report


def test_B125_B126_B128_B129_B177_what_the_server_sees(serving, executor):
    job = serving.transform(
        {"report.jsonl": REPORT},
        executor,
        environment={"OF": "the model", "SHARED": "the model"},
        Environment={"SHARED": "the job"},
        MaxPayloadInMB=2,
        BatchStrategy="SingleRecord",
    )
    record = job.run()
    assert record.failure_reason is None, job.logs
    report = seen(job)
    assert report["parent"][-1] == "serve"
    assert report["model"] == ["model/code/serve.py", "model/weights"]
    environment = report["environment"]
    assert (environment["OF"], environment["SHARED"]) == ("the model", "the job")
    assert environment["SAGEMAKER_BATCH"] == "true"
    assert environment["SAGEMAKER_MAX_PAYLOAD_IN_MB"] == "2"
    assert environment["SAGEMAKER_BATCH_STRATEGY"] == "SINGLE_RECORD"
    assert "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS" not in environment
    assert environment["AWS_REGION"] == "us-east-1" and environment["AWS_ACCESS_KEY_ID"].startswith("BATCHRLJOB")
    assert "TRAINING_JOB_NAME" not in environment
    container, data_log = sorted(job.logs)
    assert data_log == f"{container}/data-log"
    assert job.logs[container][0] == "serving"
    assert job.logs[container][-1] == "leaves"
    assert job.data_log[0] == "MaxConcurrentTransforms=1, MaxPayloadInMB=2, BatchStrategy=SINGLE_RECORD"
    assert record.started_at <= record.ended_at
    assert not list(job.cloud.home.job(job.key).folder.glob("ml*"))
    if executor == "local":
        assert report["uid"] == (os.getuid() or JOB_UID)
        assert job.containers == []


def test_B127_without_model_data_the_server_starts_with_an_empty_folder(serving, executor):
    """Our own server has nothing to serve then, and says so; the job fails with its words."""
    job = serving.transform({"a.jsonl": b"[1]\n"}, executor, model={"PrimaryContainer": {"ModelDataUrl": None}})
    record = job.run()
    assert record.status == "Failed"
    assert "the model server ended with exit code" in record.failure_reason


def test_B130_a_server_that_never_gets_well_does_not_hang_the_job(serving, executor):
    job = serving.transform({"a.jsonl": b"[1]\n"}, executor, environment={"MODE": "never-well"}).start()
    job.cloud.wait_until(lambda: any("serving" in line for lines in job.logs.values() for line in lines), "it serves")
    assert job.output_keys == []
    job.stop()
    job.cloud.wait_until(lambda: job.record.ended, "it stops")
    assert job.record.status == "Stopped"


def test_B131_B132_B133_the_servers_own_parameters_hold_where_the_request_says_nothing(serving, executor):
    job = serving.transform({"a.jsonl": states(b"a", 4)}, executor, environment={"MODE": "parameters"})
    assert job.run().status == "Completed"
    assert job.data_log[0] == "MaxConcurrentTransforms=2, MaxPayloadInMB=3, BatchStrategy=SINGLE_RECORD"
    container = min(job.logs)
    assert sum(line.count("asked for") for line in job.logs[container]) == 4


def test_B147_B148_B150_B157_B160_B170_the_seeds_call(serving, executor):
    """One output an object, nested keys kept (contract 226), the list beside its prediction."""
    objects = {"states.jsonl": states(b"a", 3), "deep/er/more.jsonl": states(b"b", 2)}
    job = serving.transform(objects, executor, BatchStrategy="SingleRecord", DataProcessing={"JoinSource": "Input"})
    record = job.run()
    assert record.failure_reason is None
    assert job.output_keys == [f"out/{job.name}/deep/er/more.jsonl.out", f"out/{job.name}/states.jsonl.out"]
    assert record.size_bytes == sum(len(job.cloud.store.get(key)) for key in job.output_keys)
    assert job.output("states.jsonl") == [
        {"SageMakerInput": ["a", number], "SageMakerOutput": {"echo": ["a", number]}} for number in range(3)
    ]


def test_B145_B179_instances_share_the_objects_and_never_split_one(serving, executor):
    objects = {f"{letter}.jsonl": states(letter.encode(), 5) for letter in "abcde"}
    job = serving.transform(objects, executor, TransformResources={"InstanceCount": 2})
    assert job.run().failure_reason is None
    assert job.counts == Counts(objects=5, failed=0, records=25, error_records=0)
    assert len(job.output_keys) == 5
    for letter in "abcde":
        assert job.output(f"{letter}.jsonl") == [{"echo": [letter, number]} for number in range(5)]
    containers = [lines for stream, lines in job.logs.items() if not stream.endswith("data-log")]
    assert len(containers) == 2
    assert sorted(sum(line.count("asked for") for line in lines) for lines in containers) == [2, 3]


def test_B151_B152_one_bad_object_fails_the_job_and_the_others_are_there(serving, executor):
    objects = {"a.jsonl": states(b"a", 2), "b.jsonl": states(b"b", 2) + b'"bad"\n', "c.jsonl": states(b"c", 2)}
    job = serving.transform(objects, executor, BatchStrategy="SingleRecord")
    record = job.run()
    assert record.status == "Failed"
    assert [key.rpartition("/")[2] for key in job.output_keys] == ["a.jsonl.out", "c.jsonl.out"]
    assert "ClientError: 1 of 3 objects could not be transformed" in record.failure_reason
    assert job.counts == Counts(objects=2, failed=1, records=4, error_records=0)
    assert "b.jsonl" in record.failure_reason and "line 3" in record.failure_reason
    assert any("b.jsonl: ClientError: 400" in line for line in job.data_log)


def test_results_that_are_stored_are_not_lost_where_their_counts_cannot_be_kept(serving, executor):
    job = serving.transform({"a.jsonl": states(b"a", 2)}, executor)
    job.cloud.home.job(job.key).counts.mkdir(parents=True)  # no file can take its place
    record = job.run()
    assert (record.status, record.failure_reason, len(job.output_keys)) == ("Completed", None, 1)


def test_B153_a_stopped_job_stores_no_output(serving, executor):
    objects = {"a.jsonl": states(b"a", 2), "b.jsonl": b'"wait"\n'}
    job = serving.transform(objects, executor, MaxConcurrentTransforms=2).start()
    job.cloud.wait_until(lambda: len(job.output_keys) == 1, "the first object is there")
    job.stop()
    job.cloud.wait_until(lambda: job.record.ended, "it stops")
    assert (job.record.status, job.output_keys, job.counts) == ("Stopped", [], None)


def test_B173_a_server_that_dies_is_started_again_and_asked_again(serving, executor):
    job = serving.transform({"a.jsonl": states(b"a", 2), "b.jsonl": b'"fatal"\n'}, executor)
    record = job.run()
    assert record.failure_reason is None, job.logs
    assert job.output("b.jsonl") == [{"echo": "fatal"}]
    assert sum(line == "serving" for lines in job.logs.values() for line in lines) == 2


def test_B172_B173_an_object_that_always_kills_the_server_fails_alone(serving, executor):
    objects = {"a.jsonl": states(b"a", 2), "b.jsonl": b'"poison"\n', "c.jsonl": states(b"c", 2)}
    job = serving.transform(objects, executor, ModelClientConfig={"InvocationsMaxRetries": 1})
    record = job.run()
    assert record.status == "Failed"
    assert "b.jsonl" in record.failure_reason
    assert "Unable to get response from algorithm" in record.failure_reason
    assert [key.rpartition("/")[2] for key in job.output_keys] == ["a.jsonl.out", "c.jsonl.out"]


def test_B171_an_invocation_that_takes_too_long_fails_its_object(serving, executor):
    client = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    job = serving.transform({"a.jsonl": b'"wait"\n', "b.jsonl": states(b"b", 1)}, executor, ModelClientConfig=client)
    record = job.run()
    assert record.status == "Failed"
    assert "Unable to get response from algorithm" in record.failure_reason and "a.jsonl" in record.failure_reason
    assert [key.rpartition("/")[2] for key in job.output_keys] == ["b.jsonl.out"]


def test_a_server_that_ends_before_it_is_well_fails_the_job_with_its_last_words(serving, executor):
    record = serving.transform({"a.jsonl": b"[1]\n"}, executor, environment={"MODE": "dies"}).run()
    assert record.status == "Failed"
    assert "the model server ended with exit code 3 before it answered /ping" in record.failure_reason
    assert "no such weights" in record.failure_reason


def test_a_server_that_ignores_SIGTERM_is_killed_and_costs_nothing_else(serving, executor):
    job = serving.transform({"a.jsonl": states(b"a", 1)}, executor, environment={"MODE": "deaf"})
    assert job.run().status == "Completed"
    if executor == "local":
        assert job.containers == []


@pytest.mark.parametrize("executor", ["local_process"], indirect=True)
def test_a_missing_model_or_input_is_named(serving, executor):
    job = serving.transform({"a.jsonl": b"[1]\n"}, executor)
    serving.cloud.store.client.delete_object(Bucket=serving.bucket, Key=f"models/{job.name}/model.tar.gz")
    record = job.run()
    assert record.status == "Failed"
    assert f"models/{job.name}/model.tar.gz does not exist" in record.failure_reason
    record = serving.transform({}, executor).run()
    assert "no S3 objects found under S3 URL" in record.failure_reason


@pytest.mark.parametrize("executor", ["local_process"], indirect=True)
def test_a_model_that_is_no_archive_is_named(serving, executor):
    job = serving.transform({"a.jsonl": b"[1]\n"}, executor)
    serving.cloud.store.put(f"models/{job.name}/model.tar.gz", b"no archive")
    record = job.run()
    assert record.status == "Failed"
    assert record.failure_reason.startswith("ClientError: download of the model's data")


@pytest.mark.parametrize("executor", ["local_process"], indirect=True)
def test_a_job_that_was_stopped_before_it_began_never_starts_a_server(serving, executor):
    job = serving.transform({"a.jsonl": b"[1]\n"}, executor)
    job.stop()
    assert job.run().status == "Stopped"
    assert job.logs == {}


@pytest.mark.parametrize("executor", ["local_process"], indirect=True)
def test_B144_B155_compressed_objects_and_strays_below_the_prefix(serving, executor):
    job = serving.transform(
        {"a.jsonl.gz": gzip.compress(states(b"a", 2))}, executor, TransformInput={"CompressionType": "Gzip"}
    )
    assert job.run().failure_reason is None
    assert job.output("a.jsonl.gz") == [{"echo": ["a", 0]}, {"echo": ["a", 1]}]
    job = serving.transform({"a.jsonl": states(b"a", 1), "model.tar.gz": b"no lines"}, executor)
    record = job.run()
    assert record.status == "Failed" and "model.tar.gz" in record.failure_reason
    assert [key.rpartition("/")[2] for key in job.output_keys] == ["a.jsonl.out"]


@pytest.mark.parametrize("executor", ["local_process"], indirect=True)
def test_a_killed_shim_leaves_no_server_behind(serving, executor):
    job = serving.transform({"a.jsonl": b'"wait"\n'}, executor, TransformResources={"InstanceCount": 1}).start()
    job.wait_for("Transforming")
    job.shim.kill()
    root = job.cloud.home.job(job.key).root(1)
    assert job_processes(root)
    reap(job.cloud.home, job.record)
    assert job_processes(root) == []


@pytest.mark.engine
@pytest.mark.parametrize("executor", ["local"], indirect=True)
def test_B178_an_isolated_server_has_no_way_out_and_no_credentials(serving, executor):
    job = serving.transform({"report.jsonl": REPORT}, executor, model={"EnableNetworkIsolation": True})
    assert job.run().failure_reason is None, job.logs
    report = seen(job)
    assert not [name for name in report["environment"] if name.startswith(("AWS_ACCESS", "AWS_SECRET", "AWS_ENDPOINT"))]
    assert report["environment"]["AWS_REGION"] == "us-east-1"
    command = ["docker", "network", "ls", "-q", "--filter", f"label=org.batchrl.job={job.key}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.engine
@pytest.mark.parametrize("executor", ["local"], indirect=True)
def test_B125_a_foreign_image_gets_serve_as_its_command(serving, executor, other_image_server):
    job = serving.transform(
        {"report.jsonl": REPORT},
        executor,
        files={"weights": "w"},
        model={"PrimaryContainer": {"Image": other_image_server}},
    )
    assert job.run().failure_reason is None, job.logs
    report = seen(job)
    assert report["argv"][-1].endswith("serve") and report["uid"] == 1234
    assert report["model"] == ["model/weights"]
