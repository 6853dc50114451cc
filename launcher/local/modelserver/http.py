"""One HTTP request to a model server, over a unix socket or TCP."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.local.executors.address import ServerAddress

ENDED = "the server has ended"
PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class ServerAnswer:
    """What a server answered; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unanswered(Exception):
    """The server cannot be reached, broke the connection off, or took too long; the text says which."""


def ask(
    address: ServerAddress,
    method: str,
    path: str,
    *,
    timeout: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> ServerAnswer:
    """Send one request and read the whole answer.

    Args:
        address: of the server.
        method, path, body, headers: of the request.
        timeout: seconds, for connecting, and then for the whole answer.

    Raises:
        Unanswered: there is no whole answer.
    """
    connection = _Connection(address, timeout)
    try:
        connection.connect()
        if not address.is_held:
            raise Unanswered(ENDED)
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        content = connection.content(answer)
    except TimeoutError:
        raise Unanswered(f"it did not answer within {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(str(error) or type(error).__name__) from error
    finally:
        connection.close()
    return ServerAnswer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)


class _Connection(http.client.HTTPConnection):
    """A connection that knows unix sockets, too."""

    def __init__(self, address: ServerAddress, timeout: float) -> None:
        host, port = ("localhost", None) if address.path is not None else address.host_and_port
        super().__init__(host, port, timeout=timeout)
        self._path = address.path
        self._seconds = timeout

    def connect(self) -> None:
        if self._path is None:
            super().connect()
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self._seconds)
            self.sock.connect(self._path)
        self._connected: socket.socket = self.sock  # an answer without a length takes it away
        self._deadline = time.monotonic() + self._seconds

    def content(self, answer: http.client.HTTPResponse) -> bytes:
        """The rest of an answer, which may come in drops, in the time that is left."""
        parts = []
        while part := answer.read1(PIECE_BYTES):
            parts.append(part)
            if (left := self._deadline - time.monotonic()) <= 0:
                raise TimeoutError
            self._connected.settimeout(left)
        if answer.length:
            raise http.client.IncompleteRead(b"".join(parts), answer.length)
        return b"".join(parts)
