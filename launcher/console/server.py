"""The console's web server: on loopback alone, with the limits of the local cloud's, until Ctrl-C."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from typing import Any

from batchrl.contract.errors import InputError
from launcher.console.access import ADDRESS, Access
from launcher.console.app import Console
from launcher.console.given import Given
from launcher.console.watched import WatchedCloud
from launcher.local.server.connections import Connections, Refusals
from launcher.local.server.webserver import ApiWebServer, Handler

MOST_CONNECTIONS = 64
MOST_OF_OTHERS = 4
POLL_SECONDS = 0.2


class _Quiet(Handler):
    """One connection of the console; nothing of it is told on the owner's terminal."""

    def version_string(self) -> str:
        """What it says it is."""
        return "batchrl"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: what went wrong stands on the page."""


class ConsoleServer:
    """A console that listens.

    Args:
        cloud: what it shows.
        port: where; 0 for a free one.
        on_fault: told faults of our own; see ``Console``.
        given: what else has pages.

    Raises:
        InputError: the port is taken, or may not be used.
    """

    def __init__(
        self, cloud: WatchedCloud, port: int, on_fault: Callable[[Exception], str], given: Given | None = None
    ) -> None:
        self._listener = _bound(port)
        self.access = Access(int(self._listener.getsockname()[1]))
        self._console = Console(cloud, self.access, on_fault, given)
        self._prepares = cloud.is_local
        app: Any = self._console
        connections = Connections(MOST_CONNECTIONS, MOST_OF_OTHERS)
        self._server = ApiWebServer(self._listener, app, connections, Refusals())
        self._server.RequestHandlerClass = _Quiet

    def serve(self) -> None:
        """Answer until ``end`` is called, or Ctrl-C."""
        if self._prepares:
            threading.Thread(target=self._console.prepare, daemon=True).start()
        try:
            self._server.serve_forever(POLL_SECONDS)
        finally:
            self._listener.close()

    def end(self) -> None:
        """Have ``serve`` return; called from another thread."""
        self._server.shutdown()


def _bound(port: int) -> socket.socket:
    try:
        return socket.create_server((ADDRESS, port), backlog=MOST_CONNECTIONS)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"port {port} of {ADDRESS} is taken, perhaps by another console.",
                "Give another one: --port 0 takes a free one.",
            ) from error
        raise InputError(f"port {port} of {ADDRESS} cannot be used: {error.strerror}.", "Try --port 0.") from error
