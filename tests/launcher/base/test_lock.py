"""Locks between processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.base import lock

HOLD = "import sys; from pathlib import Path; from launcher.base import lock\nassert lock.take(Path(sys.argv[1]))\n"


def test_one_at_a_time_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = lock.take(path)
    assert held is not None and lock.take(path) is None
    with held:
        held.note("somebody else, with a long name")
        held.note("me\n")
        assert path.read_text() == "me\n" and lock.take(path) is None
    again = lock.take(path)
    assert again is not None
    with again:
        assert path.read_text() == "me\n"


def test_it_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    waiting = HOLD + "print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", waiting, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert lock.take(tmp_path / "lock") is None
        other.kill()
        other.wait(10)
    assert lock.take(tmp_path / "lock") is not None


def test_its_file_is_private_unless_said_otherwise(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        lock.take(tmp_path / "own")
        lock.take(tmp_path / "open", mode=0o666)
    finally:
        os.umask(old)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("own", "open")] == [0o600, 0o666]


def test_a_file_that_cannot_be_opened_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock.take(tmp_path / "nowhere" / "lock")
