"""S3 requests at the API server, passed on to the store: verified, signed again with the store's credentials, streamed.

It is the way of clients that know one endpoint only, and of jobs to a store whose credentials they must not see.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import urllib3

from launcher.api.errors import ApiError
from launcher.local.host.address import StoreAddress
from launcher.local.server.protocol.auth import EMPTY_DIGEST, UNSIGNED, Keys, declared_digest, sign
from launcher.local.server.protocol.wire import Request, Response

CHUNK_BYTES = 256 * 1024
TIMEOUT = urllib3.Timeout(connect=5, read=120)
MAX_CONNECTIONS = 64

_OWN = frozenset({"authorization", "host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"})
_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "proxy-authorization"}
    | {"content-length", "user-agent", "accept-encoding"}
)
_AUTH_QUERY = ("X-Amz-Algorithm=", "X-Amz-Credential=", "X-Amz-Date=", "X-Amz-Expires=", "X-Amz-SignedHeaders=")
_AUTH_QUERY_ALL = (*_AUTH_QUERY, "X-Amz-Signature=", "X-Amz-Security-Token=")

log = logging.getLogger(__name__)


class Gateway:
    """The store as the API server's callers see it.

    Args:
        store_of: the store's address now; its credentials may change while the API server lives.
    """

    def __init__(self, store_of: Callable[[], StoreAddress]) -> None:
        self._store_of = store_of
        self._pool = urllib3.PoolManager(maxsize=MAX_CONNECTIONS, block=False, retries=False, timeout=TIMEOUT)

    def let_go(self) -> None:
        """Close connections to the store that are kept for the next request."""
        self._pool.clear()

    def answer(self, request: Request) -> Response:
        """Pass on one verified request.

        Raises:
            ApiError: the store does not answer, or the body cannot be passed on.
        """
        store = self._store_of()
        digest = declared_digest(request)
        if "chunked" in request.headers.get("transfer-encoding", ""):
            raise ApiError("MissingContentLength", "You must provide the Content-Length HTTP header.", 411)
        has_body = request.length > 0 or request.method in ("PUT", "POST")
        body_digest = (digest or UNSIGNED) if has_body else EMPTY_DIGEST
        url = store.endpoint_url.rstrip("/") + request.path + _query_without_auth(request.query)
        headers = {name: value for name, value in request.headers.items() if name not in _OWN | _HOP}
        headers |= {"host": urlsplit(url).netloc, "x-amz-content-sha256": body_digest}
        if has_body:
            headers["content-length"] = str(request.length)
        keys = Keys(store.access_key, store.secret_key, store.session_token)
        signed = sign(request.method, url, headers, keys, store.region, "s3")
        signed["accept-encoding"] = "identity"
        try:
            answer = self._pool.request(
                request.method,
                url,
                headers=signed,
                body=_verified(request, digest) if has_body else None,
                preload_content=False,
                decode_content=False,
                redirect=False,
            )
        except _BodyChanged:
            raise ApiError(
                "InvalidSignatureException",
                "The body is not the one whose digest was signed.",
                s3_code="XAmzContentSHA256Mismatch",
            ) from None
        except urllib3.exceptions.HTTPError as error:
            log.warning("store %s: %s", store.endpoint_url, error)
            raise ApiError(
                "ServiceUnavailable", f"The object store {store.endpoint_url} does not answer.", 503
            ) from error
        return Response(answer.status, _streamed(answer), _kept(answer, ranged="range" in request.headers))


class _BodyChanged(Exception):
    """The bytes that arrived do not have the digest that was signed for them."""


def _verified(request: Request, digest: str | None) -> Iterator[bytes]:
    """The body in chunks. The last one is held back until the digest is known to hold: the store never sees a whole
    object that was not signed for."""
    source: Any = request.environ["wsgi.input"]
    left, held, seen = request.length, b"", hashlib.sha256()
    while left:
        chunk = source.read(min(CHUNK_BYTES, left))
        if not chunk:
            raise _BodyChanged
        left -= len(chunk)
        seen.update(chunk)
        if held:
            yield held
        held = chunk
    if digest is not None and seen.hexdigest() != digest:
        raise _BodyChanged
    if held:
        yield held


def _query_without_auth(query: str) -> str:
    kept = [pair for pair in query.split("&") if pair and not pair.startswith(_AUTH_QUERY_ALL)]
    return f"?{'&'.join(kept)}" if kept else ""


def _kept(answer: urllib3.BaseHTTPResponse, ranged: bool) -> tuple[tuple[str, str], ...]:
    """Headers to pass back. The checksum of a whole object says nothing about a part, yet some servers send it."""
    return tuple(
        (name, value)
        for name, value in answer.headers.items()
        if name.lower() not in _HOP - {"content-length"} and not (ranged and name.lower().startswith("x-amz-checksum-"))
    )


def _streamed(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from answer.stream(CHUNK_BYTES, decode_content=False)
    finally:
        answer.release_conn()
