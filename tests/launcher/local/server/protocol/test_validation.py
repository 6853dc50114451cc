"""What the API server refuses, in AWS's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_servers import RunningServer, call, job_request, post, signed
from botocore.exceptions import ClientError

from launcher.local.server.operations.context import page_token

CHANNEL = {"ChannelName": "training", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/x"}}}
GROUPS = {"InstanceGroups": [{"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "a"}]}
NAME_PATTERN = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"


def _refusal(api_server: RunningServer, request: dict[str, Any]) -> tuple[str, str]:
    status, answer = call(api_server, "SageMaker.CreateTrainingJob", request)
    assert status == 400
    assert api_server.records.list() == []
    assert api_server.handed == []
    return answer["__type"], answer["message"]


def _channel(**changes: Any) -> dict[str, Any]:
    return CHANNEL | changes


def _source(**changes: Any) -> dict[str, Any]:
    return {"S3DataSource": CHANNEL["DataSource"]["S3DataSource"] | changes}  # type: ignore[index]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"TrainingJobName": "under_score"},
            "1 validation error detected: Value 'under_score' at 'trainingJobName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {NAME_PATTERN}",
        ),
        ({"TrainingJobName": "x" * 64}, "Member must have length less than or equal to 63"),
        ({"RoleArn": None}, "Value null at 'roleArn' failed to satisfy constraint: Member must not be null"),
        (
            {"RoleArn": "arn:aws:iam::1:role/x-and-more"},
            "at 'roleArn' failed to satisfy constraint: Member must satisfy",
        ),
        ({"HyperParameters": {"a": "x" * 2501}}, "Map value must satisfy constraint: [Member must have length less"),
        ({"HyperParameters": {"a" * 257: "x"}}, "Map keys must satisfy constraint: [Member must have length less"),
        ({"HyperParameters": {"a": "two\nlines"}}, "Member must satisfy regular expression pattern: .*"),
        ({"HyperParameters": {f"k{i}": "" for i in range(101)}}, "Member must have length less than or equal to 100"),
        ({"Environment": {"1BAD": "x"}}, "Map keys must satisfy constraint"),
        ({"Environment": {"A": "x" * 513}}, "Map value must satisfy constraint: [Member must have length less"),
        ({"Environment": {f"K{i}": "" for i in range(101)}}, "Member must have length less than or equal to 100"),
        ({"InputDataConfig": []}, "at 'inputDataConfig' failed to satisfy constraint: Member must have length greater"),
        ({"InputDataConfig": [_channel(ChannelName="a b")]}, "'inputDataConfig.1.member.channelName'"),
        (
            {"InputDataConfig": [_channel(InputMode="Slow")]},
            "Member must satisfy enum value set: [Pipe, File, FastFile]",
        ),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "Member must have value greater than or equal to 1"),
        (
            {"ResourceConfig": {"InstanceType": "ml.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "Value 'ml.huge' at 'resourceConfig.instanceType' failed to satisfy constraint: "
            "Member must satisfy enum value set",
        ),
        (
            {"Nonsense": 1},
            "Value at 'nonsense' failed to satisfy constraint: CreateTrainingJobRequest has no such member",
        ),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "the key 'a' is given more than once"),
        ({"AlgorithmSpecification": None}, "AlgorithmSpecification is required"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "exactly one of TrainingImage and AlgorithmName"),
        (
            {"AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "x", "AlgorithmName": "y"}},
            "AlgorithmName is not supported by the local cloud: give a TrainingImage alone",
        ),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File", "AlgorithmName": "y"}}, "not supported by the local"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "Pipe", "TrainingImage": "x"}}, None),
        ({"ResourceConfig": None}, "ResourceConfig is required"),
        ({"ResourceConfig": {"InstanceType": "local", "InstanceCount": 2}}, "InstanceCount 2 is not supported"),
        ({"ResourceConfig": {"VolumeSizeInGB": 1}}, "must hold InstanceType and InstanceCount"),
        (
            {"ResourceConfig": GROUPS | {"InstanceType": "local", "InstanceCount": 1}},
            "InstanceGroups is not supported by the local cloud: give InstanceType and InstanceCount alone",
        ),
        ({"ResourceConfig": GROUPS}, "ResourceConfig.InstanceGroups is not supported by the local cloud"),
        (
            {"ResourceConfig": {"InstanceType": "local", "InstanceCount": 1, "KeepAlivePeriodInSeconds": 21601}},
            "Member must have value less than or equal to 21600",
        ),
        (
            {"VpcConfig": {"SecurityGroupIds": ["s"] * 6, "Subnets": ["s"]}},
            "Member must have length less than or equal to 5",
        ),
        (
            {"VpcConfig": {"SecurityGroupIds": ["s"], "Subnets": ["s"] * 17}},
            "Member must have length less than or equal to 16",
        ),
        ({"RetryStrategy": {"MaximumRetryAttempts": 31}}, "Member must have value less than or equal to 30"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 1, "MaxPendingTimeInSeconds": 1799}},
            "Member must have value greater than or equal to 1800",
        ),
        ({"StoppingCondition": None}, "StoppingCondition is required"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 2419201}}, "MaxRuntimeInSeconds 2419201 is above 28 days"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds is required"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 99},
            },
            "Invalid MaxWaitTimeInSeconds",
        ),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 99}}, "only allowed when"),
        ({"InputDataConfig": [CHANNEL, CHANNEL]}, "the channel name 'training' is given more than once"),
        (
            {"InputDataConfig": [_channel(InputMode="FastFile")]},
            "input mode FastFile is not supported by the local cloud",
        ),
        ({"InputDataConfig": [_channel(InputMode="Pipe")]}, "input mode Pipe is not supported by the local cloud"),
        ({"InputDataConfig": [_channel(DataSource=_source(S3DataType="ManifestFile"))]}, "use S3Prefix"),
        ({"InputDataConfig": [_channel(DataSource=_source(S3DataType="AugmentedManifestFile"))]}, "use S3Prefix"),
        ({"InputDataConfig": [_channel(DataSource=_source(S3Uri="file:///tmp/x"))]}, "regular expression pattern"),
        (
            {"InputDataConfig": [_channel(DataSource=_source(S3Uri="s3://b/" + "x" * 1018))]},
            "less than or equal to 1024",
        ),
        ({"InputDataConfig": [_channel(RecordWrapperType="RecordIO")]}, "RecordWrapperType is for Pipe mode"),
        ({"InputDataConfig": [_channel(DataSource=_source(S3Uri="https://host/x"))]}, "is not an S3 URL"),
        ({"InputDataConfig": [_channel(CompressionType="Gzip")]}, "CompressionType is for Pipe mode"),
        ({"OutputDataConfig": {"S3OutputPath": "https://host/x"}}, "is not an S3 URL"),
        ({"OutputDataConfig": {"S3OutputPath": "file:///tmp/x"}}, "Member must satisfy regular expression pattern"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/x", "LocalPath": "relative"}}, "not an absolute path"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/x", "LocalPath": "/opt/ml/../../../tmp/x"}}, "without '..'"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/x", "LocalPath": "/opt/ml/"}}, "the whole tree of the job"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/x", "LocalPath": "//opt/ml/model"}}, "one of the job's own folders"),
        ({"CheckpointConfig": {"LocalPath": "/opt/ml/checkpoints"}}, "Member must not be null"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/x", "LocalPath": "/" + "x" * 4096}}, "less than or equal to 4096"),
        ({"InputDataConfig": [_channel(ChannelName="..")]}, "channel '..': a channel's name becomes a folder"),
        ({"InputDataConfig": [_channel(ChannelName=".")]}, "channel '.': a channel's name becomes a folder"),
    ],
)
def test_D_a_request_that_breaks_a_rule_is_refused(
    api_server: RunningServer, changes: dict[str, Any], message: str | None
) -> None:
    """Contract 46, 51, 52, 53, 54, 57, 91, 93 to 95, 111, 189, 191, 192, 195 to 199, 201, 202."""
    request = {name: value for name, value in job_request(**changes).items() if value is not None}
    if message is None:  # an input mode without any channel binds nobody
        api_server.client("sagemaker").create_training_job(**request)
        return
    code, text = _refusal(api_server, request)
    assert code == "ValidationException"
    assert message in text


def test_all_faults_are_told_together(api_server: RunningServer) -> None:
    text = _refusal(api_server, job_request("no_good", RoleArn="short"))[1]
    assert text.startswith("3 validation errors detected: ")
    assert "'trainingJobName'" in text
    assert "'roleArn'" in text


@pytest.mark.parametrize(
    "changes",
    [{"HyperParameters": {"epochs": 5}}, {"ResourceConfig": {"InstanceCount": "1"}}, {"InputDataConfig": {}}],
)
def test_wrong_types_do_not_pass_as_values(api_server: RunningServer, changes: dict[str, Any]) -> None:
    assert _refusal(api_server, job_request(**changes))[0] == "SerializationException"


@pytest.mark.parametrize("kind", ["local", "local_gpu", "local_process", "local_debug", "ml.m5.large"])
def test_every_executor_can_be_named(api_server: RunningServer, kind: str) -> None:
    request = job_request(ResourceConfig={"InstanceType": kind, "InstanceCount": 1, "VolumeSizeInGB": 1})
    api_server.client("sagemaker").create_training_job(**request)


def test_other_operations_are_validated_too(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker", validate=False)
    with pytest.raises(ClientError, match="enum value set"):
        client.list_training_jobs(SortBy="Colour")
    with pytest.raises(ClientError, match="less than or equal to 100"):
        client.list_training_jobs(MaxResults=101)
    with pytest.raises(ClientError, match="must not be null"):
        client.describe_training_job()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"": 1}',
        b'{"TrainingJobName": {"": {"": 1}}}',
        b'{"HyperParameters": {"": ""}}',
        b"[" * 100_000,
        b'{"HyperParameters": ' + b'{"a": ' * 50_000,
        b'{"StoppingCondition": {"MaxRuntimeInSeconds": ' + b"9" * 5000 + b"}}",
        b'{"StoppingCondition": {"MaxRuntimeInSeconds": ' + b"9" * 400 + b"}}",
        b'{"TrainingJobName": "\\ud800"}',
        b'{"Environment": {"A": "\\udfff"}}',
    ],
    ids=range(12),
)
def test_whatever_the_body_is_the_caller_is_told_and_nothing_is_our_fault(
    api_server: RunningServer, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for operation in ("CreateTrainingJob", "CreateTransformJob", "CreateEndpointConfig", "AddTags"):
        target = f"SageMaker.{operation}"
        status, content = post(api_server, body, signed(api_server, target, body))
        assert status == 400, content
        assert b"ValidationException" in content or b"SerializationException" in content
    assert not [record for record in caplog.records if record.exc_info]


VARIANT = '"VariantName": "a", "ModelName": "m", "InitialInstanceCount": 1, "InitialVariantWeight": %s'


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity", "9" * 400, str(2**31)])
def test_a_number_that_the_service_cannot_hold_is_refused(api_server: RunningServer, number: str) -> None:
    bodies = {"ListTrainingJobs": f'{{"MaxResults": {number}}}'}
    if number != str(2**31):
        bodies["CreateEndpointConfig"] = '{"EndpointConfigName": "a", "ProductionVariants": [{%s}]}' % (
            VARIANT % number
        )
    for operation, body in bodies.items():
        headers = signed(api_server, f"SageMaker.{operation}", body.encode())
        status, content = post(api_server, body.encode(), headers)
        assert (status, json.loads(content)["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize("values", [[[1], "a"], ["a", 1], [{}, {}], ["a", "b"], [1]])
@pytest.mark.parametrize("operation", ["ListTrainingJobs", "ListModels", "ListEndpoints"])
def test_a_token_that_is_none_of_ours_is_refused(api_server: RunningServer, operation: str, values: list[Any]) -> None:
    status, answer = call(api_server, f"SageMaker.{operation}", {"NextToken": page_token(*values)})
    assert (status, answer["__type"]) == (400, "ValidationException")
