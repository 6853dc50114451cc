"""Clients that know nothing of us: boto3 and the AWS command line, with right and wrong keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import boto3
import botocore.exceptions
import pytest
from jobs import wait_until

ROLE = "arn:aws:iam::000000000000:role/anyone"


def request(name, address, script, **changes):
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "unused:latest",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", script],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://batchrl-local/plain"},
        "ResourceConfig": {"InstanceType": "local_process", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    } | changes


@pytest.fixture
def address(session):
    return session.address


@pytest.fixture
def client(address):
    return boto3.client(
        "sagemaker",
        endpoint_url=address.api_url,
        region_name=address.region,
        aws_access_key_id=address.access_key,
        aws_secret_access_key=address.secret_key,
    )


def status(client, name):
    return client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]


def test_plain_boto3_creates_watches_and_stops(client, address):
    client.create_training_job(**request("plain", address, "echo hello; sleep 600"))
    assert status(client, "plain") == "InProgress"
    wait_until(
        "it trains", lambda: client.describe_training_job(TrainingJobName="plain")["SecondaryStatus"] == "Training"
    )
    client.stop_training_job(TrainingJobName="plain")
    wait_until("it stops", lambda: status(client, "plain") == "Stopped")
    with pytest.raises(client.exceptions.ResourceInUse):
        client.create_training_job(**request("plain", address, "true"))
    client.delete_training_job(TrainingJobName="plain")
    with pytest.raises(botocore.exceptions.ClientError, match="not found"):
        status(client, "plain")


def test_A90_the_time_limit_stops_a_job(client, address):
    limited = request("limited", address, "sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 1})
    client.create_training_job(**limited)
    wait_until("it is over", lambda: status(client, "limited") == "Stopped")
    assert client.describe_training_job(TrainingJobName="limited")["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_a_wrong_secret_is_refused(address):
    stranger = boto3.client(
        "sagemaker",
        endpoint_url=address.api_url,
        region_name=address.region,
        aws_access_key_id=address.access_key,
        aws_secret_access_key="x" * len(address.secret_key),
    )
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        stranger.list_training_jobs()
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    assert "ignature" in refusal.value.response["Error"]["Code"]


@pytest.mark.skipif(
    shutil.which("aws") is None, reason="the AWS command line is not installed (apt-get install awscli)"
)
def test_the_aws_command_line(address, command):
    exports = command("cloud", "env").stdout
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

    def aws(*arguments):
        return subprocess.run(
            ["bash", "-c", f'{exports}\nexec aws "$@"', "aws", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout

    endpoint = ["--endpoint-url", address.api_url]
    described = request("by-aws-cli", address, "echo from the command line")
    aws(*endpoint, "sagemaker", "create-training-job", "--cli-input-json", json.dumps(described))
    aws(*endpoint, "sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", "by-aws-cli")
    listed = json.loads(aws(*endpoint, "sagemaker", "list-training-jobs", "--output", "json"))
    names = [summary["TrainingJobName"] for summary in listed["TrainingJobSummaries"]]
    assert "by-aws-cli" in names
    assert "batchrl-local" in aws("s3", "ls")


@pytest.fixture(scope="module")
def archive(trained):
    """The model of a training job."""
    return trained.model_data


def model_of(name, archive):
    return {
        "ModelName": name,
        "PrimaryContainer": {"Image": "unused:latest", "ModelDataUrl": archive},
        "ExecutionRoleArn": ROLE,
    }


def transform_of(name, model, source):
    return {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": f"s3://batchrl-local/{name}",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "local_process", "InstanceCount": 1},
    }


def test_plain_boto3_transforms_and_invokes(client, address, archive, session):
    session.s3.put_object(Bucket="batchrl-local", Key="plain-in/a.jsonl", Body=b"[0.1,0,0,0]\n[0,0,0,0.1]\n")
    client.create_model(**model_of("plain-model", archive))
    client.create_transform_job(**transform_of("plain-transform", "plain-model", "s3://batchrl-local/plain-in/"))
    client.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName="plain-transform", WaiterConfig={"Delay": 1}
    )
    answers = session.s3.get_object(Bucket="batchrl-local", Key="plain-transform/a.jsonl.out")["Body"].read()
    assert [json.loads(line)["action"] in (0, 1) for line in answers.splitlines()] == [True, True]
    listed = client.list_transform_jobs(NameContains="plain-transform")["TransformJobSummaries"]
    assert [summary["TransformJobStatus"] for summary in listed] == ["Completed"]

    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "plain-model",
        "InitialInstanceCount": 1,
        "InstanceType": "local_process",
    }
    client.create_endpoint_config(EndpointConfigName="plain", ProductionVariants=[variant])
    client.create_endpoint(EndpointName="plain", EndpointConfigName="plain")
    client.get_waiter("endpoint_in_service").wait(EndpointName="plain", WaiterConfig={"Delay": 1})
    runtime = boto3.client(
        "sagemaker-runtime",
        endpoint_url=address.api_url,
        region_name=address.region,
        aws_access_key_id=address.access_key,
        aws_secret_access_key=address.secret_key,
    )
    answer = runtime.invoke_endpoint(
        EndpointName="plain", Body=b"[0.1,0,0,0]\n[0,0,0,0.1]\n", ContentType="application/jsonlines"
    )
    assert answer["ContentType"] == "application/jsonlines"
    # One forward pass over the same two states: the very bytes of the batch transform.
    assert answer["Body"].read() == answers
    client.delete_endpoint(EndpointName="plain")
    client.get_waiter("endpoint_deleted").wait(EndpointName="plain", WaiterConfig={"Delay": 1})
    client.delete_endpoint_config(EndpointConfigName="plain")
    client.delete_model(ModelName="plain-model")
    with pytest.raises(botocore.exceptions.ClientError, match="Could not find model"):
        client.describe_model(ModelName="plain-model")
