"""Door and store inside a container: 127.0.0.1:<port> here is a mounted unix socket (design 5).

``BATCHRL_FORWARD="<port>=<socket path>[,...]"`` says which. The endpoint URLs of the host stay true in the container,
without host networking and without a listener beyond loopback on either side.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping

from batchrl.contract.errors import InputError

FORWARD_VARIABLE = "BATCHRL_FORWARD"
CHUNK_BYTES = 256 * 1024
BACKLOG = 128


def parse(text: str) -> dict[int, str]:
    """Socket path by port.

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


def start(environ: Mapping[str, str]) -> None:
    """Listen on all ports that the environment names, in threads that end with the process.

    Raises:
        InputError: a port is taken, or the variable is malformed.
    """
    for port, path in parse(environ.get(FORWARD_VARIABLE, "")).items():
        try:
            listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        except OSError as error:
            raise InputError(f"port {port} of the container, which leads to the cloud, is taken: {error}") from error
        threading.Thread(target=_accept, args=(listener, path), name=f"forward-{port}", daemon=True).start()


def _accept(listener: socket.socket, path: str) -> None:
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            upstream.connect(path)
        except OSError:
            connection.close()
            upstream.close()
            continue
        join(connection, upstream)


def join(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes both ways until both sides are done, then close them."""
    ends = _Ends(one, other)
    for source, sink in ((one, other), (other, one)):
        threading.Thread(target=ends.pump, args=(source, sink), daemon=True).start()


class _Ends:
    """Two joined sockets; closed when both directions have ended."""

    def __init__(self, *sockets: socket.socket) -> None:
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
            for one in self._sockets:
                one.close()

    def _abort(self) -> None:
        """A broken direction ends the other one too."""
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
