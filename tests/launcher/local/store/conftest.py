"""One embedded store for the tests of this folder, each with a bucket of its own; and one that a test may kill."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded import Embedded

from batchrl.contract.store import Client

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    server = Embedded(tmp_path_factory.mktemp("embedded"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Embedded]:
    """A store of the test's own."""
    server = Embedded(tmp_path / "home")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(store: Embedded) -> Client:
    return store.client()


@pytest.fixture
def bucket(client: Client) -> str:
    name = f"test-{next(_numbers)}"
    client.create_bucket(Bucket=name)
    return name
