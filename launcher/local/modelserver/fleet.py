"""Several model servers that are started and ended together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from launcher.local.modelserver.server import ModelServer


def start_all(servers: Sequence[ModelServer]) -> None:
    """Start servers at the same time; when one cannot be started, all are ended.

    Raises:
        JobFault: that of the first server, in their order, which could not be started.
    """
    try:
        _each(servers, ModelServer.start)
    except BaseException:
        stop_all(servers)
        raise


def stop_all(servers: Sequence[ModelServer]) -> None:
    """End servers at the same time."""
    _each(servers, ModelServer.stop)


def _each(servers: Sequence[ModelServer], action: Callable[[ModelServer], None]) -> None:
    with ThreadPoolExecutor(max(1, len(servers)), thread_name_prefix="server") as pool:
        futures = [pool.submit(action, server) for server in servers]
    for future in futures:
        future.result()
