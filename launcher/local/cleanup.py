"""What a data folder can do without: work of jobs that ended, folders without a job, sockets without an owner."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.local.host.home import HomePaths
from launcher.local.records.records import Records


@dataclass(frozen=True)
class Removed:
    """One thing that was removed, or could not be.

    Args:
        path: where it was.
        size_bytes: what it took on disk.
        why: why it was of no use.
        error: why it is still there; None when it is gone.
    """

    path: Path
    size_bytes: int
    why: str
    error: str | None = None


def collect(paths: HomePaths) -> tuple[Removed, ...]:
    """Remove all of it. Records, logs and the store stay."""
    return tuple(_remove(path, why) for path, why in _useless(paths))


def _useless(paths: HomePaths) -> Iterator[tuple[Path, str]]:
    if not paths.records.exists():
        return
    folders = sorted(paths.jobs.glob("*"))  # before the records: a job is recorded before it has a folder
    records = Records(paths.records)
    try:
        jobs = {record.key: record for record in records.list()}
    finally:
        records.close()
    for folder in folders:
        record = jobs.get(folder.name)
        if record is None:
            yield folder, "no job has this folder"
        elif record.ended:
            for root in paths.job(record.key).roots(record.instances):
                if root.exists():
                    yield root, f"{record.kind} {record.name} is {record.status}"
    for path in sorted(paths.runtime.glob("*.sock")):
        if not _answers(path):
            yield path, "nobody listens at this socket"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _remove(path: Path, why: str) -> Removed:
    size = _size(path)
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except OSError as error:
        return Removed(path, size, why, f"{error.strerror}: {error.filename}")
    return Removed(path, size, why)


def _size(path: Path) -> int:
    total = 0
    for file in (path, *path.rglob("*")):
        with contextlib.suppress(OSError):
            total += file.lstat().st_blocks * 512
    return total
