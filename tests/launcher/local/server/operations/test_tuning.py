"""The operations on tuning jobs through unmodified boto3 clients; who runs them is tested elsewhere."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from api_servers import ROLE, RunningServer, job_request
from botocore.exceptions import ClientError
from tunings import tuning_request

from launcher.api.constants import TUNING
from launcher.api.tuning import TUNING_HEADER
from launcher.local.keys import grants
from launcher.local.keys.places import Places
from launcher.local.records import states
from launcher.local.records.records import Metric

NAME = {"HyperParameterTuningJobName": "tune-1"}


def _error(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


@pytest.fixture
def client(api_server: RunningServer) -> Any:
    return api_server.client("sagemaker")


def of_tuning_job(client: Any, name: str = "tune-1") -> Any:
    """The same client, as the process of a tuning job uses it."""

    def add(params: dict[str, Any], **_: Any) -> None:
        params["headers"][TUNING_HEADER] = name

    client.meta.events.register("before-call.sagemaker.CreateTrainingJob", add)
    return client


def child(api_server: RunningServer, number: int, score: float | None, last: str = states.COMPLETED) -> str:
    """A training job of tune-1 that has ended."""
    name = f"tune-1-{number:03d}-abcd"
    request = job_request(name, HyperParameters={"rate": f"{number}.5", "sagemaker_program": "script.py"})
    of_tuning_job(api_server.client("sagemaker")).create_training_job(**request)
    if score is not None:
        api_server.records.update(name, metrics=(Metric("score", score, 1.0),))
    for status in (states.DOWNLOADING, states.TRAINING, *((states.UPLOADING, last) if last else ())):
        api_server.records.transition(name, status)
    return name


def test_a_tuning_job_is_recorded_and_handed_to_a_shim(api_server: RunningServer, client: Any) -> None:
    arn = client.create_hyper_parameter_tuning_job(**tuning_request())["HyperParameterTuningJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:hyper-parameter-tuning-job/tune-1"
    assert api_server.handed == ["tune-1"]
    answer = client.describe_hyper_parameter_tuning_job(**NAME)
    request = tuning_request()
    assert answer["HyperParameterTuningJobConfig"] == request["HyperParameterTuningJobConfig"]
    assert answer["TrainingJobDefinition"] == request["TrainingJobDefinition"]
    assert answer["HyperParameterTuningJobStatus"] == "InProgress"
    assert answer["TrainingJobStatusCounters"]["InProgress"] == 0
    assert "BestTrainingJob" not in answer and "HyperParameterTuningEndTime" not in answer
    assert _error(client.create_hyper_parameter_tuning_job, **request)[0] == "ResourceInUse"


def test_its_training_jobs_are_counted_listed_and_compared(api_server: RunningServer, client: Any) -> None:
    client.create_hyper_parameter_tuning_job(**tuning_request())
    child(api_server, 1, 1.0)
    child(api_server, 2, 3.0)
    child(api_server, 3, None, states.FAILED)
    child(api_server, 4, 2.0, states.STOPPED)
    child(api_server, 5, None, "")
    client.create_training_job(**job_request("tune-1-not-its-own"))
    answer = client.describe_hyper_parameter_tuning_job(**NAME)
    assert answer["TrainingJobStatusCounters"] == {
        "Completed": 2,
        "InProgress": 1,
        "RetryableError": 0,
        "NonRetryableError": 1,
        "Stopped": 1,
    }
    assert answer["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 1, "Failed": 1}
    best = answer["BestTrainingJob"]
    assert (best["TrainingJobName"], best["TunedHyperParameters"]) == ("tune-1-002-abcd", {"rate": "2.5"})
    assert best["FinalHyperParameterTuningJobObjectiveMetric"] == {
        "Type": "Maximize",
        "MetricName": "score",
        "Value": 3.0,
    }
    (summary,) = client.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    assert (summary["Strategy"], summary["ObjectiveStatusCounters"]["Succeeded"]) == ("Random", 3)
    described = client.describe_training_job(TrainingJobName="tune-1-001-abcd")
    assert described["TuningJobArn"] == answer["HyperParameterTuningJobArn"]
    assert "TuningJobArn" not in client.describe_training_job(TrainingJobName="tune-1-not-its-own")


def test_training_jobs_are_listed_in_pages_and_orders(api_server: RunningServer, client: Any) -> None:
    client.create_hyper_parameter_tuning_job(**tuning_request())
    for number, score in ((1, 1.0), (2, None), (3, 3.0)):
        child(api_server, number, score)

    def numbers(**asked: Any) -> list[int]:
        pages = client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(**NAME, **asked)
        return [int(job["TrainingJobName"].split("-")[2]) for page in pages for job in page["TrainingJobSummaries"]]

    assert numbers() == [1, 2, 3]
    assert numbers(PaginationConfig={"PageSize": 1}) == [1, 2, 3]
    assert numbers(SortOrder="Descending") == [3, 2, 1]
    assert numbers(SortBy="FinalObjectiveMetricValue", SortOrder="Descending") == [3, 1, 2]
    assert numbers(SortBy="FinalObjectiveMetricValue") == [1, 3, 2]
    assert numbers(SortBy="CreationTime", SortOrder="Descending") == [3, 2, 1]
    assert numbers(StatusEquals="Failed") == []
    ask = client.list_training_jobs_for_hyper_parameter_tuning_job
    assert "NextToken" in _error(ask, **NAME, NextToken="WyJ4Il0")[1]
    assert _error(ask, HyperParameterTuningJobName="nobody")[1].startswith("Requested resource not found")


def test_a_definition_whose_training_jobs_would_be_refused_is_refused(client: Any) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"OutputDataConfig": {"S3OutputPath": "https://b/x"}}, "is not an S3 URL"),
        ({"ResourceConfig": {"InstanceType": "local", "InstanceCount": 2, "VolumeSizeInGB": 1}}, "InstanceCount 2"),
        ({"StaticHyperParameters": {str(number): "1" for number in range(100)}}, "less than or equal to 100"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroups": [
            {"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "a"}]}}, "InstanceGroups"),
    ]  # fmt: skip
    for change, message in cases:
        request = copy.deepcopy(tuning_request())
        request["TrainingJobDefinition"] |= change
        code, said = _error(client.create_hyper_parameter_tuning_job, **request)
        assert (code, message in said) == ("ValidationException", True), said
    request = copy.deepcopy(tuning_request())
    request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"][0]["Regex"] = "score=("
    assert "cannot be used" in _error(client.create_hyper_parameter_tuning_job, **request)[1]
    assert client.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"] == []


def test_a_tuning_job_is_stopped_once_and_deleted_when_it_has_ended(api_server: RunningServer, client: Any) -> None:
    client.create_hyper_parameter_tuning_job(**tuning_request())
    assert "stop it first" in _error(client.delete_hyper_parameter_tuning_job, **NAME)[1]
    client.stop_hyper_parameter_tuning_job(**NAME)
    assert client.describe_hyper_parameter_tuning_job(**NAME)["HyperParameterTuningJobStatus"] == "Stopping"
    late = of_tuning_job(api_server.client("sagemaker"))
    assert "no tuning job 'tune-1' that goes on" in _error(late.create_training_job, **job_request("late"))[1]
    api_server.records.transition("tune-1", states.STOPPED, kind=TUNING)
    assert client.describe_hyper_parameter_tuning_job(**NAME)["HyperParameterTuningJobStatus"] == "Stopped"
    assert "Stopped" in _error(client.stop_hyper_parameter_tuning_job, **NAME)[1]
    client.delete_hyper_parameter_tuning_job(**NAME)
    assert _error(client.describe_hyper_parameter_tuning_job, **NAME)[0] == "ValidationException"


def test_a_training_job_that_a_running_tuning_job_goes_by_is_not_deleted(
    api_server: RunningServer, client: Any
) -> None:
    client.create_hyper_parameter_tuning_job(**tuning_request())
    name = child(api_server, 1, 1.0)
    assert "goes by its results" in _error(client.delete_training_job, TrainingJobName=name)[1]
    for status in (states.TUNING, states.COMPLETED):
        api_server.records.transition("tune-1", status, kind=TUNING)
    client.delete_training_job(TrainingJobName=name)


def warm(name: str, kind: str = "IdenticalDataAndAlgorithm", *parents: str) -> dict[str, Any]:
    named = [{"HyperParameterTuningJobName": parent} for parent in parents or ("tune-1",)]
    return {
        **tuning_request(name),
        "WarmStartConfig": {"ParentHyperParameterTuningJobs": named, "WarmStartType": kind},
    }


def test_a_warm_start_needs_parents_that_have_ended_and_knows_the_best_of_all(
    api_server: RunningServer, client: Any
) -> None:
    client.create_hyper_parameter_tuning_job(**tuning_request())
    create = client.create_hyper_parameter_tuning_job
    assert "has not ended" in _error(create, **warm("tune-2"))[1]
    assert "not found" in _error(create, **warm("tune-2", "TransferLearning", "nobody"))[1]
    child(api_server, 1, 5.0)
    for status in (states.TUNING, states.COMPLETED):
        api_server.records.transition("tune-1", status, kind=TUNING)
    create(**warm("tune-2"))
    answer = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune-2")
    assert answer["OverallBestTrainingJob"]["TrainingJobName"] == "tune-1-001-abcd"
    assert answer["OverallBestTrainingJob"]["TuningJobName"] == "tune-1"
    assert "BestTrainingJob" not in answer
    create(**warm("tune-3", "TransferLearning"))
    answer = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune-3")
    assert "OverallBestTrainingJob" not in answer


def test_what_a_jobs_tuning_job_creates_runs_in_containers(api_server: RunningServer) -> None:
    """A job that may call the API gets no processes of this computer by way of a tuning job."""
    paths = api_server.context.paths
    grant = grants.issue(paths, "job-of-a-role", ROLE, Places())
    api_server.context.paths.job_rules.write_text('{"calling_roles": ["' + ROLE + '"]}')
    caller = api_server.client("sagemaker", aws_access_key_id=grant.access_key, aws_secret_access_key=grant.secret_key)
    assert "no job may start" in _error(caller.create_hyper_parameter_tuning_job, **tuning_request())[1]
    request = copy.deepcopy(tuning_request())
    request["TrainingJobDefinition"]["ResourceConfig"]["InstanceType"] = "local"
    caller.create_hyper_parameter_tuning_job(**request)
    mine = of_tuning_job(api_server.client("sagemaker"))
    mine.create_training_job(**job_request("contained"))
    assert api_server.records.get("contained").request["Contained"] is True
    # The job itself cannot claim to be a tuning job.
    theirs = job_request("theirs")
    theirs["ResourceConfig"]["InstanceType"] = "local"
    of_tuning_job(caller).create_training_job(**theirs)
    assert "TuningJobArn" not in api_server.records.get("theirs").request
