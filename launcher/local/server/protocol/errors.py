"""Errors of the API, each in the wire form that its caller can read: JSON, query XML or S3 XML."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from batchrl.contract.errors import DISK_FULL
from launcher.api.elsewhere import refusal
from launcher.api.errors import ApiError
from launcher.local.server.protocol.wire import Request, Response

# Below these paths answers are JSON without a header saying so: our own exchange, and invocations of endpoints.
JSON_PATHS = ("/_batchrl/", "/endpoints/")


def disk_full(folder: Path) -> ApiError:
    """Nothing more can be written into the data folder; clients do not try it again."""
    return ApiError(DISK_FULL, f"the disk of {folder} is full.", 507)


def unknown_operation(service: str, operation: str) -> ApiError:
    """Something that the local cloud does not do; clients do not try it again."""
    return ApiError("UnknownOperationException", refusal(service, operation), 400, s3_code="NotImplemented")


def rendered(error: ApiError, request: Request) -> Response:
    """The error in the form that fits the request."""
    if "x-amz-target" in request.headers or request.path.startswith(JSON_PATHS):
        body = {"__type": error.code, "message": error.message, "Message": error.message, **error.members}
        return Response.json(body, error.status, ("x-amzn-ErrorType", error.code))
    status = 403 if error.status == 400 and error.query_code != error.code else error.status
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        kind = "Sender" if error.status < 500 else "Receiver"
        xml = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(error.query_code)}</Code>"
            f"<Message>{escape(error.message)}</Message></Error></ErrorResponse>"
        )
    else:
        status = 403 if error.status == 400 and error.s3_code != error.code else error.status
        xml = f"<Error><Code>{escape(error.s3_code)}</Code><Message>{escape(error.message)}</Message></Error>"
    content = f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}'.encode()
    return Response(status, b"" if request.method == "HEAD" else content, (("Content-Type", "text/xml"),))
