"""Running command lines in tests: inside this process, and as a user's shell would."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# tests/ is no package (importlib mode), so that the helper beside this file is found by its folder.
sys.path.insert(0, str(Path(__file__).parent))

from command_line import Ended, Run, shell

from launcher.cli import main


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of a short name: pytest's own grows with the number of its runs, and lines are held to 80 characters."""
    with tempfile.TemporaryDirectory(prefix="b-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own, which does not exist yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("BATCHRL_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def cloud_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a cloud that a module's tests share."""
    folder = tmp_path_factory.mktemp("cloud")
    yield folder
    ended = shell("cloud", "down", "--stop-jobs", environ={"BATCHRL_HOME": str(folder)})
    assert ended.code == 0, ended.err


@pytest.fixture
def run(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run one command line through the real entry function."""

    def run(*arguments: str) -> Ended:
        capfd.readouterr()
        code = main(arguments)
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture
def in_shell(home: Path) -> Run:
    """Run one command line as a process of its own."""
    return shell


@pytest.fixture
def cache() -> None:
    """All tests of this folder share the caller's cache: packages of code are built once."""
