"""Jobs: the states that they end in, told apart; stopping, deleting, finding."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest
from serving_cloud import FakeSession, refused

from batchrl.contract.errors import InputError, JobFailed, JobStopped, Unreachable
from launcher.jobs.training import Job, list_jobs


class Cloud:
    """SageMaker and Logs of one job, whose state is a function of the time."""

    exceptions = botocore.exceptions

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.state: Callable[[float], tuple[str, str]] = lambda now: ("Completed", "Completed")
        self.failure: str | None = None
        self.broken: Callable[[float], bool] = lambda now: False
        self.lines: list[str] = []
        self.stopped = 0
        self.deleted = 0
        self.stop_error: Exception | None = None
        self.meta = type("Meta", (), {"endpoint_url": "http://127.0.0.1:1"})()

    def _check(self) -> None:
        if self.broken(self.clock.now()):
            raise botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        self._check()
        if TrainingJobName != "job":
            raise refused("ValidationException", "Requested resource not found.")
        status, secondary = self.state(self.clock.now())
        answer = {
            "TrainingJobName": "job",
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
            "SecondaryStatusTransitions": [{"Status": secondary, "StatusMessage": f"message of {secondary}"}],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/prefix"},
            "CheckpointConfig": {"S3Uri": "s3://bucket/ck/"},
        }
        return answer | ({"FailureReason": self.failure} if self.failure else {})

    def stop_training_job(self, TrainingJobName: str) -> None:  # noqa: N803
        if self.stop_error:
            raise self.stop_error
        self.stopped += 1

    def delete_training_job(self, TrainingJobName: str) -> None:  # noqa: N803
        self.deleted += 1

    def describe_log_streams(self, **_: Any) -> dict[str, Any]:
        self._check()
        return {"logStreams": [{"logStreamName": "job/algo-1-1"}] if self.lines else []}

    def get_log_events(self, nextToken: str = "0", **_: Any) -> dict[str, Any]:  # noqa: N803
        self._check()
        start = int(nextToken)
        events = [{"timestamp": n, "message": line} for n, line in enumerate(self.lines[start:], start)]
        return {"events": events, "nextForwardToken": str(len(self.lines))}


class RevivedSession(FakeSession):
    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.revived = 0

    def revive(self) -> None:
        self.revived += 1


@pytest.fixture
def cloud(clock: Any) -> Cloud:
    return Cloud(clock)


@pytest.fixture
def job(cloud: Cloud, clock: Any) -> Job:
    return Job("job", RevivedSession(cloud), clock)


def after(seconds: float, status: str, secondary: str | None = None) -> Callable[[float], tuple[str, str]]:
    return lambda now: (status, secondary or status) if now >= seconds else ("InProgress", "Training")


@pytest.mark.parametrize("logs", [True, False])
def test_a_completed_job_is_waited_for(job: Job, cloud: Cloud, logs: bool, capsys: Any) -> None:
    cloud.state = after(30, "Completed")
    cloud.lines = ["one", "two"]
    assert job.wait(logs=logs).status == "Completed"
    assert capsys.readouterr().out == ("one\ntwo\n" if logs else "")
    assert 30 <= cloud.clock.now() <= 33


@pytest.mark.parametrize("logs", [True, False])
def test_a_failed_job_raises_with_its_reason_the_end_of_its_log_and_its_place(
    job: Job, cloud: Cloud, logs: bool
) -> None:
    cloud.state = after(3, "Failed")
    cloud.failure = "AlgorithmError: ValueError: no, exit code: 1"
    cloud.lines = [f"line {n}" for n in range(50)]
    with pytest.raises(JobFailed) as caught:
        job.wait(logs=logs)
    assert "AlgorithmError: ValueError: no" in caught.value.message
    assert "line 49" in caught.value.message
    assert "line 29" not in caught.value.message
    assert "The whole log:" in str(caught.value.hint)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("secondary", ["Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"])
def test_A90_D214_a_stopped_job_is_neither_completed_nor_failed(job: Job, cloud: Cloud, secondary: str) -> None:
    cloud.state = after(3, "Stopped", secondary)
    with pytest.raises(JobStopped, match=secondary) as caught:
        job.wait()
    assert caught.value.exit_code == 4
    assert job.wait(check=False).status == "Stopped"


def test_A103_an_unknown_state_is_waited_through(job: Job, cloud: Cloud) -> None:
    cloud.state = lambda now: ("Completed", "Completed") if now > 9 else ("Reticulating", "Splines")
    assert job.wait().ended


def test_waiting_survives_a_break_and_says_so(job: Job, cloud: Cloud, capsys: Any) -> None:
    cloud.state = after(20, "Completed")
    cloud.broken = lambda now: 5 < now < 15
    job.wait()
    said = capsys.readouterr().err
    assert said.count("broke") == 1
    assert "connected again" in said
    assert isinstance(job.session, RevivedSession)
    assert job.session.revived > 0


def test_waiting_gives_up_on_a_cloud_that_stays_away(job: Job, cloud: Cloud) -> None:
    cloud.state = after(1e9, "Completed")
    cloud.broken = lambda now: now > 5
    with pytest.raises(Unreachable):
        job.wait()


def test_a_timeout_leaves_the_job_alone(job: Job, cloud: Cloud) -> None:
    cloud.state = after(100, "Completed")
    with pytest.raises(TimeoutError, match="goes on"):
        job.wait(timeout=10)
    assert cloud.stopped == 0
    assert cloud.clock.now() < 15


def test_a_job_that_is_not_there_is_told_by_name(cloud: Cloud) -> None:
    with pytest.raises(InputError, match="no job named 'nope'"):
        Job.attach("nope", RevivedSession(cloud))


def test_a_part_of_a_name_is_no_name(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(job: Job) -> None:
        raise refused("ValidationException", "1 validation error detected: Value 'train-' at 'trainingJobName' failed")

    monkeypatch.setattr(Job, "_ask", ask)
    with pytest.raises(InputError, match="no job named 'train-'"):
        Job.attach("train-", RevivedSession(cloud))


def test_D208_stopping_a_job_that_has_ended_is_no_fault(job: Job, cloud: Cloud) -> None:
    assert job.stop() is True
    cloud.stop_error = refused("ValidationException", "The request was rejected because the job is Completed.")
    assert job.stop() is False


def test_a_stop_that_is_refused_for_another_reason_is_a_fault(job: Job, cloud: Cloud) -> None:
    cloud.state = lambda now: ("InProgress", "Training")
    cloud.stop_error = refused("AccessDeniedException", "not allowed")
    with pytest.raises(InputError, match="not allowed"):
        job.stop()


def test_D206_only_a_job_that_has_ended_is_deleted(job: Job, cloud: Cloud) -> None:
    cloud.state = lambda now: ("InProgress", "Training")
    with pytest.raises(InputError, match="has not ended"):
        job.delete()
    assert cloud.deleted == 0
    cloud.state = lambda now: ("Completed", "Completed")
    job.delete()
    assert cloud.deleted == 1


def test_the_places_of_its_results(job: Job) -> None:
    assert job.model_uri == "s3://bucket/prefix/job/output/model.tar.gz"
    assert job.output_uri == "s3://bucket/prefix/job/output/output.tar.gz"
    assert job.intermediate_uri == "s3://bucket/prefix/job/output/intermediate/"
    assert job.checkpoint_uri == "s3://bucket/ck/"


def test_logs_without_following_return_at_once(job: Job, cloud: Cloud) -> None:
    cloud.state = lambda now: ("InProgress", "Training")
    cloud.lines = ["a", "b"]
    assert list(job.logs(follow=False)) == ["a", "b"]
    assert cloud.clock.now() == 0


def test_jobs_are_listed_newest_first(aws: Any) -> None:
    request: dict[str, Any] = {
        "AlgorithmSpecification": {"TrainingImage": "i:1", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/jobs",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    names = {"list-a", "list-b", "other"}
    for name in names:
        aws.sagemaker.create_training_job(TrainingJobName=name, **request)
    found = list_jobs(aws, name_contains="list-")
    assert {job.name for job in found} == {"list-a", "list-b"}
    assert all(isinstance(job.created_at, datetime.datetime) for job in found)
