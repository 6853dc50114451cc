"""``batchrl recover``: what a job left on disk is published as at its end, by the same code.

=======================================  ===========================================================
the job                                  what is done
=======================================  ===========================================================
is not known to the local cloud          refused
is no training job                       refused: nothing of its results lies on disk
has not ended                            refused: it publishes by itself
has ended, with files on disk            published, any number of times; its status stays what it is
was published, no files left             nothing, and that is said
was not published, no files left         refused: there is nothing to publish
=======================================  ===========================================================

Checkpoints to whose place a later job writes (``jobs/evidence``) are left out, and stay on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from batchrl.contract.errors import InputError, Unreachable
from batchrl.contract.store import Client
from launcher.base import lock
from launcher.base.lock import Lock
from launcher.local.cloud import ensure_up
from launcher.local.events.eventfile import EventFile
from launcher.local.executors.reap import reap
from launcher.local.host.faults import INTERNAL, MAX_REASON, combined, kept_note, recovered_note
from launcher.local.host.home import HomePaths, JobHome
from launcher.local.host.trees import remove_tree
from launcher.local.jobs.evidence import later_writer
from launcher.local.jobs.publication import Publication
from launcher.local.records.records import JobRecord, Records

LOCK_NAME = "recover.lock"
LEFT_OUT = (
    "its checkpoints were not published: the job {later} writes to {place} since, and would lose its own. "
    "They stay in {folder}; batchrl rm {name} --force deletes them."
)


@dataclass(frozen=True)
class Recovered:
    """What was recovered.

    Args:
        name: the job.
        status: its status, which stays.
        model_artifacts: where its model is.
        size_bytes: of its archives; 0 where all had been published before.
        left_out: what was left out, in words.
        already: whether all had been published before.
    """

    name: str
    status: str
    model_artifacts: str
    size_bytes: int
    left_out: tuple[str, ...] = ()
    already: bool = False


def recover(name: str, home: Path | None = None) -> Recovered:
    """Publish what an ended training job left on disk.

    Args:
        name: the job.
        home: the data folder.

    Raises:
        InputError: there is nothing to publish, see the table; or S3 refuses some of it. The rest is published.
        Unreachable: the store was away for ten minutes.
    """
    paths = HomePaths.of(home)
    if not paths.records.exists():
        raise _unknown(name)
    with closing(Records(paths.records)) as records:
        return recover_from(paths, records, name, lambda: ensure_up(home).store.client(boto3.Session()))


def recover_from(paths: HomePaths, records: Records, name: str, client: Callable[[], Client]) -> Recovered:
    """As ``recover``, for records that are open.

    Args:
        paths: the data folder.
        records: its records.
        name: the job.
        client: makes the S3 client; called where there is something to publish.
    """
    record = _recoverable(records, name)
    files = paths.job(record.key)
    if not files.ml.is_dir():
        return _nothing_left(record, files)
    with _alone(files, name):
        reap(paths, record)  # nothing of it writes any more
        publication = Publication(client(), record, files, EventFile(files.events))
        return _publish(records, record, files, publication)


def unsaved(name: str, home: Path | None = None) -> Path | None:
    """Where results of a job that has ended lie that are not known to be in S3; None where there are none.

    Args:
        name: the training job.
        home: the data folder.
    """
    paths = HomePaths.of(home)
    if not paths.records.exists():
        return None
    with closing(Records(paths.records)) as records:
        record = records.find(name)
    if record is None or not record.ended or not record.unpublished:
        return None
    root = paths.job(record.key).ml
    return root if root.exists() else None


def _publish(records: Records, record: JobRecord, files: JobHome, publication: Publication) -> Recovered:
    later = later_writer(record, records.list()) if _has_checkpoints(publication) else None
    done = publication.publish(with_checkpoints=later is None)
    columns: dict[str, Any] = {"model_artifacts": str(done.model), "size_bytes": done.size_bytes}
    if done.faults:
        records.update(record.name, **columns)
        fault = combined(done.faults)
        kind = Unreachable if fault.reason.startswith(INTERNAL) else InputError
        raise kind(
            f"not all of the job '{record.name}' could be published: {fault.reason.partition(': ')[2]}",
            f"What is missing stays in {files.ml}; correct it there, then run it again.",
        )
    if later is not None:
        records.update(record.name, **columns)
        place, folder = record.request["CheckpointConfig"]["S3Uri"], publication.folders.checkpoints
        assert folder is not None
        done.left_out.append(LEFT_OUT.format(name=record.name, later=later, place=place, folder=folder.place))
        return Recovered(record.name, record.status, str(done.model), done.size_bytes, tuple(done.left_out))
    reason = record.failure_reason
    if reason is not None:
        reason = reason.removesuffix(kept_note(files.ml, record.name)).removesuffix(recovered_note(record.name))
        note = recovered_note(record.name)
        columns["failure_reason"] = reason[: MAX_REASON - len(note)] + note
    records.update(record.name, published_at=time.time(), **columns)
    remove_tree(files.ml)
    return Recovered(record.name, record.status, str(done.model), done.size_bytes, tuple(done.left_out))


def _has_checkpoints(publication: Publication) -> bool:
    folder = publication.folders.checkpoints
    if folder is None:
        return False
    with suppress(OSError, InputError):
        return bool(folder.list().files)
    return True  # what keeps them from being listed is not known to be harmless


def _recoverable(records: Records, name: str) -> JobRecord:
    record = records.find(name)
    if record is None:
        if others := [one for one in records.list() if one.name == name]:
            raise InputError(f"'{name}' is a {others[0].kind}: only training jobs leave results on disk.")
        raise _unknown(name)
    if not record.ended:
        raise InputError(
            f"the job '{name}' has not ended ({record.secondary_status}): it publishes its results itself.",
            f"batchrl wait {name}",
        )
    return record


def _unknown(name: str) -> InputError:
    return InputError(
        f"the local cloud knows no training job '{name}'.",
        "Jobs on AWS leave nothing on this computer; batchrl ps lists the local ones.",
    )


def _nothing_left(record: JobRecord, files: JobHome) -> Recovered:
    if record.published_at is None:
        raise InputError(
            f"the job '{record.name}' is {record.status}, and nothing of it is left in {files.folder}.",
            f"batchrl pull {record.name} fetches what had reached S3.",
        )
    return Recovered(record.name, record.status, record.model_artifacts or "", 0, already=True)


def _alone(files: JobHome, name: str) -> Lock:
    held = lock.take(files.folder / LOCK_NAME)
    if held is None:
        raise InputError(f"the job '{name}' is being recovered by another command.")
    return held
