"""Nobody without the credentials gets an answer, and everybody gets the error that AWS would give."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import boto3
import pytest
from api_servers import KEYS, RunningServer, job_request, make_client, post, signed
from botocore.exceptions import ClientError

TARGET = "SageMaker.ListTrainingJobs"


def _code(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def _signed(api_server: RunningServer, body: bytes, **more: str) -> dict[str, str]:
    return signed(api_server, TARGET, body, **more)


def _type(content: bytes) -> str:
    return str(json.loads(content)["__type"])


def test_the_right_credentials_open_the_server(api_server: RunningServer) -> None:
    assert api_server.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
    assert post(api_server, b"{}", _signed(api_server, b"{}"))[0] == 200


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("sagemaker", "list_training_jobs", ("InvalidSignatureException", 400)),
        ("logs", "describe_log_groups", ("InvalidSignatureException", 400)),
        ("sts", "get_caller_identity", ("SignatureDoesNotMatch", 403)),
        ("s3", "list_buckets", ("SignatureDoesNotMatch", 403)),
    ],
)
def test_a_wrong_secret_is_refused(
    api_server: RunningServer, service: str, operation: str, expected: tuple[str, int]
) -> None:
    client = api_server.client(service, aws_secret_access_key="another-secret")
    assert _code(getattr(client, operation)) == expected


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("sagemaker", "list_training_jobs", ("UnrecognizedClientException", 400)),
        ("sts", "get_caller_identity", ("InvalidClientTokenId", 403)),
        ("s3", "list_buckets", ("InvalidAccessKeyId", 403)),
    ],
)
def test_an_unknown_key_is_refused(
    api_server: RunningServer, service: str, operation: str, expected: tuple[str, int]
) -> None:
    client = api_server.client(service, aws_access_key_id="AKIAIOSFODNN7EXAMPLE")
    assert _code(getattr(client, operation)) == expected


def test_a_session_token_that_we_did_not_give_is_refused(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker", aws_session_token="invented")
    assert _code(client.list_training_jobs)[0] == "UnrecognizedClientException"


def test_unsigned_requests_are_refused_in_every_wire_form(api_server: RunningServer) -> None:
    status, content = post(api_server, b"{}", {"x-amz-target": TARGET})
    assert (status, _type(content)) == (400, "MissingAuthenticationTokenException")
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    status, content = post(api_server, b"Action=GetCallerIdentity&Version=2011-06-15", form)
    assert (status, b"<Code>MissingAuthenticationToken</Code>" in content) == (403, True)
    status, content = post(api_server, b"", {})
    assert (status, b"<Code>AccessDenied</Code>" in content) == (403, True)


@pytest.mark.parametrize(
    "header",
    [
        "Basic dXNlcjpwYXNz",
        "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/sagemaker/aws4_request, SignedHeaders=, Signature=00",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ,,,===",
    ],
)
def test_broken_signatures_are_refused(api_server: RunningServer, header: str) -> None:
    status, content = post(api_server, b"{}", {"authorization": header, "x-amz-target": TARGET})
    assert (status, _type(content)) == (400, "IncompleteSignatureException")


@pytest.mark.parametrize(("minutes", "text"), [(6, "Signature expired"), (-6, "Signature not yet current")])
def test_a_replayed_or_early_request_is_refused(api_server: RunningServer, minutes: int, text: str) -> None:
    api_server.times["ahead"] = datetime.timedelta(minutes=minutes)
    with pytest.raises(ClientError, match=text) as caught:
        api_server.client("sagemaker").list_training_jobs()
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_five_minutes_of_skew_are_taken(api_server: RunningServer) -> None:
    api_server.times["ahead"] = datetime.timedelta(minutes=4, seconds=30)
    assert api_server.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []


def test_a_changed_body_is_refused(api_server: RunningServer) -> None:
    headers = _signed(api_server, b'{"MaxResults": 1}')
    status, content = post(api_server, b'{"MaxResults": 2}', headers)
    assert (status, _type(content)) == (400, "InvalidSignatureException")


def test_a_body_without_a_signed_digest_is_refused(api_server: RunningServer) -> None:
    headers = _signed(api_server, b"{}", **{"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    status, content = post(api_server, b"{}", headers)
    assert (status, _type(content)) == (400, "InvalidSignatureException")


def test_a_changed_signed_header_is_refused(api_server: RunningServer) -> None:
    headers = _signed(api_server, b"{}") | {"x-amz-target": "SageMaker.DeleteTrainingJob"}
    assert _type(post(api_server, b"{}", headers)[1]) == "InvalidSignatureException"


def test_the_date_of_the_scope_is_that_of_the_request(api_server: RunningServer) -> None:
    headers = _signed(api_server, b"{}")
    headers["Authorization"] = re.sub(r"/\d{8}/", "/20200101/", headers["Authorization"])
    assert _type(post(api_server, b"{}", headers)[1]) == "InvalidSignatureException"


def test_a_signature_for_one_service_does_not_open_another(api_server: RunningServer) -> None:
    headers = _signed(api_server, b"{}")
    headers["X-Amz-Target"] = "Logs_20140328.DescribeLogGroups"
    del headers["x-amz-target"]
    assert post(api_server, b"{}", headers)[0] == 400


def test_nothing_of_a_refused_request_is_done(api_server: RunningServer) -> None:
    client = api_server.client("sagemaker", aws_secret_access_key="another-secret")
    assert _code(client.create_training_job, **job_request())[0] == "InvalidSignatureException"
    assert (api_server.records.list(), api_server.handed) == ([], [])


def test_an_oversized_body_is_refused_before_it_is_read(api_server: RunningServer) -> None:
    headers = _signed(api_server, b"{}") | {"content-length": str(1 << 40)}
    assert post(api_server, b"{}", headers)[0] == 413


def test_an_assumed_role_opens_the_server(api_server: RunningServer) -> None:
    sts = api_server.client("sts")
    assert sts.get_caller_identity()["Account"] == api_server.context.account_id
    role = f"arn:aws:iam::{api_server.context.account_id}:role/any"
    lent = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    session = boto3.Session(lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"], "us-east-1")
    assert session.client("sagemaker", endpoint_url=api_server.url).list_training_jobs()["TrainingJobSummaries"] == []
    without_token = make_client("sagemaker", api_server.url, lent["AccessKeyId"], lent["SecretAccessKey"])
    assert _code(without_token.list_training_jobs)[0] == "UnrecognizedClientException"


def test_services_and_operations_beyond_the_list_are_unknown_and_not_tried_again(api_server: RunningServer) -> None:
    for service, operation in (
        ("sqs", "list_queues"),
        ("ec2", "describe_instances"),
        ("iam", "list_users"),
        ("sagemaker", "list_pipelines"),
        ("dynamodb", "list_tables"),
    ):
        client = boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=api_server.url,
            region_name="us-east-1",
            aws_access_key_id=KEYS.access_key,
            aws_secret_access_key=KEYS.secret_key,
        )
        with pytest.raises(ClientError) as caught:
            getattr(client, operation)()
        answer = caught.value.response
        assert answer["Error"]["Code"] == "UnknownOperationException"
        assert answer["ResponseMetadata"]["RetryAttempts"] == 0


def test_roles_and_image_metadata_come_from_moto(api_server: RunningServer) -> None:
    iam = api_server.client("iam")
    iam.create_role(RoleName="trainer", AssumeRolePolicyDocument="{}")
    assert iam.get_role(RoleName="trainer")["Role"]["Arn"].endswith(":role/trainer")
    assert _code(api_server.client("ecr").describe_images, repositoryName="none")[0] == "RepositoryNotFoundException"


@pytest.mark.parametrize("host", ["[[[[", "&a [*a]", "[::1"])
def test_a_host_that_can_be_none_is_refused_without_a_fault_of_ours(api_server: RunningServer, host: str) -> None:
    status, content = post(api_server, b"{}", _signed(api_server, b"{}") | {"host": host})
    assert (status // 100, _type(content)) == (4, "IncompleteSignatureException")
