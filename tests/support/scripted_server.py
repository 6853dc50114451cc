"""A model server whose behaviour a test scripts: a real HTTP server on loopback or on a unix socket."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.local.executors.address import ServerAddress


@dataclass
class Request:
    """What the server was sent."""

    line: str
    headers: dict[str, str]
    body: bytes
    number: int

    @property
    def lines(self) -> list[bytes]:
        return self.body.splitlines()


@dataclass
class Reply:
    """What it answers.

    Args:
        status, body: of the answer.
        delay: seconds before it.
        headers: beside Content-Length.
        cut: send so many bytes of the whole answer, then close the connection.
        raw: send this in place of an answer.
        close: close the connection after it.
        until_close: without Content-Length; the connection's end is the answer's.
        reset: end the connection as a process does that dies with unread input: by a reset.
    """

    body: bytes = b""
    status: int = 200
    delay: float = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    raw: bytes | None = None
    close: bool = False
    until_close: bool = False
    reset: bool = False


DROP = Reply(cut=0)
Script = Callable[[Request], Reply]


def echo(request: Request) -> Reply:
    return Reply(request.body)


def per_line(answer: Callable[[bytes], bytes]) -> Script:
    """One line of answer for each line."""
    return lambda request: Reply(b"".join(answer(line) + b"\n" for line in request.lines))


class _Handler(socketserver.StreamRequestHandler):
    server: _Listener

    def handle(self) -> None:
        owner = self.server.owner
        owner.connections += 1
        while owner.alive and (line := self._line()):
            headers = {}
            while entry := self._line():
                name, _, value = entry.partition(":")
                headers[name.strip().lower()] = value.strip()
            request = owner.taken(line, headers, self._body(headers))
            try:
                reply = owner.script(request)
                if reply.delay:
                    owner.ended.wait(reply.delay)
                if not owner.alive or not self._answer(reply):
                    return
            finally:
                owner.answered()

    def _line(self) -> str:
        try:
            return self.rfile.readline().decode("latin-1").strip()
        except OSError:
            return ""

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        parts = []
        while size := int(self._line(), 16):
            parts.append(self.rfile.read(size))
            self._line()
        self._line()
        return b"".join(parts)

    def _answer(self, reply: Reply) -> bool:
        """Send it; whether the connection is still good."""
        length = {} if reply.until_close else {"Content-Length": str(len(reply.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**length, **reply.headers}.items())
        whole = reply.raw
        if whole is None:
            whole = f"HTTP/1.1 {reply.status} Scripted\r\n{head}\r\n".encode() + reply.body
        try:
            self.wfile.write(whole if reply.cut is None else whole[: reply.cut])
        except OSError:
            return False
        if reply.reset:
            time.sleep(0.05)  # what was sent arrives before
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        return reply.cut is None and not (reply.close or reply.until_close or reply.reset)


class _Listener:
    owner: ModelServer
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


class _Tcp(_Listener, socketserver.ThreadingTCPServer):  # type: ignore[misc]
    disable_nagle_algorithm = True


class _Unix(_Listener, socketserver.ThreadingUnixStreamServer):  # type: ignore[misc]
    pass


class ModelServer:
    """A real HTTP server on loopback, or on a unix socket, and its keeper.

    Args:
        script: answers requests.
        path: of a unix socket; None for TCP.
    """

    def __init__(self, script: Script, path: Path | None = None) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.connections = 0
        self.most_at_once = 0
        self.recoveries = 0
        self.useful: list[bool] = []
        self.on_recover: Callable[[], bool] = lambda: self.alive
        self.alive = False
        self.ended = threading.Event()
        self._path = path
        self._port = 0
        self._now = 0
        self._lock = threading.Lock()
        self.start()

    def start(self) -> None:
        """Listen, where it listened before."""
        self._server: Any
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._server = _Unix(str(self._path), _Handler)
        else:
            self._server = self._listening()
            self._port = self._server.server_address[1]
        self._server.owner = self
        self.alive = True
        self.ended.clear()
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _listening(self) -> _Tcp:
        deadline = time.monotonic() + 10
        while True:
            try:
                return _Tcp(("127.0.0.1", self._port), _Handler)
            except OSError:  # whoever polled the last socket of this port holds it for a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def die(self) -> None:
        """Stop listening, drop every connection, answer nothing more."""
        if self.alive:
            self.alive = False
            self.ended.set()
            # From another thread: the one that answers may be who ends it.
            threading.Thread(target=self._server.shutdown, daemon=True).start()
            self._server.server_close()

    def revive(self) -> bool:
        """Listen again if it died, as a keeper's ``recover`` does."""
        if not self.alive:
            self.start()
        return True

    @property
    def address(self) -> ServerAddress:
        if self._path is not None:
            return ServerAddress.unix(str(self._path))
        return ServerAddress.tcp("127.0.0.1", self._port)

    def recover(self, useful: bool) -> bool:
        self.recoveries += 1
        self.useful.append(useful)
        return self.on_recover()

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]

    def taken(self, line: str, headers: dict[str, str], body: bytes) -> Request:
        with self._lock:
            request = Request(line, headers, body, len(self.requests) + 1)
            self.requests.append(request)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        return request

    def answered(self) -> None:
        with self._lock:
            self._now -= 1
