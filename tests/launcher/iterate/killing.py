"""Kills: nothing of ours runs after them, and what was half written stays."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from launcher.iterate.state import SCRATCH_PREFIX


class Killed(BaseException):
    """What kill -9 is to the process: nothing of ours runs after it."""


class Killer:
    """Ends everything at the n-th chance.

    Args:
        at: which one; 0 never.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    @property
    def has_killed(self) -> bool:
        return 0 < self.at <= self.count

    def chance(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise Killed

    def arm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before and after each change of a folder, and before what is written is on disk."""
        replace, unlink, rmtree = Path.replace, Path.unlink, shutil.rmtree

        def replaced(path: Path, target: Any) -> Path:
            self.chance()
            result = replace(path, target)
            self.chance()
            return result

        def unlinked(path: Path, missing_ok: bool = False) -> None:
            # A killed process cleans up after nothing.
            if path.suffix == ".parquet":
                self.chance()
            if not self.has_killed:
                unlink(path, missing_ok=missing_ok)

        def removed(path: Path | str, **more: Any) -> None:
            # What is unfinished stays where it is: only the next run sweeps it away.
            if not Path(path).name.startswith(SCRATCH_PREFIX):
                rmtree(path, **more)

        def synced(descriptor: int) -> None:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                self.chance()

        monkeypatch.setattr(Path, "replace", replaced)
        monkeypatch.setattr(Path, "unlink", unlinked)
        monkeypatch.setattr("launcher.iterate.state.shutil.rmtree", removed)
        monkeypatch.setattr("launcher.iterate.state.os.fsync", synced)
