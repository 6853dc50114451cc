"""Whether what an ended training job left on disk may go: what is certain about its copies in S3.

==============================================  ==============================================================
what is left of the job                         what is said
==============================================  ==============================================================
its script was never started                    nothing: there is nothing of its own
results that were never recorded as published   kept
published, and each is in S3 as it is here      nothing
published, but one is not there, or is another  kept, and it is named
published, but the store cannot be asked        kept
==============================================  ==============================================================

Checkpoints are looked at only as long as no later job writes to their place: there they are that job's from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from batchrl.contract.errors import BatchRLError
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.published import load_manifest
from batchrl.contract.store import Client, reported, size_of
from batchrl.contract.text import printable
from launcher.local.host.home import JobHome
from launcher.local.jobs.publication import JobFolders
from launcher.local.records.jobrecord import JobRecord

UNPUBLISHED = "its results are not known to be in S3: batchrl recover {name} publishes them"
BUT_CHECKPOINTS = ", but not its checkpoints: the job {later} writes to their place since"


def later_writer(record: JobRecord, jobs: Iterable[JobRecord]) -> str | None:
    """The name of a job that was created after another and shares the place of its checkpoints; None without one.

    Args:
        record: the other.
        jobs: all that are known.
    """
    place = _checkpoint_place(record)
    if place is None:
        return None
    for job in jobs:
        theirs = _checkpoint_place(job)
        if theirs is None or job.created_at <= record.created_at or (job.ended and not job.began):
            continue
        if theirs.startswith(place) or place.startswith(theirs):
            return job.name
    return None


def _checkpoint_place(record: JobRecord) -> str | None:
    """Its ``CheckpointConfig.S3Uri`` as a folder, so that ``run1`` does not hold ``run10``."""
    config = record.request.get("CheckpointConfig")
    return f"{config['S3Uri'].rstrip('/')}/" if config else None


def why_kept(record: JobRecord, home: JobHome, jobs: Iterable[JobRecord], client: Callable[[], Client]) -> str | None:
    """Why the files of an ended training job have to stay; None where they may go.

    Args:
        record: the job.
        home: its files.
        jobs: all that are known.
        client: makes the S3 client; asked where it is needed only.
    """
    if not record.began or not home.ml.exists():
        return None
    later = later_writer(record, jobs)
    if record.published_at is None:
        return UNPUBLISHED.format(name=record.name) + (BUT_CHECKPOINTS.format(later=later) if later else "")
    try:
        store = client()
        with reported("asking for published results", store):
            missing = _missing(record, JobFolders.of(home, record), store, checkpoints=later is None)
    except (BatchRLError, OSError) as error:
        return f"the store cannot be asked: {getattr(error, 'message', None) or error}"
    return f"{missing} is not in S3 as it is here: batchrl recover {record.name} publishes it" if missing else None


def _missing(record: JobRecord, folders: JobFolders, client: Client, *, checkpoints: bool) -> str | None:
    """The first thing that is not in S3 as it is on disk."""
    output = record.request["OutputDataConfig"]
    layout = JobLayout(S3Url.parse(output["S3OutputPath"]), record.name)
    if checkpoints and folders.checkpoints is not None:
        place = S3Url.parse(record.request["CheckpointConfig"]["S3Uri"])
        if missing := _missing_file(folders.checkpoints, place, client):
            return missing
    if output.get("CompressionType") == "NONE":
        missing = _missing_file(folders.model, layout.output / "model", client)
    else:
        missing = _missing_archive(folders.model, layout.model_archive, layout, client)
    return missing or _missing_archive(folders.output_data, layout.output_archive, layout, client)


def _missing_file(folder: JobFolder, place: S3Url, client: Client) -> str | None:
    listing = folder.list()
    if listing.faults:
        return printable(f"{folder}/{next(iter(listing.faults))}")
    for path, info in listing.files.items():
        if size_of(client, place / path) != info.st_size:
            return printable(f"{folder}/{path}")
    return None


def _missing_archive(folder: JobFolder, url: S3Url, layout: JobLayout, client: Client) -> str | None:
    listing = folder.list(as_it_lies=True)
    if not (listing.files or listing.folders or listing.links or listing.faults):
        return None
    manifest = load_manifest(client, layout.output)
    entry = manifest.files.get(url.name) if manifest else None
    return None if entry is not None and size_of(client, url) == entry.size else str(folder)
