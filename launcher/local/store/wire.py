"""A request as it came over the wire, and an answer to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote, unquote_to_bytes

from launcher.local.store.errors import StoreError

MAX_KEY_BYTES = 1024
Headers = tuple[tuple[str, str], ...]


class Body(Protocol):
    """The body of a request, as it arrives."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Its pieces, none of them large."""
        ...


@dataclass(frozen=True)
class Target:
    """What a request is about; without bucket it is the whole store.

    Args:
        bucket: name of the bucket, or nothing.
        key: the object's key in UTF-8, or nothing.
    """

    bucket: str = ""
    key: bytes = b""

    @classmethod
    def of(cls, path: str) -> Target:
        """The target of a path such as ``/bucket/key``, escapes as they were sent.

        Raises:
            StoreError: the key is too long, or not UTF-8.
        """
        bucket, _, key = path.removeprefix("/").partition("/")
        return cls(unquote(bucket), checked_key(unquote_to_bytes(key.encode("utf-8", "surrogateescape"))))

    @property
    def level(self) -> str:
        """``service``, ``bucket`` or ``object``."""
        if not self.bucket:
            return "service"
        return "object" if self.key else "bucket"


def checked_key(key: bytes) -> bytes:
    """A key that S3 allows: UTF-8, at most 1,024 bytes.

    Raises:
        StoreError: it is another one.
    """
    if len(key) > MAX_KEY_BYTES:
        raise StoreError("KeyTooLongError")
    try:
        key.decode()
    except UnicodeDecodeError:
        raise StoreError("InvalidURI", "The key is not UTF-8.") from None
    return key


@dataclass(frozen=True)
class Request:
    """One HTTP request, its body still on the way.

    Args:
        method: its method.
        path, query: its target as sent, percent escapes included.
        headers: its headers, names in lower case; several of one name joined with commas.
        has_length: whether it says how long its body is.
        body: its body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    has_length: bool
    body: Body = field(repr=False)

    def parameters(self) -> dict[str, str]:
        """The query's parameters, escapes resolved; the first of several with one name counts.

        Raises:
            StoreError: one is not UTF-8.
        """
        found: dict[str, str] = {}
        if not self.query:
            return found
        try:
            for pair in self.query.split("&"):
                name, _, value = pair.partition("=")
                if name:
                    found.setdefault(unquote(name), unquote(value.replace("+", " "), errors="strict"))
        except UnicodeDecodeError:
            raise StoreError("InvalidURI", "The query is not UTF-8.") from None
        return found


@dataclass(frozen=True)
class Slices:
    """Bytes of stored contents.

    Args:
        pieces: file, offset and length of each.
    """

    pieces: tuple[tuple[int, int, int], ...]

    @property
    def size(self) -> int:
        """Bytes altogether."""
        return sum(length for _, _, length in self.pieces)


@dataclass(frozen=True)
class Response:
    """An answer.

    Args:
        status: HTTP status.
        headers: its headers; the connection adds length, date and request id.
        body: bytes, or bytes of stored contents.
    """

    status: int
    headers: Headers = ()
    body: bytes | Slices = b""

    @classmethod
    def xml(cls, text: str, status: int = 200, headers: Headers = ()) -> Response:
        """An answer of XML, given without its declaration."""
        content = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
        return cls(status, (("Content-Type", "application/xml"), *headers), content)
