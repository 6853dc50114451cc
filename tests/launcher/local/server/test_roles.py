"""IAM and STS as the SDKs ask them before a job: the local cloud's role, AWS's policies, and who the caller is."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from api_servers import RunningServer, of_cloud
from botocore.exceptions import ClientError

from launcher.api.roles import TRUST_POLICY
from launcher.local import cloud
from launcher.local.host.address import ACCOUNT_ID, ROLE, ROLE_NAME

DOCUMENT = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
)
POLICY = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"


def code_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_the_role_of_the_local_cloud_is_there_and_trusts_sagemaker(api_server: RunningServer) -> None:
    iam = api_server.client("iam")
    role = iam.get_role(RoleName=ROLE_NAME)["Role"]
    assert role["Arn"] == ROLE
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Allow", {"Service": "sagemaker.amazonaws.com"})
    assert statement["Action"] == "sts:AssumeRole"
    attached = iam.list_attached_role_policies(RoleName=ROLE_NAME)["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [POLICY]
    assert ROLE_NAME in [one["RoleName"] for one in iam.list_roles()["Roles"]]


def test_who_deletes_the_role_has_deleted_it(api_server: RunningServer) -> None:
    iam = api_server.client("iam")
    iam.detach_role_policy(RoleName=ROLE_NAME, PolicyArn=POLICY)
    iam.delete_role(RoleName=ROLE_NAME)
    assert code_of(iam.get_role, RoleName=ROLE_NAME) == "NoSuchEntity"


def test_policies_of_aws_can_be_attached_to_a_role_of_ones_own(api_server: RunningServer) -> None:
    iam = api_server.client("iam")
    assert iam.get_policy(PolicyArn=POLICY)["Policy"]["PolicyName"] == "AmazonSageMakerFullAccess"
    iam.create_role(RoleName="of-mine", AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(RoleName="of-mine", PolicyArn=POLICY)
    assert iam.list_attached_role_policies(RoleName="of-mine")["AttachedPolicies"][0]["PolicyArn"] == POLICY


def test_every_action_is_allowed_to_a_role_that_there_is(api_server: RunningServer) -> None:
    iam = api_server.client("iam")
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=ROLE, ActionNames=["s3:PutObject", "logs:<&>"], ResourceArns=["arn:aws:s3:::b/*", "*"]
    )
    results = [result for page in pages for result in page["EvaluationResults"]]
    assert [(one["EvalActionName"], one["EvalResourceName"], one["EvalDecision"]) for one in results] == [
        ("s3:PutObject", "arn:aws:s3:::b/*", "allowed"),
        ("s3:PutObject", "*", "allowed"),
        ("logs:<&>", "arn:aws:s3:::b/*", "allowed"),
        ("logs:<&>", "*", "allowed"),
    ]
    iam.create_role(RoleName="mine", Path="/service-role/", AssumeRolePolicyDocument="{}")
    mine = f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/mine"
    answer = iam.simulate_principal_policy(PolicySourceArn=mine, ActionNames=["s3:GetObject"])
    assert [one["EvalDecision"] for one in answer["EvaluationResults"]] == ["allowed"]


def test_roles_have_policies_of_their_own_tags_and_another_trust(api_server: RunningServer) -> None:
    iam, name = api_server.client("iam"), f"role-{uuid.uuid4()}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=DOCUMENT)
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["inline"]
    assert iam.get_role_policy(RoleName=name, PolicyName="inline")["PolicyDocument"] == json.loads(DOCUMENT)
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []
    iam.tag_role(RoleName=name, Tags=[{"Key": "team", "Value": "rl"}])
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=TRUST_POLICY)
    role = iam.get_role(RoleName=name)["Role"]
    assert role["Tags"] == [{"Key": "team", "Value": "rl"}]
    assert role["AssumeRolePolicyDocument"] == json.loads(TRUST_POLICY)


def test_policies_are_made_listed_and_deleted(api_server: RunningServer) -> None:
    iam, name = api_server.client("iam"), f"policy-{uuid.uuid4()}"
    arn = iam.create_policy(PolicyName=name, PolicyDocument=DOCUMENT)["Policy"]["Arn"]
    assert name in [one["PolicyName"] for one in iam.list_policies(Scope="Local", MaxItems=1000)["Policies"]]
    iam.delete_policy(PolicyArn=arn)
    assert code_of(iam.get_policy, PolicyArn=arn) == "NoSuchEntity"
    assert code_of(iam.get_user, UserName=name) == "NoSuchEntity"


def test_temporary_keys_and_metadata_of_images(api_server: RunningServer) -> None:
    keys = api_server.client("sts").get_session_token()["Credentials"]
    assert keys["SessionToken"]
    ecr, name = api_server.client("ecr"), f"images-{uuid.uuid4()}"
    ecr.create_repository(repositoryName=name)
    assert ecr.describe_repositories(repositoryNames=[name])["repositories"][0]["repositoryName"] == name
    assert ecr.list_images(repositoryName=name)["imageIds"] == []
    assert ecr.describe_images(repositoryName=name)["imageDetails"] == []
    missing = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "none"}])
    assert missing["failures"][0]["failureCode"] == "ImageNotFound"


@pytest.mark.parametrize(
    ("source", "actions", "code"),
    [
        (f"arn:aws:iam::{ACCOUNT_ID}:role/nobody", ["s3:GetObject"], "NoSuchEntity"),
        (f"arn:aws:iam::{ACCOUNT_ID}:user/somebody", ["s3:GetObject"], "InvalidInput"),
        (ROLE, [], "InvalidInput"),
    ],
)
def test_what_cannot_be_simulated_is_told(
    api_server: RunningServer, source: str, actions: list[str], code: str
) -> None:
    iam = api_server.client("iam")
    assert code_of(iam.simulate_principal_policy, PolicySourceArn=source, ActionNames=actions) == code


def test_the_owner_is_a_session_of_the_role_and_who_assumed_another_is_one_of_that(api_server: RunningServer) -> None:
    sts = api_server.client("sts")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{ROLE_NAME}/owner"
    keys = sts.assume_role(RoleArn=ROLE, RoleSessionName="job")["Credentials"]
    assumed = api_server.client(
        "sts",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    ).get_caller_identity()
    assert assumed["Arn"].endswith(f":assumed-role/{ROLE_NAME}/job")
    assert assumed["Account"] == ACCOUNT_ID


def test_the_role_is_there_again_after_a_restart(home: Path) -> None:
    for _ in range(2):
        iam = of_cloud("iam", cloud.ensure_up(home))
        assert [one["RoleName"] for one in iam.list_roles()["Roles"]] == [ROLE_NAME]
        iam.create_role(RoleName="mine", AssumeRolePolicyDocument="{}")
        cloud.down(home)
