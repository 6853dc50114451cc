"""The outer half of a container's way to API server and store: unix sockets that lead to loopback ports."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from batchrl.contract.forward import FORWARD_VARIABLE, SOCKET_FOLDER, format_forward, serve
from batchrl.contract.store import LOOPBACK
from launcher.local.host.home import HomePaths

BACKLOG = 128
DEFAULT_PORTS = {"http": 80, "https": 443}
CONNECT_SECONDS = 10.0


def loopback_ports(urls: Iterable[str | None]) -> dict[int, str]:
    """Ports on this machine's loopback that endpoint URLs name, each with its host; others are reached as they are."""
    found = {}
    for url in urls:
        parts = urlsplit(url or "")
        if parts.hostname in LOOPBACK:
            found[parts.port or DEFAULT_PORTS[parts.scheme]] = parts.hostname
    return found


def socket_path(home: HomePaths, program: str, port: int) -> Path:
    """The socket of a program that leads to a port."""
    return home.socket(f"{port}-{program}")


class SocketBridge:
    """Unix sockets of one program, each joined to a port of this machine.

    The folder that holds them is its owner's alone, so that only a container into which one is mounted reaches it.

    Args:
        home: the data folder.
        program: name of the program.
        ports: host by port.
    """

    def __init__(self, home: HomePaths, program: str, ports: dict[int, str]) -> None:
        self.sockets = {port: socket_path(home, program, port) for port in ports}
        self._listeners = [self._listen(port, host) for port, host in ports.items()]

    def _listen(self, port: int, host: str) -> socket.socket:
        path = self.sockets[port]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(BACKLOG)
        connect = functools.partial(_connect, (host, port))
        threading.Thread(target=serve, args=(listener, connect), name=f"bridge-{port}", daemon=True).start()
        return listener

    @property
    def mounts(self) -> dict[str, Path]:
        """What to mount where in the container: socket by its path there."""
        return {self._inside(port): path for port, path in self.sockets.items()}

    @property
    def variables(self) -> dict[str, str]:
        """What the container's PID 1 has to know."""
        paths = {port: self._inside(port) for port in self.sockets}
        return {FORWARD_VARIABLE: format_forward(paths)} if paths else {}

    def close(self) -> None:
        """Stop listening and remove the sockets; connections that stand go on."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for path in self.sockets.values():
            path.unlink(missing_ok=True)

    @staticmethod
    def _inside(port: int) -> str:
        return str(PurePosixPath(SOCKET_FOLDER) / f"{port}.sock")


def _connect(address: tuple[str, int]) -> socket.socket:
    upstream = socket.create_connection(address, timeout=CONNECT_SECONDS)
    upstream.settimeout(None)
    return upstream
