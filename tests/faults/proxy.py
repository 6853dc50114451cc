"""An S3 endpoint that stands before a real store and injects faults into what passes.

Requests go on as they are, ``Host`` included, so that their signatures hold. What a mode does to what it hits:

================  ============================================================================================
mode              the request
================  ============================================================================================
500, 503          is answered so, and does not reach the store
reset             has its connection reset, and does not reach the store
stall             waits for seconds before it goes on
lost-answer       reaches the store, and its connection is reset instead of the answer
short-body        is answered with half of the object's bytes under the whole one's length (GET)
wrong-download    is answered with one bit of the object changed (GET)
wrong-upload      reaches the store with one bit of the object changed (PUT)
lagging-list      is answered without the objects of the last seconds (list)
expired           is refused: the token has expired
================  ============================================================================================
"""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

MODES = (
    *("500", "503", "reset", "stall", "lost-answer", "short-body"),
    *("wrong-download", "wrong-upload", "lagging-list", "expired"),
)
ERRORS = {
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "expired": (403, "ExpiredToken", "The provided token has expired."),
}
STALL_SECONDS = (1.0, 5.0)
LAG_SECONDS = 4.0
UPSTREAM_SECONDS = 60.0
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "proxy-connection"})
_LISTED = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
_KEY = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)


@dataclass
class Injection:
    """What is done to whom.

    Args:
        mode: one of ``MODES``.
        share: of the requests that it can hit.
        seed: of the choice.
    """

    mode: str
    share: float
    seed: float
    hits: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def chosen(self) -> bool:
        """Whether the next request is hit."""
        hit = self._random.random() < self.share
        self.hits += hit
        return hit

    def number(self, low: float, high: float) -> float:
        """A random number."""
        return self._random.uniform(low, high)


class FaultProxy:
    """The proxy; it listens at a port of loopback from the start, and lets everything pass.

    Args:
        upstream: URL of the store.
    """

    def __init__(self, upstream: str) -> None:
        place = urlsplit(upstream)
        self.upstream = (place.hostname or "127.0.0.1", place.port or 80)
        self.injection: Injection | None = None
        self.lock = threading.Lock()
        self.written: dict[str, float] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def inject(self, mode: str, share: float, seed: float) -> Injection:
        """Begin to inject."""
        assert mode in MODES, mode
        self.injection = Injection(mode, share, seed)
        return self.injection

    def heal(self) -> None:
        """Let everything pass again."""
        self.injection = None

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    proxy: FaultProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is two writes, its head and its body; the second must not wait for the first's acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
        """Nothing is logged."""

    def _pass(self) -> None:
        proxy = self.server.proxy
        body = self._body()
        with proxy.lock:
            injection = proxy.injection
            hit = injection is not None and self._can_hit(injection.mode) and injection.chosen()
            wait = injection.number(*STALL_SECONDS) if injection else 0.0
            place = injection.number(0, 1) if injection else 0.0
        mode = injection.mode if injection and hit else ""
        if mode in ERRORS:
            self._refuse(*ERRORS[mode])
        elif mode == "reset":
            self._reset()
        else:
            if mode == "stall":
                time.sleep(wait)
            if mode == "wrong-upload":
                body = flipped(body, place)
            self._forward(body, mode, place)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - http.server's

    def _can_hit(self, mode: str) -> bool:
        listing = "list-type" in parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if mode in ("short-body", "wrong-download"):
            return self.command == "GET" and not listing and "/" in urlsplit(self.path).path.strip("/")
        if mode == "wrong-upload":
            return self.command == "PUT" and int(self.headers.get("Content-Length") or 0) > 0
        return listing if mode == "lagging-list" else True

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes, mode: str, place: float) -> None:
        proxy = self.server.proxy
        upstream = http.client.HTTPConnection(*proxy.upstream, timeout=UPSTREAM_SECONDS)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, text in self.headers.items():
                if name.lower() not in _HOP_BY_HOP | {"content-length", "expect"}:
                    upstream.putheader(name, text)
            if body or self.command in ("PUT", "POST"):
                upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            content = answer.read()
            head = [(name, text) for name, text in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
            length = answer.getheader("Content-Length")
            status = answer.status
        except OSError:
            self._refuse(*ERRORS["503"])
            return
        finally:
            upstream.close()
        if self.command == "PUT" and status == 200:
            proxy.written[unquote(urlsplit(self.path).path.strip("/"))] = time.monotonic()
        if mode == "lost-answer":
            self._reset()
            return
        if status in (200, 206) and mode == "wrong-download":
            content = flipped(content, place)
        if status == 200 and mode == "lagging-list":
            content = self._without_news(content)
        if self.command != "HEAD":
            length = str(len(content))
        self._answer(status, head, length, content, torn=mode == "short-body" and status in (200, 206))

    def _without_news(self, listing: bytes) -> bytes:
        bucket = urlsplit(self.path).path.strip("/")
        now, written = time.monotonic(), self.server.proxy.written

        def kept(entry: re.Match[bytes]) -> bytes:
            found = _KEY.search(entry[0])
            name = f"{bucket}/{unquote(found[1].decode())}" if found else ""
            return b"" if now - written.get(name, -LAG_SECONDS) < LAG_SECONDS else entry[0]

        shorter = _LISTED.sub(kept, listing)
        count = len(_LISTED.findall(shorter))
        return re.sub(rb"<KeyCount>\d+</KeyCount>", b"<KeyCount>%d</KeyCount>" % count, shorter)

    def _answer(
        self, status: int, head: list[tuple[str, str]], length: str | None, content: bytes, torn: bool = False
    ) -> None:
        self.send_response_only(status)
        for name, text in head:
            if name.lower() != "content-length":
                self.send_header(name, text)
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if torn else content)
        if torn:
            self.wfile.flush()
            self.close_connection = True

    def _refuse(self, status: int, code: str, message: str) -> None:
        text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
        self._answer(
            status, [("Content-Type", "application/xml")], str(len(text)), b"" if self.command == "HEAD" else text
        )

    def _reset(self) -> None:
        # Closed with a linger time of 0, a connection is reset.
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True
        self.wfile = _Nowhere()  # type: ignore[assignment]


class _Nowhere:
    """Takes what the handler writes after its connection is gone."""

    closed = False

    def write(self, content: bytes) -> int:
        """Forget it."""
        return len(content)

    def flush(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


def flipped(content: bytes, place: float) -> bytes:
    """Bytes with one bit changed, ``place`` of the way through; empty ones stay as they are."""
    if not content:
        return content
    position = min(int(place * len(content)), len(content) - 1)
    changed = bytearray(content)
    changed[position] ^= 1 << (int(place * 8192) % 8)
    return bytes(changed)
