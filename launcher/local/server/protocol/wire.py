"""A request as it came over the wire, and an answer to it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MOST_DIGITS = 18  # of a number in a header: more would be beyond all limits, and Python's reader knows one itself
JSON_TYPE = "application/x-amz-json-1.1"


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    Args:
        method: its method.
        path: its path as sent, percent escapes included.
        query: its query as sent.
        headers: its headers, names in lower case.
        environ: the WSGI environment, for those that take it whole.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    environ: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, environ: dict[str, Any]) -> Request:
        """The request that a WSGI environment describes, its target as it was sent."""
        target = environ["RAW_URI"]
        if not target.startswith("/"):  # the absolute form, which proxies use
            try:
                parts = urlsplit(target)
                target = f"{parts.path or '/'}?{parts.query}"
            except ValueError:  # it names no host that could be; nor does any signature fit
                target = "/"
        path, _, query = target.partition("?")
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(name):
                headers[name.replace("_", "-").lower()] = environ[name]
        return cls(environ["REQUEST_METHOD"], path, query, headers, environ)

    @classmethod
    def nothing(cls, environ: dict[str, Any]) -> Request:
        """What stands for a request that cannot be read."""
        return cls("GET", "/", "", {}, environ)

    @property
    def length(self) -> int:
        """Bytes of the body, as declared; 0 where nothing or nonsense is declared."""
        text = self.headers.get("content-length", "0")
        return int(text[:MOST_DIGITS]) if text.isascii() and text.isdigit() else 0

    @property
    def url(self) -> str:
        """The URL with the host that the caller signed."""
        query = f"?{self.query}" if self.query else ""
        return f"http://{self.headers.get('host', '')}{self.path}{query}"

    def read(self, limit: int) -> bytes | None:
        """The whole body; None when it is longer than ``limit`` bytes."""
        if self.length > limit:
            return None
        body: bytes = self.environ["wsgi.input"].read(self.length)
        return body


@dataclass(frozen=True)
class Response:
    """An answer.

    Args:
        status: HTTP status.
        body: its bytes, whole or in parts.
        headers: its headers.
    """

    status: int
    body: bytes | Iterable[bytes] = b""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def json(cls, body: Any, status: int = 200, *headers: tuple[str, str]) -> Response:
        """An answer of AWS's JSON protocol."""
        content = json.dumps(body).encode()
        return cls(status, content, (("Content-Type", JSON_TYPE), *headers))

    def with_identity(self) -> Response:
        """The answer with a request id and, where it is known, its length."""
        names = {name.lower() for name, _ in self.headers}
        more = []
        if "x-amzn-requestid" not in names and "x-amz-request-id" not in names:
            more.append(("x-amzn-RequestId", str(uuid.uuid4())))
        if isinstance(self.body, bytes) and "content-length" not in names:
            more.append(("Content-Length", str(len(self.body))))
        return Response(self.status, self.body, (*self.headers, *more))
