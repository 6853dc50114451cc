"""Scripted model servers, a store in memory, and the embedded store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from embedded import Embedded
from hypothesis import HealthCheck, settings
from memory_s3 import MemoryS3
from scripted_server import ModelServer, Script, echo
from transforms import BUCKET

from batchrl.contract.store import Client, ensure_bucket

DEADLINE = 30.0

settings.register_profile("transform", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("transform")


def wait_until(condition: Callable[[], bool], what: str, timeout: float = DEADLINE) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(0.01)


@pytest.fixture
def serve() -> Iterator[Callable[..., ModelServer]]:
    """Starts model servers, and ends them after the test."""
    servers: list[ModelServer] = []

    def start(script: Script = echo, path: Path | None = None) -> ModelServer:
        servers.append(ModelServer(script, path))
        return servers[-1]

    yield start
    for server in servers:
        server.die()


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of an embedded store."""
    server = Embedded(tmp_path_factory.mktemp("store"))
    server.start()
    ensure_bucket(server.client(), BUCKET)
    yield server.client()
    server.stop()
