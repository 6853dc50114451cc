"""What a cloud's answer means: there is no such thing, the name is taken, one may not ask, or the connection broke.

``batchrl.contract.store`` says that of S3's answers, and ``launcher.api.errors`` words the local cloud's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.exceptions

from launcher.api.errors import IN_USE

THROTTLED = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"})
LOST = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)
GONE = frozenset({"ResourceNotFound", "ResourceNotFoundException"})


def is_unknown(error: botocore.exceptions.ClientError) -> bool:
    """Whether an answer says that there is no such thing; the code alone does not tell it (contract 209)."""
    text = error.response.get("Error", {}).get("Message", "").lower()
    return _code(error) in GONE or "not found" in text or "could not find" in text


def known(operation: Callable[..., Any], **key: Any) -> dict[str, Any] | None:
    """The answer of an operation on one thing; None where there is no such thing.

    Raises:
        ClientError: the cloud refuses otherwise.
    """
    try:
        return operation(**key) or {}
    except botocore.exceptions.ClientError as error:
        if is_unknown(error):
            return None
        raise


def is_denied(error: botocore.exceptions.ClientError) -> bool:
    """Whether an answer says that one may not ask, which tells nothing of the thing that was asked for."""
    return _code(error).startswith("AccessDenied")


def says_taken(error: botocore.exceptions.ClientError) -> bool:
    """Whether an answer says that the name is taken; models and endpoints have no code of their own (contract 207)."""
    return _code(error) == IN_USE or "already exist" in error.response.get("Error", {}).get("Message", "").lower()


def was_repeated(error: botocore.exceptions.ClientError) -> bool:
    """Whether botocore sent the request more than once: the first try may have succeeded."""
    metadata: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
    return int(metadata.get("RetryAttempts", 0)) > 0


def connection_fault(error: Exception) -> str | None:
    """Why a fault of botocore is one of the connection, or None where asking again would not help."""
    if isinstance(error, botocore.exceptions.ClientError):
        status, code = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0), _code(error)
        return f"{status} {code}" if status >= 500 or code in THROTTLED else None
    if isinstance(error, LOST):
        return str(error)
    return None


def _code(error: botocore.exceptions.ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
