"""Shared by the client's tests: a cache of their own, a clock that does not wait, and a moto that answers like AWS."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from launcher.session.session import AwsSession


class FakeClock:
    """Time that passes only when somebody sleeps; ``at`` runs something when a moment is reached."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for each test, in which packages of code are built anew."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """A moto server on loopback, with the policies that AWS brings."""
    from moto import settings
    from moto.server import ThreadedMotoServer

    assert settings  # imported before the server, which reads it once
    patch = pytest.MonkeyPatch()
    patch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    patch.undo()


@pytest.fixture
def aws(moto_url: str) -> AwsSession:
    """A session whose AWS is moto: shapes are right, no job ever runs. Each test has an account of its own."""
    account = str(uuid.uuid4().int)[:12]
    session = boto3.Session(aws_access_key_id=f"AKIA{account}", aws_secret_access_key="test", region_name="us-east-1")
    return AwsSession(session, endpoint_url=moto_url)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a script, as the current folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "my.py").write_text("print('hello')\n")
    monkeypatch.chdir(folder)
    return folder
