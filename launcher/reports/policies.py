"""Policies and data that a command names, brought to this computer: paths, S3 prefixes, training jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.layout import BEST_NAME, S3Url
from batchrl.contract.pointers import pointed
from batchrl.contract.published import find_published
from batchrl.contract.store import list_objects
from batchrl.contract.transfer import Transfer
from launcher.results.pull import fetch_all
from launcher.staging.fetch import Fetched

if TYPE_CHECKING:
    from launcher.jobs.training import Job


def fetch_policy(job: Job, folder: Path, pointer: str = BEST_NAME) -> Fetched:
    """A checkpoint of a training job, which may still run; its exported model where it keeps no checkpoints.

    Args:
        job: the job.
        folder: where to; made if need be.
        pointer: the file that names the checkpoint, for the best one or the latest.

    Raises:
        InputError: the job has neither.
        DamagedContent: it could not be read whole.
        Unreachable: the store does not answer.
    """
    place = S3Url.parse(job.checkpoint_uri.rstrip("/"))
    s3 = job.session.s3
    with job.session.reported(f"reading the checkpoints of {job.name}", s3):
        content = find_published(s3, place, pointer)
        if content is None:
            try:
                return fetch_model(job, folder)
            except InputError as none:
                raise InputError(f"the job '{job.name}' has neither checkpoints nor a model.", none.hint) from none
        wanted = {pointer, _pointed(content, place / pointer)}
        below = S3Url(place.bucket, f"{place.key}/")
        transfers = [
            Transfer(S3Url(place.bucket, key), size, folder / name, prefix=place)
            for key, size in list_objects(s3, below)
            if (name := key.removeprefix(below.key)) in wanted
        ]
        fetch_all(s3, transfers)
    return Fetched(job.name, folder)


def fetch_model(job: Job, folder: Path) -> Fetched:
    """The exported model of a training job that has ended.

    Raises:
        InputError: it has none.
        DamagedContent: it could not be read whole.
        Unreachable: the store does not answer.
    """
    try:
        report = job.pull(folder, what="model")
    except InputError as error:
        raise InputError(f"the job '{job.name}' has no model.", error.message) from error
    return Fetched(job.name, folder / report.files[0])


def _pointed(pointer: bytes, place: S3Url) -> str:
    try:
        return pointed(pointer)
    except ValueError as error:
        raise DamagedContent(f"{place} cannot be read: {error}.") from error
