"""Scripted model servers, a store in memory, and the embedded store."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import botocore.exceptions
import pytest
from hypothesis import HealthCheck, settings
from memory_s3 import MemoryS3
from scripted_server import ModelServer, Script, echo
from transforms import BUCKET

from batchrl.contract.store import Client, ensure_bucket, s3_client

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


@contextmanager
def rclone(folder: Path) -> Iterator[Client]:
    """The embedded store, serving a folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key, secret = "TRANSFORMTESTKEY0001", "transform-test-secret-00001"
    (folder / "objects").mkdir()
    (folder / "rclone.conf").touch()
    command = [Path(sys.executable).parent / "rclone", "serve", "s3", "--config", folder / "rclone.conf"]
    process = subprocess.Popen(
        [*command, "--addr", f"127.0.0.1:{port}", folder / "objects"],
        env=os.environ | {"RCLONE_AUTH_KEY": f'"{key},{secret}"'},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        client = s3_client(
            None,
            f"http://127.0.0.1:{port}",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
        )
        wait_until(lambda: _answers(client), "the store answers")
        ensure_bucket(client, BUCKET)
        yield client
    finally:
        process.kill()
        process.wait()


def _answers(client: Client) -> bool:
    try:
        client.list_buckets()
    except botocore.exceptions.BotoCoreError:
        return False
    return True


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with rclone(tmp_path_factory.mktemp("store")) as client:
        yield client
