"""Keeps tests on this machine: a connection to anything but loopback, or a container, fails with the address."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

# Name lookups of these never leave the machine.
LOCAL_NAMES = frozenset({"localhost", "", "0.0.0.0", "::"})
# Where a Docker engine puts its containers, whose servers are reached from here, unless it is told otherwise.
CONTAINERS = ipaddress.ip_network("172.16.0.0/12")


class NetworkInTest(RuntimeError):
    """A test tried to leave the machine. It is no OSError: nothing that retries connections may swallow it."""


def is_local(host: object) -> bool:
    """Whether a host, as a socket address or a look-up spells it, stays on this machine."""
    if host is None:
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name.split("%")[0])
        return address.is_loopback or address in CONTAINERS
    except ValueError:
        return False


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None  # a unix socket's address is a string
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    if not is_local(host):
        raise NetworkInTest(f"a test reached for {host!r} ({event}): tests stay on loopback")


def install() -> None:
    """Watch this process from now on; there is no way back, as an audit hook cannot be removed."""
    if not getattr(sys, "_batchrl_loopback_only", False):
        sys.addaudithook(_audit)
        sys._batchrl_loopback_only = True  # type: ignore[attr-defined]
