"""The socket that clients connect to (contract 130)."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from batchrl.contract.errors import InputError
from batchrl.serving.settings import ServingSettings

BACKLOG = 2048
EVERY_ADDRESS = "0.0.0.0"
PRIVATE_UMASK = 0o177


def listen(settings: ServingSettings) -> tuple[socket.socket, str]:
    """Listen where the settings say; returns the socket and its address in words.

    Raises:
        InputError: the port is taken, or the unix socket cannot be made.
    """
    if settings.socket is not None:
        return _unix(settings.socket), f"unix socket {settings.socket}"
    try:
        listener = socket.create_server((EVERY_ADDRESS, settings.port), backlog=BACKLOG)
    except OSError as error:
        hint = "Set SAGEMAKER_BIND_TO_PORT to another one." if error.errno == errno.EADDRINUSE else None
        raise InputError(f"cannot listen at port {settings.port}: {error.strerror}.", hint) from error
    return listener, f"{EVERY_ADDRESS}:{settings.port}"


def _unix(path: Path) -> socket.socket:
    """A socket that only this user can connect to; one that a dead server left is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(PRIVATE_UMASK)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError as error:  # also "AF_UNIX path too long", which has no number
        listener.close()
        raise InputError(f"cannot listen at {path}: {error.strerror or error}.") from error
    finally:
        os.umask(before)
    return listener
