"""The five operations on training jobs, through unmodified boto3 clients."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from api_servers import RunningServer, call, job_request
from botocore.exceptions import ClientError

from batchrl.contract.errors import InputError
from batchrl.contract.store import reported
from launcher.local.events.eventfile import read
from launcher.local.records import states
from launcher.local.records.records import Metric

MODEL_TRAINER_REQUEST = {
    "HyperParameters": {"lr": "0.1", "env": "CartPole-v1", "layers": "[64, 64]"},
    "AlgorithmSpecification": {
        "TrainingInputMode": "File",
        "TrainingImage": "123456789012.dkr.ecr.us-west-2.amazonaws.com/my-img:1",
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", "chmod +x x.sh && ./x.sh"],
    },
    "InputDataConfig": [
        {
            "ChannelName": name,
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": f"s3://bucket/{name}",
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
            "InputMode": "File",
        }
        for name in ("pretrained", "code")
    ],
    "ResourceConfig": {"InstanceType": "ml.g5.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
    "EnableManagedSpotTraining": True,
    "CheckpointConfig": {"S3Uri": "s3://bucket/ck/run1"},
    "Environment": {"A": "B\nC"},
}


def _error(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def _finish(api_server: RunningServer, name: str, last: str = states.COMPLETED) -> None:
    for status in (states.DOWNLOADING, states.TRAINING, states.UPLOADING, last):
        api_server.records.transition(name, status)


def test_A113_metric_definitions_that_cannot_be_used_are_refused_all_at_once(api_server: RunningServer) -> None:
    request = job_request("j")
    request["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "open", "Regex": "loss=("},
        {"Name": "loss", "Regex": r"loss=(\S+)"},
        {"Name": "vast", "Regex": "a{99999999999}"},
    ]
    code, message = _error(api_server.client("sagemaker").create_training_job, **request)
    assert code == "ValidationException"
    assert "Metric 'open': the regular expression 'loss=(' cannot be used" in message
    assert "Metric 'vast'" in message
    assert "'loss'" not in message
    assert api_server.handed == []


def test_a_job_is_recorded_and_handed_to_a_shim(api_server: RunningServer) -> None:
    arn = api_server.client("sagemaker").create_training_job(**job_request("job-1"))["TrainingJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:training-job/job-1"
    assert api_server.handed == ["job-1"]
    assert api_server.records.get("job-1").request == job_request("job-1")


def test_D211_D216_a_young_job_is_described(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    client.create_training_job(**job_request())
    answer = client.describe_training_job(TrainingJobName="job-1")
    assert (answer["TrainingJobStatus"], answer["SecondaryStatus"]) == ("InProgress", "Starting")
    assert answer["ModelArtifacts"]["S3ModelArtifacts"] == "s3://batchrl-local/runs/job-1/output/model.tar.gz"
    assert answer["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}
    assert re.fullmatch(r"arn:aws:sagemaker:us-east-1:\d{12}:training-job/job-1", answer["TrainingJobArn"])
    assert answer["CreationTime"] <= answer["LastModifiedTime"]
    assert [entry["Status"] for entry in answer["SecondaryStatusTransitions"]] == ["Starting"]
    for absent in ("TrainingStartTime", "TrainingEndTime", "FailureReason", "FinalMetricDataList"):
        assert absent not in answer


def test_D212_describe_echoes_what_was_asked_for(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    client.create_training_job(**job_request(**MODEL_TRAINER_REQUEST, Tags=[{"Key": "a", "Value": "b"}]))
    answer = client.describe_training_job(TrainingJobName="job-1")
    for name, value in MODEL_TRAINER_REQUEST.items():
        if name != "CheckpointConfig":
            assert answer[name] == value, name
    assert answer["CheckpointConfig"] == {"S3Uri": "s3://bucket/ck/run1", "LocalPath": "/opt/ml/checkpoints/"}
    assert "Tags" not in answer
    assert answer["EnableNetworkIsolation"] is False


def test_an_ended_job_is_described_with_its_times_and_metrics(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    client.create_training_job(**job_request())
    api_server.records.update("job-1", metrics=(Metric("loss", 0.25, 1_700_000_000.0),))
    _finish(api_server, "job-1")
    answer = client.describe_training_job(TrainingJobName="job-1")
    assert (answer["TrainingJobStatus"], answer["SecondaryStatus"]) == ("Completed", "Completed")
    assert answer["TrainingStartTime"] <= answer["TrainingEndTime"]
    assert answer["TrainingTimeInSeconds"] == answer["BillableTimeInSeconds"] == 1
    assert answer["FinalMetricDataList"][0]["Value"] == 0.25


def test_D205_a_duplicate_name_is_in_use_even_after_the_job_ended(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    arn = client.create_training_job(**job_request())["TrainingJobArn"]
    _finish(api_server, "job-1")
    code, message = _error(client.create_training_job, **job_request())
    assert code == "ResourceInUse"
    assert arn in message
    assert api_server.handed == ["job-1"]


def test_D208_D210_a_stop_is_asked_for_once(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    client.create_training_job(**job_request())
    client.stop_training_job(TrainingJobName="job-1")
    client.stop_training_job(TrainingJobName="job-1")
    assert client.describe_training_job(TrainingJobName="job-1")["TrainingJobStatus"] == "Stopping"
    asked = [one.event for one in read(api_server.context.paths.job("job-1").events)]
    assert [event.kind for event in asked] == ["stop_requested"] * 2 and "Boto3" in asked[0].by
    api_server.records.transition("job-1", states.STOPPED)
    code, message = _error(client.stop_training_job, TrainingJobName="job-1")
    assert code == "ValidationException"
    assert "Stopped" in message


@pytest.mark.parametrize("operation", ["describe_training_job", "stop_training_job", "delete_training_job"])
def test_D209_an_unknown_job_is_not_found(api_server: RunningServer, operation: str) -> None:
    call = getattr(api_server.client("sagemaker"), operation)
    assert _error(call, TrainingJobName="nobody") == ("ValidationException", "Requested resource not found.")


def test_D206_a_deleted_name_can_be_used_again(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    client.create_training_job(**job_request())
    folder = api_server.context.paths.job("job-1").folder
    folder.mkdir()
    code, message = _error(client.delete_training_job, TrainingJobName="job-1")
    assert (code, "InProgress" in message) == ("ValidationException", True)
    _finish(api_server, "job-1", states.FAILED)
    client.delete_training_job(TrainingJobName="job-1")
    assert not folder.exists()
    client.create_training_job(**job_request())
    assert api_server.handed == ["job-1", "job-1"]


def test_a_job_whose_results_are_on_disk_alone_is_not_deleted(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    client.create_training_job(**job_request())
    _finish(api_server, "job-1", states.FAILED)
    work = api_server.context.paths.job("job-1").ml
    work.mkdir(parents=True)
    code, message = _error(client.delete_training_job, TrainingJobName="job-1")
    assert code == "ValidationException"
    assert str(work) in message and "batchrl recover job-1 publishes them" in message
    assert work.exists() and client.describe_training_job(TrainingJobName="job-1")
    api_server.records.update("job-1", published_at=1.0)
    client.delete_training_job(TrainingJobName="job-1")
    assert not work.exists()


def _names(answer: dict[str, Any]) -> list[str]:
    return [entry["TrainingJobName"] for entry in answer["TrainingJobSummaries"]]


@pytest.fixture
def five(api_server: RunningServer) -> RunningServer:
    client = api_server.client("sagemaker")
    for name in ("red-1", "blue-1", "red-2", "blue-2", "red-3"):
        client.create_training_job(**job_request(name))
    _finish(api_server, "red-2")
    _finish(api_server, "blue-1", states.FAILED)
    client.stop_training_job(TrainingJobName="blue-2")
    return api_server


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ["red-1", "blue-1", "red-2", "blue-2", "red-3"]),
        ({"SortOrder": "Descending"}, ["red-3", "blue-2", "red-2", "blue-1", "red-1"]),
        ({"SortBy": "Name"}, ["blue-1", "blue-2", "red-1", "red-2", "red-3"]),
        ({"SortBy": "Status"}, ["red-2", "blue-1", "red-1", "red-3", "blue-2"]),
        ({"NameContains": "ue-"}, ["blue-1", "blue-2"]),
        ({"StatusEquals": "Completed"}, ["red-2"]),
        ({"StatusEquals": "Stopping"}, ["blue-2"]),
        ({"StatusEquals": "InProgress", "NameContains": "3"}, ["red-3"]),
        ({"CreationTimeAfter": 4_000_000_000}, []),
        ({"CreationTimeBefore": 4_000_000_000, "NameContains": "red", "MaxResults": 2}, ["red-1", "red-2"]),
        ({"LastModifiedTimeBefore": 1_000_000_000}, []),
        ({"WarmPoolStatusEquals": "Available"}, []),
    ],
)
def test_lists_filter_and_sort(five: RunningServer, arguments: dict[str, Any], expected: list[str]) -> None:
    assert _names(five.client("sagemaker").list_training_jobs(**arguments)) == expected


def test_pages_are_cut_after_filtering(five: RunningServer) -> None:
    paginator = five.client("sagemaker").get_paginator("list_training_jobs")
    for order in ("Ascending", "Descending"):
        pages = paginator.paginate(NameContains="red", SortOrder=order, PaginationConfig={"PageSize": 2})
        assert [len(page["TrainingJobSummaries"]) for page in pages] == [2, 1]
    whole = paginator.paginate(SortBy="Status", PaginationConfig={"PageSize": 1}).build_full_result()
    assert _names(whole) == ["red-2", "blue-1", "red-1", "red-3", "blue-2"]


def test_a_token_of_another_list_is_refused(five: RunningServer) -> None:
    for token in ("nonsense", "bm9uc2Vuc2U", "WzFd"):
        assert _error(five.client("sagemaker").list_training_jobs, NextToken=token)[0] == "ValidationException"


def test_summaries_hold_what_lists_show(five: RunningServer) -> None:
    summary = five.client("sagemaker").list_training_jobs(NameContains="red-2")["TrainingJobSummaries"][0]
    assert (summary["TrainingJobStatus"], summary["SecondaryStatus"]) == ("Completed", "Completed")
    assert summary["TrainingEndTime"] >= summary["CreationTime"]


def test_D213_boto3s_waiter_sees_the_end(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    client.create_training_job(**job_request())
    _finish(api_server, "job-1")
    waiter = client.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="job-1", WaiterConfig={"Delay": 1, "MaxAttempts": 2})


def test_tags_follow_a_job(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    tags = [{"Key": "team", "Value": "blue"}]
    arn = client.create_training_job(**job_request(Tags=tags))["TrainingJobArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "run", "Value": "2"}, {"Key": "team", "Value": "red"}])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "run", "Value": "2"}, {"Key": "team", "Value": "red"}]
    client.delete_tags(ResourceArn=arn, TagKeys=["run"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "red"}]


def test_D200_tags_have_limits(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    arn = client.create_training_job(**job_request())["TrainingJobArn"]
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    assert "more than once" in _error(client.add_tags, ResourceArn=arn, Tags=twice)[1]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{index}", "Value": ""} for index in range(50)])
    assert "at most 50" in _error(client.add_tags, ResourceArn=arn, Tags=[{"Key": "one", "Value": "more"}])[1]
    unknown = arn.replace("job-1", "job-2")
    assert "Could not find" in _error(client.list_tags, ResourceArn=unknown)[1]


def test_A56_A66_A95_A124_D198_D199_what_has_no_effect_here_is_taken_and_described(api_server: RunningServer) -> None:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/x/"}
    channel = {"ChannelName": "training", "DataSource": {"S3DataSource": source}, "ShuffleConfig": {"Seed": 3}}
    asked: dict[str, Any] = {
        "InputDataConfig": [channel],
        "RetryStrategy": {"MaximumRetryAttempts": 30},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 50,
            "KeepAlivePeriodInSeconds": 21600,
        },
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 100},
        "CheckpointConfig": {"S3Uri": "s3://bucket/ck/", "LocalPath": "/opt/ml/checkpoints"},
    }
    client = api_server.client("sagemaker")
    created = client.create_training_job(**job_request(**asked))
    answer = client.describe_training_job(TrainingJobName="job-1")
    assert {name: answer[name] for name in asked} == asked
    told = ("RetryStrategy", "ResourceConfig.KeepAlivePeriodInSeconds", "VpcConfig")
    assert set(created["ResponseMetadata"]["HTTPHeaders"]["x-batchrl-without-effect"].split(", ")) == set(told)
    message = answer["SecondaryStatusTransitions"][0]["StatusMessage"]
    assert all(field in message for field in ("recorded, without effect", *told))


def test_what_sdks_send_by_default_is_taken(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker")
    hook = {"S3OutputPath": "s3://bucket/", "CollectionConfigurations": []}
    created = client.create_training_job(
        **job_request(ProfilerConfig={"DisableProfiler": True, "S3OutputPath": "s3://bucket/"}, DebugHookConfig=hook)
    )
    assert created["ResponseMetadata"]["HTTPHeaders"]["x-batchrl-without-effect"] == "DebugHookConfig"
    assert client.describe_training_job(TrainingJobName="job-1")["DebugHookConfig"] == hook


def test_a_usual_request_is_carried_out_whole(api_server: RunningServer) -> None:
    created = api_server.client("sagemaker").create_training_job(**job_request())
    assert "x-batchrl-without-effect" not in created["ResponseMetadata"]["HTTPHeaders"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (
            {"DebugRuleConfigurations": [{"RuleConfigurationName": "a", "RuleEvaluatorImage": "b"}]},
            "DebugRuleConfigurations",
        ),
        ({"TensorBoardOutputConfig": {"S3OutputPath": "s3://bucket/tb"}}, "TensorBoardOutputConfig"),
        ({"RemoteDebugConfig": {"EnableRemoteDebug": True}}, "RemoteDebugConfig"),
    ],
)
def test_what_would_be_missing_afterwards_is_refused(
    api_server: RunningServer, changes: dict[str, Any], field: str
) -> None:
    code, message = _error(api_server.client("sagemaker").create_training_job, **job_request(**changes))
    assert code == "ValidationException"
    assert message.startswith(f"{field} is not supported by the local cloud: ")
    assert api_server.records.list() == []


def test_the_request_of_the_sdk_is_taken_but_for_its_two_instances(api_server: RunningServer) -> None:
    code, message = _error(
        api_server.client("sagemaker").create_training_job,
        **job_request(ResourceConfig={"InstanceType": "ml.g5.2xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1}),
    )
    assert code == "ValidationException"
    assert "InstanceCount 2" in message


def test_numbers_and_text_survive_the_wire(api_server: RunningServer, tmp_path: Path) -> None:
    client = api_server.client("sagemaker")
    client.create_training_job(**job_request(HyperParameters={"text": 'quotes " and ü', "empty": ""}))
    described = client.describe_training_job(TrainingJobName="job-1")
    assert json.loads(json.dumps(described["HyperParameters"])) == {"text": 'quotes " and ü', "empty": ""}


def test_a_full_disk_has_a_code_of_its_own_and_the_server_goes_on(api_server: RunningServer) -> None:
    """SQLite's own limit of pages gives the very error of a full disk."""
    connection = api_server.records._database._connection
    pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
    connection.execute(f"PRAGMA max_page_count = {pages}")
    client = api_server.client("sagemaker")
    large = job_request("large", HyperParameters={f"k{n}": "x" * 2500 for n in range(100)})
    with pytest.raises(InputError, match=r"the disk of .*data folder is full") as caught, reported("creating", client):
        client.create_training_job(**large)
    assert "DiskFull" in str(caught.value.__cause__)
    assert api_server.records.list() == []
    connection.execute("PRAGMA max_page_count = 1000000")
    client.create_training_job(**large)
    assert [record.name for record in api_server.records.list()] == ["large"]


def test_what_is_null_was_left_out(api_server: RunningServer) -> None:
    request = {"MaxResults": None, "SortBy": None, "NextToken": None, "NameContains": None}
    assert call(api_server, "SageMaker.ListTrainingJobs", request) == (200, {"TrainingJobSummaries": []})
