"""What a data folder can do without: work of jobs that ended, folders without a job, sockets without an owner.

What a training job left goes only when it is certain that its results are in S3 (``jobs/evidence``); what is kept is
named, with the reason.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.store import Client
from launcher.api.constants import TRAINING
from launcher.local.cloud import ensure_up
from launcher.local.host.home import HomePaths
from launcher.local.host.trees import remove_tree
from launcher.local.jobs.evidence import why_kept
from launcher.local.records.records import JobRecord, Records


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


@dataclass(frozen=True)
class Kept:
    """Files of a job that has ended, which stay.

    Args:
        path: where they are.
        size_bytes: what they take on disk.
        why: why they stay.
    """

    path: Path
    size_bytes: int
    why: str


@dataclass(frozen=True)
class Collected:
    """What was removed, and what was not, for a reason."""

    removed: tuple[Removed, ...]
    kept: tuple[Kept, ...]


def gc(home: Path | None = None) -> Collected:
    """Remove what is of no use any more, and say what it was and how many bytes it took, and what was kept and why.

    The cloud is started where something has to be verified in its store.
    """

    def client() -> Client:
        import boto3

        return ensure_up(home).store.client(boto3.Session())

    return collect(HomePaths.of(home), client)


def collect(paths: HomePaths, client: Callable[[], Client]) -> Collected:
    """Remove all of it. Records, logs and the store stay.

    Args:
        paths: the data folder.
        client: makes the S3 client of its store; asked only where something is to be verified.
    """
    found = list(_useless(paths, client))
    kept = tuple(one for one in found if isinstance(one, Kept))
    return Collected(tuple(_remove(path, why) for path, why in (one for one in found if isinstance(one, tuple))), kept)


def _useless(paths: HomePaths, client: Callable[[], Client]) -> Iterator[tuple[Path, str] | Kept]:
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
            yield _orphan(paths, folder)
        elif record.ended:
            yield from _ended(paths, record, client)
    for path in sorted(paths.runtime.glob("*.sock")):
        if not _answers(path):
            yield path, "nobody listens at this socket"


def _orphan(paths: HomePaths, folder: Path) -> tuple[Path, str] | Kept:
    """A folder that no record names; with work in it, it may be the record that was lost."""
    work = paths.job(folder.name).ml
    if work.exists():
        return Kept(
            work, _size(work), "no job has this folder, but it holds work; remove it by hand if it is of no use"
        )
    return folder, "no job has this folder"


def _ended(paths: HomePaths, record: JobRecord, client: Callable[[], Client]) -> Iterator[tuple[Path, str] | Kept]:
    home = paths.job(record.key)
    if record.kind == TRAINING and (why := why_kept(record, home, client)):
        yield Kept(home.ml, _size(home.ml), why)
        return
    for root in home.roots(record.instances):
        if root.exists():
            yield root, f"{record.kind} {record.name} is {record.status}"


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
    return Removed(path, size, why, remove_tree(path))


def _size(path: Path) -> int:
    total = 0
    for file in (path, *path.rglob("*")):
        with contextlib.suppress(OSError):
            total += file.lstat().st_blocks * 512
    return total
