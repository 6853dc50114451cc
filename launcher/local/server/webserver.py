"""The web server under the API: werkzeug's, with limits in front of it that hold before anything is verified.

One request a connection (werkzeug closes after each). What a caller may take, in bytes and seconds:

======================  =========================================================================================
its head                64 KiB and 30 s, from the connection to the blank line
its body                read only when the application asks; 60 s for the next byte, and 64 KiB/s over all of it
what nobody asked for   32 MiB and 2 s, thrown away, so that a refusal is read rather than reset
its reading             10 min for the next piece of an answer to be taken: some work on what they have read
======================  =========================================================================================
"""

from __future__ import annotations

import errno
import io
import logging
import socket
import threading
import time
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from launcher.local.server.connections import LET_IN, Connections, Refusals
from launcher.local.server.protocol.wire import MOST_DIGITS

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 30.0
STILL_SECONDS = 60.0
TAKEN_SECONDS = 600.0
SLOWEST_BYTES_PER_SECOND = 64 * 1024
DRAINED_BYTES = 32 * 1024 * 1024
DRAIN_SECONDS = 2.0
READ_BYTES = 64 * 1024
PIECE_BYTES = 1024 * 1024

log = logging.getLogger(__name__)


class _Arriving(io.RawIOBase):
    """What a caller sends, within limits: past them it ends, as if the caller had gone.

    Args:
        end: the connection.

    Attributes:
        cut: the HTTP status that says why it was ended too early; None where it was not.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.allow(HEAD_BYTES, HEAD_SECONDS)

    def allow(self, size: int, seconds: float, *, discard: bool = False) -> None:
        """From now on, take so many bytes in so many seconds; and throw them away, if nobody wants them."""
        self._left = size
        self._deadline = time.monotonic() + seconds
        self._discard = discard
        self.cut: int | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._received(buffer)
        while count and self._discard:
            count = self._received(buffer)
        return count

    def _received(self, buffer: Any) -> int:
        seconds = min(self._deadline - time.monotonic(), STILL_SECONDS)
        if self._left <= 0 or seconds <= 0:
            self.cut = 431 if seconds > 0 else 408
            return 0
        try:
            if seconds < STILL_SECONDS:
                self._end.settimeout(seconds)
            count = self._end.recv_into(buffer, min(len(buffer), self._left))
        except TimeoutError:
            self.cut = 408
            return 0
        finally:
            if seconds < STILL_SECONDS:
                self._end.settimeout(STILL_SECONDS)
        self._left -= count
        return count


class Body(io.RawIOBase):
    """The body of one request; its caller sends it when it is read, and not before.

    Args:
        handler: whose request it is.
        length: its bytes, as declared.
    """

    def __init__(self, handler: Handler, length: int) -> None:
        self._handler = handler
        self._left = length
        self._begun = False

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """The next ``size`` bytes, all that are left by default; fewer when the caller stops or is too slow."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        if wanted and not self._begun:
            self._begun = True
            self._handler.expect_body(self._left)
        pieces = []
        while wanted and (piece := self._handler.rfile.read(min(wanted, PIECE_BYTES))):
            pieces.append(piece)
            wanted -= len(piece)
            self._left -= len(piece)
        if wanted:
            self._left = 0
        return b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        """The next bytes into a buffer, as many as it takes; 0 at the end."""
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class Handler(WSGIRequestHandler):
    """One connection of an API server."""

    server: ApiWebServer
    timeout = STILL_SECONDS

    def setup(self) -> None:
        """Read through the limits."""
        super().setup()
        self.rfile.close()
        self._arriving = _Arriving(self.connection)
        self.rfile = io.BufferedReader(self._arriving, READ_BYTES)
        self._waits = False

    def run_wsgi(self) -> None:
        """Answer one request whose head is whole."""
        if self._arriving.cut is not None:
            self.send_error(self._arriving.cut)
            return
        try:
            self._prepared = super().make_environ()
            length = self._declared_length()
        except ValueError as error:
            self.send_error(400, "The request cannot be read", type(error).__name__)
            return
        # What the caller waits for is said when the body is wanted.
        self._waits = self.headers.get("Expect", "").lower().strip() == "100-continue"
        del self.headers["Expect"]
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            self._prepared["wsgi.input"] = Body(self, length)
        self._prepared[LET_IN] = lambda: self.server.connections.let_in(self.connection)
        super().run_wsgi()

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin the answer; what still arrives then is nobody's."""
        self._arriving.allow(DRAINED_BYTES, DRAIN_SECONDS, discard=True)
        self.connection.settimeout(TAKEN_SECONDS)
        super().send_response(code, message)

    def make_environ(self) -> dict[str, Any]:
        """What was made of the head."""
        return self._prepared

    def expect_body(self, length: int) -> None:
        """Have the caller send the body now."""
        self._arriving.allow(length, STILL_SECONDS + length / SLOWEST_BYTES_PER_SECOND)
        if self._waits:
            self._waits = False
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()

    def _declared_length(self) -> int:
        given = set(self.headers.get_all("Content-Length") or ["0"])
        text = given.pop().strip()
        if given or not (text.isascii() and text.isdigit()) or len(text) > MOST_DIGITS:
            raise ValueError("Content-Length")
        return int(text)

    def handle_expect_100(self) -> bool:
        """Say nothing yet."""
        return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log what went wrong here."""
        if str(code) >= "500":
            log.warning("%s %s: %s", self.command, self.path[:200], code)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Log what werkzeug says of heads that it cannot read."""
        self.server.refusals.tell(message % args if args else message)


class ApiWebServer(ThreadedWSGIServer):
    """One listener of an API server, a thread a connection.

    Args:
        listener: the socket, which listens already.
        app: the application.
        connections: the places, which all listeners share.
        refusals: where strangers' mistakes are told.
    """

    def __init__(self, listener: socket.socket, app: Any, connections: Connections, refusals: Refusals) -> None:
        self.connections = connections
        self.refusals = refusals
        name = listener.getsockname()
        host, port = (f"unix://{name}", 0) if isinstance(name, str) else name[:2]
        super().__init__(host, port, app, Handler, fd=listener.fileno())

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection; where descriptors are short, not at once."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                self.refusals.tell(f"a connection: {error.strerror}")
                time.sleep(0.05)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its place and its thread."""
        if not self.connections.admit(request):
            self.refusals.tell("a connection: too many are open")
            self.shutdown_request(request)
            return
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more threads
            self.refusals.tell(f"a connection: {error}")
            self._end(request)

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception as error:
            self.refusals.tell(f"a request: {type(error).__name__}: {error}")
        finally:
            self._end(request)

    def _end(self, request: Any) -> None:
        self.connections.forget(request)
        self.shutdown_request(request)
