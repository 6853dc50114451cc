"""S3 requests at the API server, passed on to the store: verified, signed again with the store's credentials, streamed.

It is the way of clients that know one endpoint only, and of jobs to a store of the user's own, whose credentials no job
sees: what a job's key opens is decided here. The embedded store decides it itself.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import urllib3

from launcher.api.errors import ApiError
from launcher.local.host.address import StoreAddress
from launcher.local.keys.decision import names_keys_in_body, refusal, refused_keys
from launcher.local.keys.grants import Grant
from launcher.local.server.protocol.auth import EMPTY_DIGEST, UNSIGNED, Keys, declared_digest, sign
from launcher.local.server.protocol.wire import Request, Response

CHUNK_BYTES = 256 * 1024
TIMEOUT = urllib3.Timeout(connect=5, read=120)
MAX_CONNECTIONS = 64
# A thousand keys of 1,024 bytes, escaped, and what stands around them.
MAX_DELETE_BYTES = 8 * 1024 * 1024

_OWN = frozenset({"authorization", "host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"})
_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "proxy-authorization"}
    | {"content-length", "user-agent", "accept-encoding"}
)
_AUTH_QUERY = ("X-Amz-Algorithm=", "X-Amz-Credential=", "X-Amz-Date=", "X-Amz-Expires=", "X-Amz-SignedHeaders=")
_AUTH_QUERY_ALL = (*_AUTH_QUERY, "X-Amz-Signature=", "X-Amz-Security-Token=")

# What a list of keys begins with: an element, or a declaration that names UTF-8 or nothing.
_PLAIN_XML = re.compile(rb"\s*(<\?xml(?:(?!encoding)[^?])*(encoding=[\"'](?i:utf-8)[\"'][^?]*)?\?>\s*)?<[A-Za-z]")

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

    def answer(self, request: Request, grant: Grant | None = None) -> Response:
        """Pass on one verified request.

        Args:
            request: the request.
            grant: of the job that sent it; None for the owner.

        Raises:
            ApiError: a job may not do it, the store does not answer, or the body cannot be passed on.
        """
        if grant is not None:
            request = _permitted(request, grant)
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


def _permitted(request: Request, grant: Grant) -> Request:
    """The request of a job, if its key opens it; keys that a body names are read, and the body can be read again.

    Raises:
        ApiError: it does not.
    """
    reason = refusal(grant, request.method, request.path, request.query, request.headers)
    if reason is None and names_keys_in_body(request.method, request.query):
        body = request.read(MAX_DELETE_BYTES)
        if body is None:
            raise ApiError("MalformedXML", f"A list of keys may have {MAX_DELETE_BYTES} bytes.", 400)
        if refused := refused_keys(grant, request.path, _keys_in(body)):
            reason = f"{len(refused)} of the keys are not the job's to delete, the first is '{refused[0]}'."
        request = replace(request, environ=request.environ | {"wsgi.input": io.BytesIO(body)})
    if reason is not None:
        raise ApiError("AccessDeniedException", f"Access Denied: {reason}", 403, s3_code="AccessDenied")
    return request


def _keys_in(body: bytes) -> list[str]:
    """The keys that the body of DeleteObjects names.

    Raises:
        ApiError: it is no such list, or is one that readers could take for different ones.
    """
    try:
        if b"<!" in body or not _PLAIN_XML.match(body):
            raise ValueError("declarations of its own and encodings but UTF-8 are not read")
        root = ElementTree.fromstring(body)
        tags = [entry.tag.rpartition("}")[2] for entry in root]
        if not set(tags) <= {"Object", "Quiet"}:
            raise ValueError(f"it holds {', '.join(sorted(set(tags)))}")
        objects = [entry for entry, tag in zip(root, tags, strict=True) if tag == "Object"]
        keys = [[part for part in entry if part.tag.rpartition("}")[2] == "Key"] for entry in objects]
        if any(len(named) != 1 or len(named[0]) for named in keys):
            raise ValueError("an object has not one key")
    except (ValueError, ElementTree.ParseError) as error:
        raise ApiError("MalformedXML", f"The list of keys cannot be read: {error}.", 400) from None
    return [named[0].text or "" for named in keys]


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
