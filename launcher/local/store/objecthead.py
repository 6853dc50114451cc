"""What is kept about an object beside its bytes: content headers, user metadata, tags; and how answers tell it."""

from __future__ import annotations

import email.utils
import functools
from collections.abc import Mapping
from urllib.parse import parse_qsl

from launcher.local.store.catalog import Stored
from launcher.local.store.checksums import PREFIX
from launcher.local.store.errors import StoreError, invalid
from launcher.local.store.wire import Headers

CONTENT_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
USER_PREFIX = "x-amz-meta-"
DEFAULT_TYPE = "binary/octet-stream"
MAX_USER_BYTES = 2048
MAX_TAGS = 10


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a write that belong to the object.

    Raises:
        StoreError: the user's metadata is too large.
    """
    found = {name: headers[name] for name in CONTENT_HEADERS if name in headers}
    if encoding := found.pop("content-encoding", None):
        # The encoding of the transfer is none of the object's.
        kept = ",".join(one.strip() for one in encoding.split(",") if one.strip().lower() != "aws-chunked")
        if kept:
            found["content-encoding"] = kept
    user = {name: value for name, value in headers.items() if name.startswith(USER_PREFIX)}
    if sum(len(name) - len(USER_PREFIX) + len(value) for name, value in user.items()) > MAX_USER_BYTES:
        raise StoreError("MetadataTooLarge")
    return found | user


def tags_of_header(value: str | None) -> dict[str, str]:
    """Tags as ``x-amz-tagging`` has them (``a=1&b=2``).

    Raises:
        StoreError: they break S3's rules.
    """
    return checked_tags(parse_qsl(value, keep_blank_values=True)) if value else {}


def checked_tags(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Tags that keep S3's rules.

    Raises:
        StoreError: they break them.
    """
    if len(pairs) > MAX_TAGS:
        raise StoreError("InvalidTag", f"Object tags cannot be greater than {MAX_TAGS}")
    for key, value in pairs:
        if not 0 < len(key) <= 128 or len(value) > 256:
            raise StoreError("InvalidTag", "A tag's key has 1 to 128 characters, its value at most 256.")
    if len({key for key, _ in pairs}) != len(pairs):
        raise StoreError("InvalidTag", "Cannot provide multiple Tags with the same key")
    return dict(pairs)


@functools.lru_cache(maxsize=512)
def http_date(seconds: int) -> str:
    """A time as headers have it."""
    return email.utils.formatdate(seconds, usegmt=True)


def validators(there: Stored) -> Headers:
    """ETag and time of an object."""
    return ("ETag", f'"{there.etag}"'), ("Last-Modified", http_date(there.modified // 1000))


def checksum_headers(checksums: Mapping[str, str]) -> Headers:
    """Checksums by their algorithm, as headers have them."""
    return tuple((f"{PREFIX}{name}", value) for name, value in checksums.items())


def told(there: Stored, overrides: Mapping[str, str], with_checksums: bool) -> Headers:
    """Headers of an answer that shows an object.

    Args:
        there: the object.
        overrides: parameters of the request (``response-content-type`` and the like).
        with_checksums: whether the checksums of the whole object are wanted.

    Raises:
        StoreError: an override is no header.
    """
    found = dict(there.headers)
    found.setdefault("content-type", DEFAULT_TYPE)
    for name in CONTENT_HEADERS:
        if (value := overrides.get(f"response-{name}")) is not None:
            if not value.isprintable() or not value.isascii():
                raise invalid(f"response-{name} is not the value of a header.")
            found[name] = value
    headers: Headers = (*validators(there), ("Accept-Ranges", "bytes"), *found.items())
    if there.tags:
        headers = (*headers, ("x-amz-tagging-count", str(len(there.tags))))
    if with_checksums and there.checksums:
        kind = "COMPOSITE" if there.parts else "FULL_OBJECT"
        headers = (*headers, *checksum_headers(there.checksums), ("x-amz-checksum-type", kind))
    return headers
