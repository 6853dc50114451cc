"""What a cloud's answer means: there is no such thing, the name is taken, or the connection broke."""

from __future__ import annotations

from typing import Any

import botocore.exceptions

THROTTLED = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"})
LOST = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)


EXISTS = "ResourceInUse"
# What describing something that does not exist is answered with (contract 209).
UNKNOWN = ("ValidationException", "ResourceNotFound")


GONE = frozenset({"ResourceNotFound", "ResourceNotFoundException"})


def is_unknown(error: botocore.exceptions.ClientError) -> bool:
    """Whether an answer says that there is no such thing; the code alone does not tell it (contract 209)."""
    answer = error.response.get("Error", {})
    text = answer.get("Message", "").lower()
    return answer.get("Code") in GONE or "not found" in text or "could not find" in text


def says_taken(error: botocore.exceptions.ClientError) -> bool:
    """Whether an answer says that the name is taken; models and endpoints have no code of their own (contract 207)."""
    answer = error.response.get("Error", {})
    return answer.get("Code") == EXISTS or "already exist" in answer.get("Message", "").lower()


def was_repeated(error: botocore.exceptions.ClientError) -> bool:
    """Whether botocore sent the request more than once: the first try may have succeeded."""
    metadata: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
    return int(metadata.get("RetryAttempts", 0)) > 0


def connection_fault(error: Exception) -> str | None:
    """Why a fault of botocore is one of the connection, or None where asking again would not help."""
    if isinstance(error, botocore.exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        return f"{status} {code}" if status >= 500 or code in THROTTLED else None
    if isinstance(error, LOST):
        return str(error)
    return None
