"""How a job in a container reaches API server and store: ports of its loopback lead to mounted unix sockets.

``BATCHRL_FORWARD="<port>=<socket path>[,...]"`` says which. Outside, the shim connects each socket to the host's
loopback port; inside, ``batchrl.boot`` listens on the same port. The endpoint URLs of the host stay true in the
container, without host networking and without a listener beyond loopback on either side.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable, Mapping

from batchrl.contract.errors import InputError

FORWARD_VARIABLE = "BATCHRL_FORWARD"
SOCKET_FOLDER = "/run/batchrl"
CHUNK_BYTES = 256 * 1024
# What a listener that was closed answers; all else passes.
CLOSED = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
PAUSE_SECONDS = 0.1
# Each takes two descriptors and two threads of whoever watches over the job.
MAX_CONNECTIONS = 256


def format_forward(sockets: Mapping[int, str]) -> str:
    """The variable's value for socket paths by port."""
    return ",".join(f"{port}={path}" for port, path in sorted(sockets.items()))


def parse_forward(text: str) -> dict[int, str]:
    """Socket paths by port.

    Raises:
        InputError: the text is not of the form ``port=path,port=path``.
    """
    sockets = {}
    for pair in filter(None, text.split(",")):
        port, separator, path = pair.partition("=")
        if not separator or not port.isdigit() or not path:
            raise InputError(f"{FORWARD_VARIABLE}: '{pair}' is not of the form <port>=<socket path>.")
        sockets[int(port)] = path
    return sockets


def serve(listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Join every connection to a listener with one that ``connect`` makes, until the listener is closed.

    A peer that cannot be reached shows as a connection that is closed at once: clients retry that. So does the want of
    descriptors, threads or memory, which passes. Beyond ``MAX_CONNECTIONS`` at a time, callers wait.
    """
    places = threading.BoundedSemaphore(MAX_CONNECTIONS)
    while True:
        places.acquire()
        try:
            connection, _ = listener.accept()
        except OSError as error:
            places.release()
            if error.errno in CLOSED:
                return
            time.sleep(PAUSE_SECONDS)
            continue
        try:
            upstream = connect()
        except OSError:
            connection.close()
            places.release()
            continue
        try:
            join(connection, upstream, places.release)
        except (OSError, RuntimeError, MemoryError):
            for end in (connection, upstream):
                end.close()
            places.release()


def join(one: socket.socket, other: socket.socket, ended: Callable[[], None] = lambda: None) -> None:
    """Copy bytes both ways, from two threads, until both sides are done; then close both, and call ``ended``."""
    for end in (one, other):
        if end.family == socket.AF_INET:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ends = _Ends(ended, one, other)
    for source, sink in ((one, other), (other, one)):
        threading.Thread(target=ends.pump, args=(source, sink), daemon=True).start()


class _Ends:
    """Two joined sockets; closed when both directions have ended."""

    def __init__(self, ended: Callable[[], None], *sockets: socket.socket) -> None:
        self._ended = ended
        self._sockets = sockets
        self._open = len(sockets)
        self._lock = threading.Lock()

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        buffer = bytearray(CHUNK_BYTES)
        view = memoryview(buffer)
        try:
            while count := source.recv_into(buffer):
                sink.sendall(view[:count])
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._abort()
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            for end in self._sockets:
                end.close()
            self._ended()

    def _abort(self) -> None:
        """A broken direction ends the other one too."""
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
