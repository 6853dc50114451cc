"""Loops whose work is done by a stand-in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# tests/ is no package (importlib mode), so that the helper beside this file is found by its folder.
sys.path.insert(0, str(Path(__file__).parent))

from fake_loops import Bench


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine does not lose its power here: nothing has to reach the disk, a thousand times."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A folder for loops."""
    return Bench(tmp_path)


@pytest.fixture
def cache() -> None:
    """All tests of this folder share the caller's cache: packages of code are built once."""
