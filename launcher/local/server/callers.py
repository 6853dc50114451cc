"""Who a caller is, and what a role may do: STS's GetCallerIdentity and IAM's SimulatePrincipalPolicy.

The owner of the local cloud is a session of its role, so that who takes the caller's role for jobs finds one. The local
cloud holds no role to policies: every role may do everything.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from launcher.api.errors import ApiError
from launcher.local.host.address import ROLE
from launcher.local.keys.grants import Grant
from launcher.local.server.protocol.auth import Keys
from launcher.local.server.protocol.wire import Request, Response

STS = "sts"
IDENTITY = "GetCallerIdentity"
SIMULATE = "SimulatePrincipalPolicy"
ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/(?:.*/)?(?P<name>[^/]+)")
NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
# What IAM answers about at once: these many actions, by as many resources.
MOST_RESULTS = 10_000


def identity(keys: Keys, request: Request, body: bytes, account_id: str) -> Response | None:
    """The answer to GetCallerIdentity; None for another operation, and for temporary keys, which moto issued.

    A job is a session of the role of its request, as SageMaker assumes it.

    Args:
        keys: what the request was signed with.
        request: of STS.
        body: its form.
        account_id: the cloud's account.
    """
    fields = parse_qs(body.decode("utf-8", "replace")) or parse_qs(request.query)
    if fields.get("Action") != [IDENTITY]:
        return None
    if keys.grant is not None:
        return _session(keys.grant, account_id)
    return None if keys.token else _answered(ROLE.rpartition("/")[2], "owner", keys.access_key, account_id)


def _session(grant: Grant, account_id: str) -> Response:
    return _answered(grant.role_arn.rpartition("/")[2] or "none", "SageMaker", grant.access_key, account_id)


def _answered(role: str, session: str, access_key: str, account_id: str) -> Response:
    xml = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>arn:aws:sts::{account_id}:assumed-role/{escape(role)}/{session}</Arn>"
        f"<UserId>AROA{escape(access_key[-16:])}:{session}</UserId><Account>{account_id}</Account>"
        "</GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
    return Response(200, f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}'.encode(), (("Content-Type", "text/xml"),))


def simulated(parameters: Mapping[str, Sequence[str]]) -> Response:
    """The answer: each action on each resource is allowed.

    Args:
        parameters: of the request, ``ActionNames.member.1`` and so on.

    Raises:
        ApiError: it names no action, or too many.
    """
    actions = list(_members(parameters, "ActionNames"))
    resources = list(_members(parameters, "ResourceArns")) or ["*"]
    if not actions or len(actions) * len(resources) > MOST_RESULTS:
        raise ApiError("InvalidInput", f"Name 1 to {MOST_RESULTS:,} actions, times resources.", 400)
    results = "".join(_result(action, resource) for action in actions for resource in resources)
    text = (
        f'<{SIMULATE}Response xmlns="{NAMESPACE}"><{SIMULATE}Result><IsTruncated>false</IsTruncated>'
        f"<EvaluationResults>{results}</EvaluationResults></{SIMULATE}Result>"
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{SIMULATE}Response>"
    )
    return Response(200, text.encode(), (("Content-Type", "text/xml"),))


def _members(parameters: Mapping[str, Sequence[str]], name: str) -> Iterator[str]:
    number = 1
    while given := parameters.get(f"{name}.member.{number}"):
        yield given[0]
        number += 1


def _result(action: str, resource: str) -> str:
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{escape(resource)}</EvalResourceName><EvalDecision>allowed</EvalDecision>"
        "<MatchedStatements/><MissingContextValues/></member>"
    )
