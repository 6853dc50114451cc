"""InvokeEndpoint: a request to a model server, and its answer (contract 182 to 184)."""

from __future__ import annotations

import functools
import itertools
import random
import re
import urllib.parse
from http import HTTPStatus
from typing import Any

from batchrl.contract.records import from_json
from launcher.api import asked
from launcher.api.constants import ENDPOINT_GROUPS, MAX_INVOCATION_BYTES
from launcher.api.errors import ApiError
from launcher.api.servicemodel import service_model
from launcher.local.executors.address import ServerAddress
from launcher.local.modelserver.http import Unanswered, ask
from launcher.local.records import states
from launcher.local.records.records import JobRecord, ServerRecord
from launcher.local.server.operations.context import Context
from launcher.local.server.operations.endpoints import ENDPOINTS
from launcher.local.server.protocol.wire import Request, Response

ANSWER_SECONDS = 60.0
# Headers of the request that reach the server, and those of the answer that reach the caller.
PASSED_IN = ("content-type", "accept", "x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-inference-id")
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
MAX_CUSTOM_ATTRIBUTES = 1024
TARGET_VARIANT = "x-amzn-sagemaker-target-variant"

_PATH = re.compile(r"/endpoints/([^/]+)/invocations")
_REFUSED = {
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "async-invocations": "InvokeEndpointAsync",
}
_turns = itertools.count()


def endpoint_of(request: Request) -> str | None:
    """The endpoint that a request invokes; None for another request."""
    match = _PATH.fullmatch(request.path) if request.method == "POST" else None
    return urllib.parse.unquote(match.group(1)) if match else None


def refused_operation(request: Request) -> str | None:
    """The name of another operation on endpoints that a request is; None where it is none."""
    return _REFUSED.get(request.path.rpartition("/")[2]) if request.path.startswith("/endpoints/") else None


def invoke(context: Context, name: str, request: Request, body: bytes) -> Response:
    """Pass a request on.

    Args:
        context: the API server.
        name: of the endpoint.
        request: as it came over the wire.
        body: its body.

    Raises:
        ApiError: the endpoint does not exist or is not in service, the request breaks a limit, or the server answers
            with an error (ModelError).
    """
    if len(body) > MAX_INVOCATION_BYTES:
        raise ApiError(
            "ValidationError", f"The body has {len(body)} bytes; at most {MAX_INVOCATION_BYTES} are allowed.", 413
        )
    if len(request.headers.get(CUSTOM_ATTRIBUTES, "")) > MAX_CUSTOM_ATTRIBUTES:
        raise ApiError("ValidationError", f"CustomAttributes may have {MAX_CUSTOM_ATTRIBUTES} characters.")
    given = {member: request.headers.get(header) for member, header in _headers().items()}
    asked.check("InvokeEndpoint", {member: value for member, value in given.items() if value is not None})
    record = ENDPOINTS.found(context, name)
    if record.status != states.IN_SERVICE:
        raise ApiError("ValidationError", f"Endpoint {name} is {record.status}, not InService.")
    if not record.servers:
        raise ApiError("ServiceUnavailable", f"The servers of endpoint {name} are being ended.", 503)
    server = _choose(record, request.headers.get(TARGET_VARIANT))
    headers = {header: request.headers[header] for header in PASSED_IN if header in request.headers}
    address = from_json(ServerAddress, server.address)
    try:
        answer = ask(address, "POST", "/invocations", timeout=ANSWER_SECONDS, body=body, headers=headers)
    except Unanswered as error:
        raise _model_error(context, record, server, HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
    if answer.status // 100 != 2:
        raise _model_error(context, record, server, answer.status, answer.body.decode("utf-8", "replace"))
    kept = [("x-Amzn-Invoked-Production-Variant", server.variant)]
    kept += [
        (header, answer.headers[header]) for header in ("content-type", CUSTOM_ATTRIBUTES) if header in answer.headers
    ]
    return Response(HTTPStatus.OK, answer.body, tuple(kept))


@functools.cache
def _headers() -> dict[str, str]:
    """The headers of the operation by the members that they carry."""
    shape: Any = service_model("sagemaker-runtime").operation_model("InvokeEndpoint").input_shape
    return {
        name: member.serialization["name"].lower()
        for name, member in shape.members.items()
        if member.serialization.get("location") == "header"
    }


def _choose(record: JobRecord, variant: str | None) -> ServerRecord:
    """The variant by weight, unless the caller names one; its servers take turns."""
    named = {server.variant: server.weight for server in record.servers}
    if variant is not None and variant not in named:
        raise ApiError("ValidationError", f"Endpoint {record.name} has no variant '{variant}': {', '.join(named)}.")
    weights = list(named.values()) if any(named.values()) else None
    chosen = variant or random.choices(list(named), weights)[0]
    servers = [server for server in record.servers if server.variant == chosen]
    return servers[next(_turns) % len(servers)]


def _model_error(context: Context, record: JobRecord, server: ServerRecord, status: int, text: str) -> ApiError:
    group = f"{ENDPOINT_GROUPS}{record.name}"
    return ApiError(
        "ModelError",
        f'Received server error ({status}) from {server.variant} with message "{text[:1024]}". '
        f"See the log group {group}.",
        HTTPStatus.FAILED_DEPENDENCY,
        members={
            "OriginalStatusCode": int(status),
            "OriginalMessage": text,
            "LogStreamArn": context.arn("logs", f"log-group:{group}"),
        },
    )
