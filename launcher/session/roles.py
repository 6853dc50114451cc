"""The role that a job acts as."""

from __future__ import annotations

import re

import botocore.exceptions

from batchrl.contract.errors import InputError
from launcher.api.roles import MANAGED_POLICY, TRUST_POLICY
from launcher.base.notices import say
from launcher.local.host.address import ACCOUNT_ID, ROLE
from launcher.session.answers import is_denied
from launcher.session.session import AwsSession, Session


def get_execution_role(role_name: str = "sagemaker", session: Session | None = None) -> str:
    """ARN of the role that jobs act as; on AWS it is created where it does not exist.

    Args:
        role_name: its name in IAM.
        session: the cloud; None for AWS where credentials are configured, else the local one, whose jobs need no role.

    Raises:
        InputError: IAM refuses.
        Unreachable: IAM does not answer.
    """
    if session is None:
        aws = Session.aws()
        if aws.boto_session.get_credentials() is None:
            say("No AWS credentials found: this role is for local jobs.")
            return ROLE
        session = aws
    if not isinstance(session, AwsSession):
        return ROLE
    return _aws_role(role_name, session)


def role_arn(role: str | None, session: Session) -> str:
    """The ARN for what a user gave as a role: an ARN, a name, or nothing.

    Raises:
        InputError: nothing was given for a job on AWS.
    """
    if role and role.startswith("arn:"):
        return role
    if session.is_local:
        return f"arn:aws:iam::{ACCOUNT_ID}:role/{re.sub('[^a-zA-Z0-9_+=,.@-]', '-', role)}" if role else ROLE
    if not role:
        raise InputError("a job on AWS needs a role.", "role=launcher.get_execution_role(), or the ARN of your own.")
    return f"arn:aws:iam::{session.account_id}:role/{role}"


def _aws_role(name: str, session: AwsSession) -> str:
    iam = session.client("iam")
    try:
        try:
            return str(iam.get_role(RoleName=name)["Role"]["Arn"])
        except iam.exceptions.NoSuchEntityException:
            arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_POLICY)["Role"]["Arn"])
            iam.attach_role_policy(RoleName=name, PolicyArn=MANAGED_POLICY)
            say(f"Created the role {name} with the policy AmazonSageMakerFullAccess.")
            return arn
    except botocore.exceptions.ClientError as error:
        if not is_denied(error):
            with session.reported(f"looking up the role {name}", iam):
                raise
        raise InputError(
            f"the role '{name}' can be neither found nor made: {error.response['Error'].get('Message', 'denied')}",
            "Ask for iam:GetRole, iam:CreateRole and iam:AttachRolePolicy, or give the ARN of a role that exists.",
        ) from error
    except botocore.exceptions.BotoCoreError:
        with session.reported(f"looking up the role {name}", iam):
            raise
