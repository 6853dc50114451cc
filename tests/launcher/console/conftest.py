"""A cloud with jobs of every kind of end, made once, and readers of the console that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from consoles import BASE, Reader, console_of, run_jobs
from jobs import run_command


@pytest.fixture(scope="session")
def jobs_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a cloud with jobs (``consoles.run_jobs``)."""
    home = tmp_path_factory.mktemp("cloud")
    run_jobs(home, tmp_path_factory.mktemp("work"))
    yield home
    run_command(home, "cloud", "down", "--stop-jobs")


@pytest.fixture
def cache() -> None:
    """The jobs of these tests share one cache."""


@pytest.fixture
def stranger(jobs_home: Path) -> Reader:
    """One who has no cookie."""
    return Reader(*console_of(jobs_home))


@pytest.fixture
def reader(stranger: Reader) -> Reader:
    """One who came by the link."""
    answer = stranger.get(stranger.access.link.removeprefix(BASE))
    assert answer.status_code == 200, answer.text
    return stranger
