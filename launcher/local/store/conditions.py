"""Conditions of reads, writes and copies, decided from the headers and the object that is there.

=====================  ==============================  ==========================
read                   holds when                      else
=====================  ==============================  ==========================
If-Match               an ETag of it is the object's   412
If-Unmodified-Since    not modified later              412; not asked beside If-Match
If-None-Match          no ETag of it is the object's   304
If-Modified-Since      modified later                  304; not asked beside If-None-Match
=====================  ==============================  ==========================

A copy asks the same of its source (``x-amz-copy-source-if-...``) and answers 412 throughout. A write may ask
``If-None-Match: *`` (nothing is there) and ``If-Match`` (this is there); S3 knows no others for it.

Source: RFC 9110 (conditional requests); Amazon S3 API reference, "GetObject", "CopyObject", "PutObject".
"""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Mapping

from launcher.local.store.catalog import Stored
from launcher.local.store.errors import NotModified, StoreError, not_implemented

COPY_PREFIX = "x-amz-copy-source-"


def check_read(headers: Mapping[str, str], there: Stored, validators: tuple[tuple[str, str], ...]) -> None:
    """Ask a read's conditions.

    Args:
        headers: the request's.
        there: the object.
        validators: headers of an answer that sends no body.

    Raises:
        StoreError: a condition does not hold (412).
        NotModified: the caller has the object.
    """
    if (wanted := headers.get("if-match")) is not None:
        if not _matches(wanted, there.etag):
            raise StoreError("PreconditionFailed")
    elif (limit := _seconds(headers.get("if-unmodified-since"))) is not None and there.modified // 1000 > limit:
        raise StoreError("PreconditionFailed")
    if (refused := headers.get("if-none-match")) is not None:
        if _matches(refused, there.etag):
            raise NotModified(validators)
    elif (since := _seconds(headers.get("if-modified-since"))) is not None and there.modified // 1000 <= since:
        raise NotModified(validators)


def check_copy(headers: Mapping[str, str], source: Stored) -> None:
    """Ask a copy's conditions of its source.

    Raises:
        StoreError: a condition does not hold.
    """
    asked = {
        name.removeprefix(COPY_PREFIX): value for name, value in headers.items() if name.startswith(f"{COPY_PREFIX}if-")
    }
    try:
        check_read(asked, source, ())
    except NotModified:
        raise StoreError("PreconditionFailed") from None


def write_condition(headers: Mapping[str, str]) -> Callable[[Stored | None], None] | None:
    """What a write demands of the object that is there: raises where it forbids the write.

    Raises:
        StoreError: the headers ask for something that S3 does not know.
    """
    none, match = headers.get("if-none-match"), headers.get("if-match")
    if none is None and match is None:
        return None
    if none is not None and none.strip() != "*":
        raise not_implemented("If-None-Match with an ETag on a write")
    if none is not None and match is not None:
        raise not_implemented("If-Match beside If-None-Match on a write")

    def check(there: Stored | None) -> None:
        if none is not None and there is not None:
            raise StoreError("PreconditionFailed")
        if match is not None and there is None:
            raise StoreError("NoSuchKey")
        if match is not None and there is not None and not _matches(match, there.etag):
            raise StoreError("PreconditionFailed")

    return check


def _matches(value: str, etag: str) -> bool:
    """Whether a list of ETags holds one; with quotes or without, since clients send both."""
    wanted = {part.strip().removeprefix("W/").strip('"') for part in value.split(",")}
    return "*" in wanted or etag in wanted


def _seconds(value: str | None) -> int | None:
    """A date of HTTP in seconds; None for what is no date, which is to be ignored."""
    if value is None:
        return None
    try:
        return int(email.utils.parsedate_to_datetime(value).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
