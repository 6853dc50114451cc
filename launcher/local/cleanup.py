"""What a data folder can do without: work of jobs that ended, folders without a job, sockets without an owner.

What a training job left goes only when it is certain that its results are in S3 (``jobs/evidence``); what is kept is
named, with the reason.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.store import Client
from launcher.api.constants import TRAINING
from launcher.local.cloud import ensure_up
from launcher.local.host.home import HomePaths
from launcher.local.host.trees import remove_tree, tree_bytes
from launcher.local.jobs.evidence import why_kept
from launcher.local.records.records import JobRecord, Records

NOT_IN_S3 = "its outputs are not known to be in S3; remove it by hand if it is of no use"


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
    if not paths.records.exists():
        return Collected((), ())
    with closing(Records(paths.records)) as records:
        found = list(_useless(paths, records, client))
        kept = tuple(one for one in found if isinstance(one, Kept))
        useless = (one for one in found if isinstance(one, _Useless))
        return Collected(tuple(_remove(one) for one in useless if one.still(records)), kept)


@dataclass(frozen=True)
class _Useless:
    """What may go.

    Args:
        path: where it is.
        why: why it is of no use.
        key: of the job whose folder it lies in; None for what belongs to no job.
        record: of that job, when it was looked at; None where it had none.
    """

    path: Path
    why: str
    key: str | None = None
    record: JobRecord | None = None

    def still(self, records: Records) -> bool:
        """Whether it still may: others are verified meanwhile, and a job of the same name may have been started."""
        if self.key is None:
            return True
        kind, _, name = self.key.rpartition(".")
        return records.find(name, kind or TRAINING) == self.record


def _useless(paths: HomePaths, records: Records, client: Callable[[], Client]) -> Iterator[_Useless | Kept]:
    folders = sorted(paths.jobs.glob("*"))  # before the records: a job is recorded before it has a folder
    jobs = {record.key: record for record in records.list()}
    for folder in folders:
        record = jobs.get(folder.name)
        if record is None:
            yield _orphan(paths, folder)
        elif record.ended:
            yield from _ended(paths, record, jobs.values(), client)
    for path in sorted(paths.runtime.glob("*.sock")):
        if not _answers(path):
            yield _Useless(path, "nobody listens at this socket")


def _orphan(paths: HomePaths, folder: Path) -> _Useless | Kept:
    """A folder that no record names; with work in it, it may be the record that was lost."""
    work = paths.job(folder.name).ml
    if work.exists():
        return Kept(
            work, tree_bytes(work), "no job has this folder, but it holds work; remove it by hand if it is of no use"
        )
    return _Useless(folder, "no job has this folder", folder.name)


def _ended(
    paths: HomePaths, record: JobRecord, jobs: Iterable[JobRecord], client: Callable[[], Client]
) -> Iterator[_Useless | Kept]:
    home = paths.job(record.key)
    if record.kind == TRAINING:
        why = why_kept(record, home, jobs, client)
    else:
        why = NOT_IN_S3 if record.unpublished and home.ml.exists() else None
    if why is not None:
        yield Kept(home.ml, tree_bytes(home.ml), why)
        return
    for root in home.roots(record.instances):
        if root.exists():
            yield _Useless(root, f"{record.kind} {record.name} is {record.status}", record.key, record)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _remove(useless: _Useless) -> Removed:
    size = tree_bytes(useless.path)
    return Removed(useless.path, size, useless.why, remove_tree(useless.path))
