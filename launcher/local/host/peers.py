"""Who is at the other end of a connection: the user, as the system knows it."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

_TABLES = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}


def peer_uid(connection: socket.socket) -> int | None:
    """The user id of the process at the other end; None where the system does not say.

    Args:
        connection: a unix socket, or one of loopback: of both ends, this machine's tables hold the owner.
    """
    try:
        if connection.family == socket.AF_UNIX:
            _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return int(uid)
        ends = f"{_spelled(connection, connection.getpeername())} {_spelled(connection, connection.getsockname())}"
        with _TABLES[connection.family].open() as table:
            for line in table:
                if ends in line:
                    fields = line.split()
                    # A socket that its process has closed has no inode, and no user.
                    return int(fields[7]) if fields[9] != "0" else None
    except (OSError, KeyError, ValueError, IndexError, struct.error):
        return None
    return None


def is_owner(uid: int | None) -> bool:
    """Whether a user may do here what this process's own user may; root may."""
    return uid is not None and uid in (os.getuid(), 0)


def _spelled(connection: socket.socket, address: tuple[str, int]) -> str:
    """An address as the tables spell it: each word of four bytes in this machine's order, in hex."""
    packed = socket.inet_pton(connection.family, address[0])
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{address[1]:04X}"
