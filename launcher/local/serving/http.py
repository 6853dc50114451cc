"""One HTTP request to a model server, over a unix socket or TCP."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.local.serving.address import ServerAddress


@dataclass(frozen=True)
class Answer:
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
) -> Answer:
    """Send one request and read the whole answer.

    Args:
        address: of the server.
        method, path, body, headers: of the request.
        timeout: seconds, for connecting and for every part of the answer.

    Raises:
        Unanswered: there is no whole answer.
    """
    connection = _Connection(address, timeout)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        content = answer.read()
    except TimeoutError:
        raise Unanswered(f"it did not answer within {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(str(error) or type(error).__name__) from error
    finally:
        connection.close()
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)


class _Connection(http.client.HTTPConnection):
    """A connection that knows unix sockets, too."""

    def __init__(self, address: ServerAddress, timeout: float) -> None:
        super().__init__(address.host or "localhost", address.port, timeout=timeout)
        self._path = address.path

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
