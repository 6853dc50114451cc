"""Sessions: which cloud, whose credentials, and what is said when nobody answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from batchrl.contract.errors import InputError, Unreachable
from launcher.jobs.training import list_jobs
from launcher.local.host.address import ROLE, CloudAddress, Identity, StoreAddress
from launcher.local.host.home import HomePaths
from launcher.session.roles import get_execution_role, role_arn
from launcher.session.session import AwsSession, LocalSession, Session, resolve_session, session_from

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalSession:
    """A local session whose cloud is an address at which nobody listens."""
    store = StoreAddress("http://127.0.0.1:10", "us-east-1", "LOCALSTOREKEY00", "storesecret")
    address = CloudAddress(tmp_path, NOBODY, "us-east-1", "LOCALCLOUDKEY00", "cloudsecret", store)
    monkeypatch.setattr("launcher.local.cloud.ensure_up", lambda home=None: address)
    return Session.local(tmp_path)


def keys_of(client: Any) -> tuple[str, str | None]:
    credentials = client._request_signer._credentials.get_frozen_credentials()
    return credentials.access_key, credentials.token


def test_the_local_session_sees_nothing_of_awss_environment(
    local: LocalSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:11\n")
    for name, value in {
        "AWS_PROFILE": "no-such-profile",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:12",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": str(config),
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:13",
        "http_proxy": "http://127.0.0.1:13",
    }.items():
        monkeypatch.setenv(name, value)
    assert keys_of(local.sagemaker) == ("LOCALCLOUDKEY00", None)
    assert keys_of(local.logs) == ("LOCALCLOUDKEY00", None)
    assert keys_of(local.runtime) == ("LOCALCLOUDKEY00", None)
    assert local.runtime.meta.endpoint_url == NOBODY
    assert keys_of(local.s3) == ("LOCALSTOREKEY00", None)
    assert local.sagemaker.meta.endpoint_url == NOBODY
    assert local.sagemaker.meta.region_name == "us-east-1"
    assert local.sagemaker._endpoint.http_session._proxy_config._proxies == {}
    assert local.s3._endpoint.http_session._proxy_config._proxies == {}


def test_a_cloud_that_does_not_answer_is_named(local: LocalSession) -> None:
    with pytest.raises(Unreachable, match=NOBODY) as caught:
        list_jobs(local)
    assert caught.value.exit_code == 3


def test_an_aws_that_does_not_answer_is_named() -> None:
    session = AwsSession(boto3.Session("AKIATEST", "x", region_name="us-east-1"), endpoint_url=NOBODY)
    session._clients["sagemaker"] = session.boto_session.client("sagemaker", endpoint_url=NOBODY)
    with pytest.raises(Unreachable, match=NOBODY):
        list_jobs(session)


def test_awss_credentials_never_go_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    with pytest.raises(InputError, match="AWS_ENDPOINT_URL"):
        _ = Session.aws().sagemaker


def test_the_local_clouds_own_credentials_may(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = HomePaths.of(tmp_path / "home")
    home.create()
    identity = Identity.create()
    identity.write(home.cloud_file)
    monkeypatch.setenv("BATCHRL_HOME", str(home.root))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{identity.api_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", identity.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", identity.secret_key)
    assert Session.aws().sagemaker.meta.endpoint_url == f"http://127.0.0.1:{identity.api_port}"


def test_missing_credentials_and_region_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no credentials"):
        list_jobs(Session.aws())
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(InputError, match="no AWS region"):
        _ = Session.aws().region


def test_the_region_is_that_of_aws_region_before_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert Session.aws().region == "eu-west-1"
    assert Session.aws().sagemaker.meta.region_name == "eu-west-1"
    assert Session.aws().s3.meta.region_name == "eu-west-1"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert Session.aws().sagemaker.meta.region_name == "eu-west-1"
    assert Session.aws(boto3.Session()).region == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_REGION", "")
    assert Session.aws().region == "eu-north-1"


def test_a_region_that_a_program_names_is_not_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    named = boto3.Session(region_name="ap-south-1")
    assert Session.aws(named).sagemaker.meta.region_name == "ap-south-1"
    assert Session.aws(named, region="us-west-2").sagemaker.meta.region_name == "us-west-2"


def test_a_profile_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    with pytest.raises(InputError, match="nope"):
        _ = Session.aws().region


def test_the_instance_type_chooses_the_cloud() -> None:
    assert not Session.for_instance_type("ml.m5.large").is_local
    assert Session.for_instance_type("local_process").is_local
    assert resolve_session(None, "local").is_local
    boto_session = boto3.Session(region_name="eu-west-1")
    found = resolve_session(boto_session, "ml.m5.large")
    assert isinstance(found, AwsSession)
    assert found.region == "eu-west-1"
    assert resolve_session(boto_session, "local").is_local
    with pytest.raises(InputError, match="runs on this computer"):
        resolve_session(Session.aws(), "local")
    with pytest.raises(InputError, match="is no session"):
        resolve_session("us-east-1", "local")


def test_a_session_with_the_local_clouds_keys_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHRL_HOME", str(tmp_path))
    theirs = boto3.Session("AKIATEST", "x", region_name="us-east-1")
    assert not session_from(theirs).is_local  # there is no local cloud at all
    identity = Identity.create()
    identity.write(HomePaths.of(tmp_path).cloud_file)
    ours = boto3.Session(identity.access_key, identity.secret_key, region_name="us-east-1")
    of_the_sdk = SimpleNamespace(boto_session=ours)
    assert [session_from(one).is_local for one in (ours, of_the_sdk, theirs)] == [True, True, False]
    assert [resolve_session(one, "ml.m5.large").is_local for one in (ours, of_the_sdk, theirs)] == [True, True, False]
    HomePaths.of(tmp_path).cloud_file.write_text("damaged")
    assert not session_from(ours).is_local


def test_the_default_buckets(aws: AwsSession) -> None:
    assert Session.local().default_bucket == "batchrl-local"
    assert aws.default_bucket == f"sagemaker-us-east-1-{aws.account_id}"


def test_only_the_default_bucket_is_made(aws: AwsSession) -> None:
    aws.provide_bucket("somebody-elses")
    aws.provide_bucket(aws.default_bucket)
    names = {bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]}
    assert aws.default_bucket in names
    assert "somebody-elses" not in names


def test_a_role_is_found_or_made_on_aws(aws: AwsSession) -> None:
    first = get_execution_role("batchrl-jobs", aws)
    assert first.endswith(":role/batchrl-jobs")
    assert get_execution_role("batchrl-jobs", aws) == first
    iam = aws.client("iam")
    attached = iam.list_attached_role_policies(RoleName="batchrl-jobs")["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonSageMakerFullAccess"]
    document = iam.get_role(RoleName="batchrl-jobs")["Role"]["AssumeRolePolicyDocument"]
    assert "sagemaker.amazonaws.com" in json.dumps(document)


def test_a_role_that_may_not_be_made_is_told_with_what_to_ask_for(
    aws: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.exceptions

    def denied(**_: Any) -> None:
        raise botocore.exceptions.ClientError(
            {"Error": {"Code": "AccessDenied", "Message": "not authorized to perform iam:CreateRole"}}, "CreateRole"
        )

    monkeypatch.setattr(aws.client("iam"), "create_role", denied)
    with pytest.raises(InputError, match="iam:CreateRole") as caught:
        get_execution_role("another", aws)
    assert "iam:AttachRolePolicy" in str(caught.value.hint)


def test_local_jobs_need_no_role(capsys: Any) -> None:
    assert get_execution_role(session=Session.local()) == ROLE
    assert get_execution_role() == ROLE
    assert "No AWS credentials" in capsys.readouterr().err
    assert role_arn("my role", Session.local()) == "arn:aws:iam::000000000000:role/my-role"
    assert role_arn("arn:aws:iam::123456789012:role/x", Session.local()) == "arn:aws:iam::123456789012:role/x"


def test_importing_the_launcher_loads_nothing_heavy() -> None:
    code = (
        "import sys, time, launcher; cpu = time.process_time();"
        "heavy = {'boto3', 'botocore', 'pandas', 'numpy', 'torch', 'docker', 'pydantic', 'matplotlib', 'yaml'};"
        "print(sorted(heavy & set(sys.modules)), cpu < 0.3)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "[] True\n"


def test_every_public_name_can_be_had() -> None:
    import launcher

    for name in launcher.__all__:
        assert getattr(launcher, name) is not None
    assert set(launcher.__all__) <= set(dir(launcher))
    with pytest.raises(AttributeError, match="nothing"):
        _ = launcher.nothing
