"""The API server as a WSGI application: who may come in, and who answers.

==========================  ====================================================
signed for the service      answered by
==========================  ====================================================
sagemaker, logs             ``operations``; ``POST /endpoints/...`` is its runtime's
s3                          the store, through ``gateway``
sts, iam, ecr               moto, an allow-list of operations (``moto_services``)
batchrl                     the exchange of versions with the client
==========================  ====================================================

All else is UnknownOperationException. A request passes, in this order: its head is read, its key is known and its time
right, its signature holds (before the body is read where the head says the body's digest, else with the body, which is
bounded), it may ask what it asks, and then it is answered. Whatever goes wrong before the signature holds is the
caller's fault, and tells nothing. What a job's key may ask
is decided in ``gateway`` for S3, and in ``jobcalls`` for all else.
"""

from __future__ import annotations

import datetime
import logging
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from batchrl.contract import jsontext
from launcher.api import asked
from launcher.api.constants import WITHOUT_EFFECT
from launcher.api.errors import ApiError
from launcher.api.tuning import TUNING_HEADER
from launcher.local.host.faults import is_full_disk
from launcher.local.host.jobrules import JobRules
from launcher.local.host.version import OWN_SERVICE, VERSION_PATH, proof
from launcher.local.keys.grants import Grant
from launcher.local.server import callers, jobcalls
from launcher.local.server.connections import LET_IN, Budget, Refusals
from launcher.local.server.gateway import Gateway
from launcher.local.server.moto_services import ALLOWED, MotoServices
from launcher.local.server.operations import (
    endpoints,
    logs,
    models,
    processing,
    runtime,
    tags,
    training,
    transforms,
    tunings,
)
from launcher.local.server.operations.context import CALLER, FOR_TUNING_JOB, OF_A_JOB, Context, Operation
from launcher.local.server.protocol import auth, validation
from launcher.local.server.protocol.auth import Keyring, Keys, Signature
from launcher.local.server.protocol.errors import disk_full, rendered, unknown_operation
from launcher.local.server.protocol.wire import Request, Response

MAX_BODY_BYTES = 16 * 1024 * 1024

# Target prefix of the JSON protocol -> name of the service in botocore, and its operations.
JSON_SERVICES: dict[str, tuple[str, dict[str, Operation]]] = {
    "SageMaker": (
        "sagemaker",
        training.OPERATIONS
        | transforms.OPERATIONS
        | processing.OPERATIONS
        | tunings.OPERATIONS
        | models.OPERATIONS
        | endpoints.OPERATIONS
        | tags.OPERATIONS,
    ),
    "Logs_20140328": ("logs", logs.OPERATIONS),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Admitted:
    """A request that was let in.

    Args:
        signature: what it was signed for.
        keys: with what.
        body: all of it; of a request for the store, nothing yet.
    """

    signature: Signature
    keys: Keys
    body: bytes


class App:
    """The API server.

    Args:
        context: what its operations may touch.
        keyring: whom it lets in.
        gateway: the way to the store.
        moto_services: the services that moto answers.
        version: what it says about itself; may wait until the store is ready.
        on_request: called for every request that was let in.
        now: the time, with its zone.
        refusals: where requests are told that could not be read.
    """

    def __init__(
        self,
        context: Context,
        keyring: Keyring,
        gateway: Gateway,
        moto_services: MotoServices,
        version: Callable[[], dict[str, Any]],
        on_request: Callable[[], None] = lambda: None,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        refusals: Refusals | None = None,
    ) -> None:
        self._context = context
        self._keyring = keyring
        self._gateway = gateway
        self._moto_services = moto_services
        self._version = version
        self._on_request = on_request
        self._now = now
        self._refusals = refusals or Refusals()
        self._unverified = Budget()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = self._response(environ).with_identity()
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", list(response.headers))
        return [response.body] if isinstance(response.body, bytes) else response.body

    def _response(self, environ: dict[str, Any]) -> Response:
        request = Request.nothing(environ)
        try:
            request = Request.of(environ)
            admitted = self._admit(request)
        except ApiError as error:
            return rendered(error, request)
        except Exception as error:
            # Nobody has shown yet that they may be here: no traceback, no word of what went wrong inside.
            self._refusals.tell(f"a request: {type(error).__name__}: {error}")
            return rendered(ApiError("BadRequest", "The request cannot be read.", 400), request)
        try:
            return self._answer(request, admitted)
        except ApiError as error:
            return rendered(error, request)
        except Exception as error:
            log.exception("%s %s %s", request.method, request.path, request.headers.get("x-amz-target", ""))
            return rendered(self._fault(error), request)

    def _admit(self, request: Request) -> _Admitted:
        """Check a request's key, time and signature, and read its body, unless it is one for the store.

        Raises:
            ApiError: it is not let in.
        """
        signature = auth.parse(request)
        now = self._now()
        if signature.service == "s3":
            admitted = _Admitted(signature, auth.verify(request, signature, None, self._keyring.find, now), b"")
        else:
            admitted = self._admit_whole(request, signature, now)
        request.environ.get(LET_IN, lambda: None)()
        self._on_request()
        return admitted

    def _admit_whole(self, request: Request, signature: Signature, now: datetime.datetime) -> _Admitted:
        auth.known_keys(signature, self._keyring.find, now)
        if request.length > MAX_BODY_BYTES:
            raise ApiError("RequestEntityTooLarge", f"A request may have {MAX_BODY_BYTES} bytes.", 413)
        if (digest := auth.digest_in_head(request, signature)) is not None:
            auth.verify(request, signature, digest, self._keyring.find, now)
        with self._unverified.share(request.length):
            body = request.read(MAX_BODY_BYTES) or b""
            if len(body) < request.length:
                raise ApiError("RequestTimeout", "The body did not arrive whole in its time.", 400)
            keys = auth.verify(request, signature, auth.digest_of(body), self._keyring.find, now)
        return _Admitted(signature, keys, body)

    def _fault(self, error: Exception) -> ApiError:
        """What to answer when something here did not work."""
        if is_full_disk(error):
            return disk_full(self._context.paths.root)
        if isinstance(error, sqlite3.DatabaseError):
            records = self._context.paths.records
            return ApiError("InternalFailure", f"The records in {records} cannot be used: {error}.", 500)
        return ApiError("InternalFailure", "The API server failed; its log says why.", 500, s3_code="InternalError")

    def _answer(self, request: Request, admitted: _Admitted) -> Response:
        signature, keys, body = admitted.signature, admitted.keys, admitted.body
        if signature.service == "s3":
            return self._gateway.answer(request, keys.grant)
        OF_A_JOB.set(keys.grant is not None)
        FOR_TUNING_JOB.set("" if keys.grant else request.headers.get(TUNING_HEADER, ""))
        CALLER.set(request.headers.get("user-agent", ""))
        if signature.service == callers.STS and (
            answer := callers.identity(keys, request, body, self._context.account_id)
        ):
            return answer
        if keys.grant is not None:
            calling_roles = JobRules.read(self._context.paths.job_rules).calling_roles
            jobcalls.check_caller(keys.grant, signature.service, calling_roles)
        if signature.service == OWN_SERVICE and request.path == VERSION_PATH and keys.grant is None:
            return self._exchange(request, keys)
        if signature.service == "sagemaker" and (endpoint := runtime.endpoint_of(request)) is not None:
            return runtime.invoke(self._context, endpoint, request, body)
        prefix, _, operation = request.headers.get("x-amz-target", "").partition(".")
        if prefix in JSON_SERVICES and signature.service == JSON_SERVICES[prefix][0]:
            return self._execute(prefix, operation, body, keys.grant)
        if signature.service in ALLOWED:
            return self._moto_services.answer(request, body, signature.service)
        raise unknown_operation(*_asked(signature.service, operation, request))

    def _execute(self, prefix: str, name: str, body: bytes, grant: Grant | None) -> Response:
        service, operations = JSON_SERVICES[prefix]
        operation = operations.get(name)
        if operation is None:
            raise unknown_operation(service, name)
        try:
            parsed = jsontext.parsed(body or b"{}")
        except ValueError as error:
            raise ApiError("SerializationException", f"The request is no JSON that can be read: {error}.") from None
        validation.check(service, name, parsed)
        if grant is not None:
            jobcalls.refuse_processes(grant, parsed)
        parsed = validation.given(parsed)
        asked.check(name, parsed)
        noted = ", ".join(asked.without_effect(name, parsed))
        return Response.json(operation(self._context, parsed), 200, *([(WITHOUT_EFFECT, noted)] if noted else ()))

    def _exchange(self, request: Request, keys: Keys) -> Response:
        """Say who we are, and prove it."""
        nonce = parse_qs(request.query).get("nonce", [""])[0]
        return Response.json(self._version() | {"proof": proof(keys.secret_key, nonce)})


def _asked(service: str, operation: str, request: Request) -> tuple[str, str]:
    """The service, as botocore names it, and the operation of a request that nobody here answers."""
    if service == "sagemaker" and (name := runtime.refused_operation(request)) is not None:
        return "sagemaker-runtime", name
    return service, operation or request.headers.get("x-amz-target", "").rpartition(".")[2]
