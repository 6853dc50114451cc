"""STS, IAM and ECR's metadata, answered by moto; nothing else is let through to it.

moto takes more than a second to import, so that it is imported with the first request that needs it.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

from launcher.api.errors import ApiError
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
        self._lock = threading.Lock()

    def answer(self, request: Request, body: bytes, service: str) -> Response:
        """Answer one verified request.

        Raises:
            ApiError: the operation is not on the list.
        """
        action = _action(request, body)
        if (service, action) == ("iam", "SimulatePrincipalPolicy"):
            # The `sagemaker` SDK reads a denial as "unknown, go on"; moto's own answer would crash it.
            raise ApiError("AccessDenied", "The local cloud does not simulate policies.", 403)
        if action not in ALLOWED.get(service, ()):
            raise unknown_operation(f"{service}:{action or request.method}")
        environ = dict(request.environ)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        status, headers = 500, []

        def start_response(line: str, given: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
            nonlocal status, headers
            status, headers = int(line.split()[0]), given
            return lambda data: None

        content = b"".join(self._loaded()(environ, start_response))
        if action in ISSUING and status == 200:
            self._lend(content, body)
        kept = tuple((name, value) for name, value in headers if name.lower() in ("content-type", "x-amzn-requestid"))
        return Response(status, content, kept)

    def _loaded(self) -> WsgiApp:
        with self._lock:
            if self._app is None:
                os.environ["MOTO_ACCOUNT_ID"] = self._account_id
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
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
    return ""
