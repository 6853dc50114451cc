"""Which bytes of an object a read asks for."""

from __future__ import annotations

import re

from launcher.local.store.errors import StoreError, invalid

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})-(\d{0,19})")


def of_header(value: str | None, size: int) -> tuple[int, int] | None:
    """First byte and length that a Range header asks for; None for the whole object, also where the header is no range
    or has several, as S3 does.

    Args:
        value: the header.
        size: bytes of the object.

    Raises:
        StoreError: no byte of it exists (416).
    """
    match = _RANGE.fullmatch(value.strip()) if value else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        wanted = min(int(match[2]), size)
        start, end = size - wanted, size - 1
    else:
        start, end = int(match[1]), min(int(match[2]), size - 1) if match[2] else size - 1
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or end < start:
        raise StoreError("InvalidRange", headers=(("Content-Range", f"bytes */{size}"),))
    return start, end - start + 1


def of_copy(value: str | None, size: int) -> tuple[int, int]:
    """First byte and length that ``x-amz-copy-source-range`` names: both ends, within the source.

    Raises:
        StoreError: it is no such range.
    """
    if value is None:
        return 0, size
    match = _RANGE.fullmatch(value.strip())
    if match is None or not (match[1] and match[2]) or int(match[2]) < int(match[1]):
        raise invalid("The x-amz-copy-source-range value must be of the form bytes=first-last.")
    if int(match[2]) >= size:
        raise invalid(f"Range specified is not valid for source object of size: {size}")
    return int(match[1]), int(match[2]) - int(match[1]) + 1
