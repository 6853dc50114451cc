"""STS, IAM and ECR's metadata, answered by moto; nothing else is let through to it.

moto takes more than a second to import, so that it is imported with the first request that needs it. It keeps nothing
when the API server ends: what a caller made in IAM is gone then, the local cloud's own role is there again.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlencode
from xml.etree import ElementTree

from launcher.api.errors import ApiError
from launcher.api.roles import MANAGED_POLICY, TRUST_POLICY
from launcher.local.host.address import REGION, ROLE_NAME
from launcher.local.server.callers import ROLE_ARN, SIMULATE, simulated
from launcher.local.server.protocol.auth import Keyring, Keys
from launcher.local.server.protocol.errors import unknown_operation
from launcher.local.server.protocol.wire import Request, Response

ALLOWED = {
    "sts": frozenset({"GetCallerIdentity", "AssumeRole", "GetSessionToken"}),
    "iam": frozenset(
        {"GetRole", "CreateRole", "DeleteRole", "ListRoles", "UpdateAssumeRolePolicy", "TagRole", "GetUser"}
        | {"AttachRolePolicy", "DetachRolePolicy", "ListAttachedRolePolicies"}
        | {"PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy", "ListRolePolicies"}
        | {"CreatePolicy", "GetPolicy", "DeletePolicy", "ListPolicies"}
    ),
    "ecr": frozenset({"DescribeImages", "DescribeRepositories", "ListImages", "BatchGetImage", "CreateRepository"}),
}
ISSUING = frozenset({"AssumeRole", "GetSessionToken"})
DEFAULT_SECONDS = 3600
FORM = "application/x-www-form-urlencoded"
# moto reads these when it is imported: the account that it speaks for, and that AWS's own policies are there.
ACCOUNT_VARIABLE = "MOTO_ACCOUNT_ID"
POLICIES_VARIABLE = "MOTO_IAM_LOAD_MANAGED_POLICIES"

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class MotoServices:
    """The services that moto answers.

    Args:
        account_id: the account that it speaks for.
        keyring: told about temporary credentials, so that they open the API server.
    """

    def __init__(self, account_id: str, keyring: Keyring) -> None:
        self._account_id = account_id
        self._keyring = keyring
        self._app: WsgiApp | None = None
        self._has_role = False
        self._lock = threading.RLock()

    def answer(self, request: Request, body: bytes, service: str) -> Response:
        """Answer one verified request.

        Raises:
            ApiError: the operation is not on the list.
        """
        action = _action(request, body)
        if service == "iam":
            self._provide_role()
        if (service, action) == ("iam", SIMULATE):
            return self._simulate(parse_qs(body.decode("utf-8", "replace")))
        if action not in ALLOWED.get(service, ()):
            raise unknown_operation(service, action)
        answer = self._ask(request.environ, body)
        if action in ISSUING and answer.status == 200 and isinstance(answer.body, bytes):
            self._lend(answer.body, body)
        return answer

    def _ask(self, environ: dict[str, Any], body: bytes) -> Response:
        status, headers = 500, []

        def start_response(line: str, given: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
            nonlocal status, headers
            status, headers = int(line.split()[0]), given
            return lambda data: None

        environ = environ | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        content = b"".join(self._loaded()(environ, start_response))
        kept = tuple((name, value) for name, value in headers if name.lower() in ("content-type", "x-amzn-requestid"))
        return Response(status, content, kept)

    def _ask_iam(self, action: str, **parameters: str) -> Response:
        host = "iam.amazonaws.com"
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "SERVER_NAME": host,
            "SERVER_PORT": "80",
            "HTTP_HOST": host,
            "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/iam/aws4_request",
            "CONTENT_TYPE": FORM,
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
        }
        return self._ask(environ, urlencode({"Action": action, "Version": "2010-05-08"} | parameters).encode())

    def _provide_role(self) -> None:
        """Have the local cloud's role in IAM, once: a caller may delete it."""
        self._loaded()
        with self._lock:
            if self._has_role:
                return
            self._ask_iam("CreateRole", RoleName=ROLE_NAME, AssumeRolePolicyDocument=TRUST_POLICY)
            self._ask_iam("AttachRolePolicy", RoleName=ROLE_NAME, PolicyArn=MANAGED_POLICY)
            self._has_role = True

    def _simulate(self, parameters: dict[str, list[str]]) -> Response:
        """What a role may do, if there is that role.

        Raises:
            ApiError: it is no role that is asked about.
        """
        role = ROLE_ARN.fullmatch(parameters.get("PolicySourceArn", [""])[0])
        if role is None:
            raise ApiError("InvalidInput", "The local cloud simulates policies of roles: give the ARN of one.", 400)
        found = self._ask_iam("GetRole", RoleName=role["name"])
        return simulated(parameters) if found.status == 200 else found

    def _loaded(self) -> WsgiApp:
        with self._lock:
            if self._app is None:
                os.environ[ACCOUNT_VARIABLE] = self._account_id
                os.environ[POLICIES_VARIABLE] = "true"
                from moto.server import (  # type: ignore[attr-defined]
                    DomainDispatcherApplication,
                    create_backend_app,
                )

                self._app = DomainDispatcherApplication(create_backend_app)
            return self._app

    def _lend(self, content: bytes, body: bytes) -> None:
        texts = {node.tag.rpartition("}")[2]: node.text or "" for node in ElementTree.fromstring(content).iter()}
        asked = parse_qs(body.decode()).get("DurationSeconds", [str(DEFAULT_SECONDS)])[0]
        seconds = float(asked) if asked.isdigit() else DEFAULT_SECONDS
        self._keyring.issue(Keys(texts["AccessKeyId"], texts["SecretAccessKey"], texts["SessionToken"]), seconds)


def _action(request: Request, body: bytes) -> str:
    if target := request.headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    if request.headers.get("content-type", "").startswith(FORM):
        return parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
    return ""
