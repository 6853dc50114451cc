"""Policies and data that a command names, brought to this computer: paths, S3 prefixes, training jobs."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.layout import BEST_NAME, S3Url
from batchrl.contract.pointers import pointed
from batchrl.contract.published import find_published
from batchrl.contract.store import Client, list_objects
from batchrl.contract.transfer import Transfer
from launcher.base.notices import say
from launcher.results.pull import fetch_all
from launcher.staging.fetch import Fetched

CHECKPOINTS = "epoch_*.pt"

if TYPE_CHECKING:
    from launcher.jobs.training import Job


def fetch_policy(job: Job, folder: Path, pointer: str = BEST_NAME) -> Fetched:
    """A checkpoint of a training job, which may still run; its exported model where it keeps no checkpoints.

    Args:
        job: the job.
        folder: where to; made if need be.
        pointer: the file that names the checkpoint, for the best one or the latest.

    Where the pointer names a checkpoint that is missing or damaged, the newest whole one is taken, and that is said.

    Raises:
        InputError: the job has neither.
        DamagedContent: none could be read whole.
        Unreachable: the store does not answer.
    """
    place = S3Url.parse(job.checkpoint_uri.rstrip("/"))
    s3 = job.session.s3
    with job.session.reported(f"reading the checkpoints of {job.name}", s3):
        below = S3Url(place.bucket, f"{place.key}/")
        listed = {
            name: Transfer(S3Url(place.bucket, key), size, folder / name, prefix=place)
            for key, size in list_objects(s3, below)
            if "/" not in (name := key.removeprefix(below.key))
        }
        content = find_published(s3, place, pointer)
        if content is None:
            try:
                return fetch_model(job, folder)
            except InputError as none:
                raise InputError(f"the job '{job.name}' has neither checkpoints nor a model.", none.hint) from none
        named = ""
        try:
            named = _pointed(content, place / pointer)
            if named not in listed:
                raise DamagedContent(f"{place / pointer} names {named}, which is not there.")
            fetch_all(s3, [listed[name] for name in (pointer, named)])
            return Fetched(job.name, folder)
        except DamagedContent as fault:
            others = {name: transfer for name, transfer in listed.items() if name != named}
            return Fetched(job.name, _newest(s3, others, fault))


def _newest(s3: Client, listed: Mapping[str, Transfer], fault: DamagedContent) -> Path:
    """The newest checkpoint that can be read whole, instead of the one that is at fault; the user is told."""
    for name in sorted((name for name in listed if fnmatch(name, CHECKPOINTS)), reverse=True):
        try:
            fetch_all(s3, [listed[name]])
        except DamagedContent:
            continue
        say(f"{fault.message.rstrip('.')}. The newest whole checkpoint is taken instead: {name}.")
        return listed[name].file
    raise fault


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
