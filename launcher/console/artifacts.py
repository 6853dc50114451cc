"""What a job stored: a list of its objects, and one of them for a download or, a picture, to be looked at.

Whatever a job wrote is handed out as a file to be saved, so that no page of its making runs as one of ours; pictures
are shown where their first bytes say that they are some.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import botocore.exceptions

from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import MANIFEST_NAME
from batchrl.contract.store import is_missing, list_objects
from launcher.base.units import size
from launcher.jobs.training import Job

MOST_LISTED = 200
MOST_PICTURE_BYTES = 32 * 1024 * 1024
PIECE_BYTES = 256 * 1024
PICTURES = {b"GIF87a": "image/gif", b"GIF89a": "image/gif", b"\x89PNG\r\n": "image/png"}
MAGIC_BYTES = 6
SUFFIXES = (".gif", ".png")
# The two places of a job's objects, as links name them.
RESULTS, CHECKPOINTS = "results", "checkpoints"


@dataclass(frozen=True)
class Artifact:
    """One object.

    Args:
        place: ``RESULTS`` or ``CHECKPOINTS``.
        name: its key below that.
        size: of its content, in words.
        is_picture: whether its name is that of a picture small enough to be looked at.
    """

    place: str
    name: str
    size: str
    is_picture: bool


@dataclass(frozen=True)
class Artifacts:
    """The objects of a job; ``more`` where there are others."""

    found: tuple[Artifact, ...]
    more: bool

    @property
    def pictures(self) -> tuple[Artifact, ...]:
        """Those that can be looked at, the last ones."""
        return tuple(one for one in self.found if one.is_picture)[-4:]


def artifacts_of(job: Job) -> Artifacts:
    """The objects of a training job; it may still run.

    Raises:
        InputError: there is no such job, or its bucket may not be listed.
        Unreachable: the store does not answer.
    """
    with job.session.reported(f"listing the results of {job.name}", job.session.s3):
        found = list(itertools.islice(_objects(job), MOST_LISTED + 1))
    return Artifacts(tuple(found[:MOST_LISTED]), len(found) > MOST_LISTED)


@dataclass(frozen=True)
class Content:
    """The content of an object.

    Args:
        name: of the file.
        media_type: of a picture; None for a file to be saved.
        length: bytes.
        pieces: them.
    """

    name: str
    media_type: str | None
    length: int
    pieces: Iterator[bytes]


def content_of(job: Job, place: str, name: str) -> Content | None:
    """An object of a training job; None where there is none.

    Raises:
        InputError: there is no such job.
        Unreachable: the store does not answer.
    """
    places = _places(job)
    if place not in places or not name:
        return None
    url = places[place] / name
    with job.session.reported(f"reading {url}", job.session.s3):
        try:
            answer = job.session.s3.get_object(Bucket=url.bucket, Key=url.key)
        except botocore.exceptions.ClientError as error:
            if is_missing(error):
                return None
            raise
    body: Any = answer["Body"]
    length = int(answer["ContentLength"])
    with job.session.reported(f"reading {url}", job.session.s3):
        first = body.read(min(MAGIC_BYTES, length))
    kind = PICTURES.get(first) if length <= MOST_PICTURE_BYTES else None
    return Content(PurePosixPath(name).name, kind, length, _pieces(first, body))


def _pieces(first: bytes, body: Any) -> Iterator[bytes]:
    try:
        yield first
        yield from body.iter_chunks(PIECE_BYTES)
    finally:
        body.close()


def _places(job: Job) -> dict[str, S3Url]:
    return {RESULTS: job.layout.output, CHECKPOINTS: S3Url.parse(job.checkpoint_uri.rstrip("/"))}


def _objects(job: Job) -> Iterator[Artifact]:
    for place, folder in _places(job).items():
        for key, count in list_objects(job.session.s3, folder / ""):
            name = key.removeprefix(f"{folder.key}/")
            if PurePosixPath(name).name in ("", MANIFEST_NAME):
                continue
            is_picture = name.lower().endswith(SUFFIXES) and count <= MOST_PICTURE_BYTES
            yield Artifact(place, name, size(count), is_picture)
