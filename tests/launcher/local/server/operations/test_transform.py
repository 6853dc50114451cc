"""The operations on transform jobs through unmodified boto3 clients; who runs the jobs is tested elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from api_servers import RunningServer, job_request, model_request, transform_request
from botocore.exceptions import ClientError

from launcher.api.constants import TRANSFORM
from launcher.local.records import states


def _error(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


@pytest.fixture
def client(api_server: RunningServer) -> Any:
    """A client of an API server that knows the model ``model-1``."""
    client = api_server.client("sagemaker")
    client.create_model(**model_request())
    return client


def test_a_job_is_recorded_with_its_model_and_handed_to_a_shim(api_server: RunningServer, client: Any) -> None:
    arn = client.create_transform_job(**transform_request())["TransformJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:transform-job/transform-1"
    assert api_server.handed == ["transform-1"]
    client.delete_model(ModelName="model-1")
    kept = api_server.records.get("transform-1", TRANSFORM).request
    assert kept["Model"]["PrimaryContainer"]["Image"] == "batchrl:0"


def test_B176_a_job_is_described_with_the_defaults(client: Any) -> None:
    request = transform_request(DataProcessing={"InputFilter": "$[1:]"})
    client.create_transform_job(**request)
    answer = client.describe_transform_job(TransformJobName="transform-1")
    assert answer["TransformJobStatus"] == "InProgress"
    assert answer["TransformInput"] == {"CompressionType": "None", **request["TransformInput"]}
    assert answer["TransformOutput"] == {"KmsKeyId": "", **request["TransformOutput"]}
    assert answer["DataProcessing"] == {"InputFilter": "$[1:]", "OutputFilter": "$", "JoinSource": "None"}
    assert answer["TransformResources"] == {"InstanceType": "local_process", "InstanceCount": 1}
    for absent in ("TransformStartTime", "TransformEndTime", "FailureReason", "Model", "Tags", "SecondaryStatus"):
        assert absent not in answer


def test_B176_statuses_and_times(api_server: RunningServer, client: Any) -> None:
    client.create_transform_job(**transform_request())
    api_server.records.transition("transform-1", states.TRANSFORMING, kind=TRANSFORM)
    assert client.describe_transform_job(TransformJobName="transform-1")["TransformJobStatus"] == "InProgress"
    api_server.records.transition("transform-1", states.COMPLETED, kind=TRANSFORM)
    answer = client.describe_transform_job(TransformJobName="transform-1")
    assert answer["TransformJobStatus"] == "Completed"
    assert answer["CreationTime"] <= answer["TransformStartTime"] <= answer["TransformEndTime"]
    client.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName="transform-1", WaiterConfig={"Delay": 0, "MaxAttempts": 1}
    )


def test_D207_the_model_has_to_exist(api_server: RunningServer, client: Any) -> None:
    code, message = _error(client.create_transform_job, **transform_request(ModelName="nobody"))
    assert (code, "Could not find model" in message) == ("ValidationException", True)
    assert api_server.handed == []


def test_D205_a_duplicate_name_is_in_use_but_a_training_job_may_have_it(api_server: RunningServer, client: Any) -> None:
    client.create_training_job(**job_request("same"))
    arn = client.create_transform_job(**transform_request("same"))["TransformJobArn"]
    code, message = _error(client.create_transform_job, **transform_request("same"))
    assert (code, arn in message) == ("ResourceInUse", True)
    assert client.describe_training_job(TrainingJobName="same")["TrainingJobStatus"] == "InProgress"
    assert [job["TransformJobName"] for job in client.list_transform_jobs()["TransformJobSummaries"]] == ["same"]
    assert [job["TrainingJobName"] for job in client.list_training_jobs()["TrainingJobSummaries"]] == ["same"]


def test_B153_a_stop_is_asked_for_once(api_server: RunningServer, client: Any) -> None:
    client.create_transform_job(**transform_request())
    for _ in range(2):
        client.stop_transform_job(TransformJobName="transform-1")
    assert client.describe_transform_job(TransformJobName="transform-1")["TransformJobStatus"] == "Stopping"
    api_server.records.transition("transform-1", states.STOPPED, kind=TRANSFORM)
    code, message = _error(client.stop_transform_job, TransformJobName="transform-1")
    assert (code, "status Stopped" in message) == ("ValidationException", True)


def test_a_job_that_does_not_exist_is_not_found(client: Any) -> None:
    for operation in (client.describe_transform_job, client.stop_transform_job):
        assert _error(operation, TransformJobName="nobody")[0] == "ValidationException"


def test_jobs_are_listed_the_newest_first_filtered_and_in_pages(api_server: RunningServer, client: Any) -> None:
    for name in ("b-1", "a-1", "b-2"):
        client.create_transform_job(**transform_request(name))
    api_server.records.transition("a-1", states.FAILED, kind=TRANSFORM, failure_reason="because")
    pages = client.get_paginator("list_transform_jobs").paginate(PaginationConfig={"PageSize": 2})
    names = [[job["TransformJobName"] for job in page["TransformJobSummaries"]] for page in pages]
    assert names == [["b-2", "a-1"], ["b-1"]]
    (failed,) = client.list_transform_jobs(StatusEquals="Failed")["TransformJobSummaries"]
    assert (failed["TransformJobName"], failed["FailureReason"]) == ("a-1", "because")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"TransformJobName": "under_score"}, "transformJobName"),
        ({"TransformResources": {"InstanceType": "local_debug", "InstanceCount": 1}}, "instanceType"),
        (
            {"TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 101}},
            "InstanceCount 101 is above 100",
        ),
        ({"MaxConcurrentTransforms": 50, "MaxPayloadInMB": 6}, "100"),
        ({"ModelClientConfig": {"InvocationsMaxRetries": 31}}, "invocationsMaxRetries"),
        ({"ModelClientConfig": {"InvocationsTimeoutInSeconds": 3601}}, "invocationsTimeoutInSeconds"),
        ({"Environment": {f"K{n}": "x" for n in range(17)}}, "environment"),
        ({"DataProcessing": {"OutputFilter": "$." + "x" * 70}}, "outputFilter"),
        ({"DataProcessing": {"OutputFilter": "$..x"}}, "OutputFilter"),
    ],
)
def test_B142_B156_B162_B171_B178_D193_jobs_that_cannot_be_are_refused(
    api_server: RunningServer, client: Any, changes: dict[str, Any], said: str
) -> None:
    code, message = _error(
        api_server.client("sagemaker", validate=False).create_transform_job, **transform_request(**changes)
    )
    assert code == "ValidationException"
    assert said in message
    assert api_server.handed == []


def test_B154_an_output_below_the_input_is_refused(client: Any) -> None:
    request = transform_request()
    request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] = "s3://batchrl-local/out"
    code, message = _error(client.create_transform_job, **request)
    assert (code, "s3://batchrl-local/out" in message) == ("ValidationException", True)


def test_B166_a_join_needs_equal_formats(client: Any) -> None:
    request = transform_request()
    request["TransformOutput"]["Accept"] = "text/csv"
    code, message = _error(client.create_transform_job, **request)
    assert (code, "text/csv" in message) == ("ValidationException", True)


def test_tags_of_a_job(client: Any) -> None:
    tags = [{"Key": "team", "Value": "blue"}]
    arn = client.create_transform_job(**transform_request(), Tags=tags)["TransformJobArn"]
    assert client.list_tags(ResourceArn=arn)["Tags"] == tags
