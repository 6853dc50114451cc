"""Errors that the API answers with: code, message and HTTP status, as client and local cloud both know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The code of a name that is taken, where the API has one (contract 207).
IN_USE = "ResourceInUse"


class ApiError(Exception):
    """An answer that is an error.

    Args:
        code: its code in the JSON protocol.
        message: its text.
        status: HTTP status.
        query_code, s3_code: its code in the other protocols, where they differ.
        members: further members of the error in the JSON protocols.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 400,
        *,
        query_code: str | None = None,
        s3_code: str | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.query_code = query_code or code
        self.s3_code = s3_code or code
        self.members = dict(members or {})


def validation(message: str) -> ApiError:
    """What was asked for breaks a rule."""
    return ApiError("ValidationException", message)


def not_found() -> ApiError:
    """There is no such job."""
    return validation("Requested resource not found.")


def could_not_find(what: str) -> ApiError:
    """There is no such thing of another kind."""
    return validation(f"Could not find {what}.")


def job_name_taken(noun: str, arn: str) -> ApiError:
    """A job of this kind (``training job``) has the name already."""
    unique = f"{noun.capitalize()} names must be unique within an AWS account and region"
    return ApiError(IN_USE, f"{unique}; {arn} exists already.")


def already_existing(what: str) -> ApiError:
    """The name of something that is no job is taken; there is no code of its own for that (contract 207)."""
    return validation(f"Cannot create already existing {what}.")
