"""The inner half of the way to API server and store: loopback ports that lead to mounted sockets."""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Mapping

from batchrl.contract.errors import InputError
from batchrl.contract.forward import FORWARD_VARIABLE, parse_forward, serve

BACKLOG = 128


def start(environ: Mapping[str, str]) -> None:
    """Listen on all ports that the environment names, in threads that end with the process.

    Raises:
        InputError: a port is taken, or the variable is malformed.
    """
    for port, path in parse_forward(environ.get(FORWARD_VARIABLE, "")).items():
        try:
            listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        except OSError as error:
            raise InputError(f"port {port} of the container, which leads to the cloud, is taken: {error}") from error
        connect = functools.partial(_connect, path)
        threading.Thread(target=serve, args=(listener, connect), name=f"forward-{port}", daemon=True).start()


def _connect(path: str) -> socket.socket:
    upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        upstream.connect(path)
    except OSError:
        upstream.close()
        raise
    return upstream
