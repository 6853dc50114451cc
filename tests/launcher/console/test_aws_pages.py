"""The console of an AWS account, which is moto: the same pages, asked for more rarely."""

from __future__ import annotations

import botocore.exceptions
import pytest
from consoles import BASE, PORT, Reader
from werkzeug.test import Client

from launcher.console.access import Access
from launcher.console.app import Console
from launcher.console.watched import WatchedCloud
from launcher.session.session import AwsSession

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/batchrl:0.1.0"


@pytest.fixture
def reader(aws: AwsSession) -> Reader:
    access = Access(PORT)
    console = Console(WatchedCloud(aws), access, lambda error: pytest.fail(repr(error)))
    found = Reader(Client(console), access)
    found.get(access.link.removeprefix(BASE))
    return found


def create(aws: AwsSession) -> None:
    """A training job that never runs."""
    aws.s3.create_bucket(Bucket="results")
    aws.sagemaker.create_training_job(
        TrainingJobName="there",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=f"arn:aws:iam::{aws.account_id}:role/batchrl-role",
        OutputDataConfig={"S3OutputPath": "s3://results/place"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )


def test_jobs_of_an_account(reader: Reader, aws: AwsSession) -> None:
    create(aws)
    page = reader.get("/").text
    assert "Amazon SageMaker, us-east-1" in page and 'href="/jobs/training/there"' in page
    assert 'data-again="20.0"' in page
    answer = reader.get("/jobs/training/there")
    assert answer.status_code == 200 and "ml.m5.large" in answer.text
    assert "It has said nothing yet." in answer.text
    assert reader.get("/jobs/training/nowhere").status_code == 404


def test_a_log_that_may_not_be_read_is_said_on_the_page(
    reader: Reader, aws: AwsSession, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create(aws)

    def denied(**_: object) -> None:
        answer = {"Error": {"Code": "AccessDeniedException", "Message": "<b>no</b>"}}
        raise botocore.exceptions.ClientError(answer, "DescribeLogStreams")

    monkeypatch.setattr(aws.logs, "describe_log_streams", denied)
    page = reader.get("/jobs/training/there").text
    assert "the log cannot be read" in page and "&lt;b&gt;no&lt;/b&gt;" in page
    assert capfd.readouterr().err == ""  # nothing on the owner's terminal, once a second
