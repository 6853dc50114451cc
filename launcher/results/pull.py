"""Copies a job's results to this computer, verified.

For each object:

==========================================  =====================================================================
what is known of it                         what makes the copy good
==========================================  =====================================================================
a manifest lists it (synced files,          its sha256 is one of the listed versions
archives of a local job)
latest.json or best.json names it           the sha256 that stands there
its ETag is an MD5 (one part, not KMS)      its MD5
else                                        its size
==========================================  =====================================================================

A copy appears under its name only when it is good; one that is there and good is not fetched again. Memory: 1 MiB for
each of 16 transfers.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import botocore.exceptions

from batchrl.contract.archive import extract
from batchrl.contract.download import DOWNLOAD_THREADS, relative_path
from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.files import file_sha256, whole_file
from batchrl.contract.layout import BEST_NAME, LATEST_NAME, JobLayout, S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Manifest
from batchrl.contract.parallel import run_all
from batchrl.contract.paths import MODEL_ARCHIVE_NAME, OUTPUT_ARCHIVE_NAME
from batchrl.contract.published import load_manifest, read_published
from batchrl.contract.store import Client, is_missing
from launcher.session.answers import connection_fault
from launcher.session.session import Session

UNPACKED = {MODEL_ARCHIVE_NAME: "model", OUTPUT_ARCHIVE_NAME: "data"}
KINDS = ("all", "model", "output", "intermediate", "checkpoints")
ATTEMPTS = 10
PAUSE_SECONDS = 0.1
CHUNK = 1024 * 1024
POINTERS = frozenset({LATEST_NAME, BEST_NAME})
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PullReport:
    """What a pull did.

    Args:
        folder: where the results are.
        files: paths below it, sorted.
        downloaded: how many were fetched.
        skipped: how many were there and good.
        bytes: that were fetched.
    """

    folder: Path
    files: tuple[str, ...]
    downloaded: int
    skipped: int
    bytes: int


@dataclass(frozen=True)
class Item:
    """One object and the file that it becomes.

    Args:
        bucket, key, size, etag: the object as it was listed.
        file: where it goes.
        prefix: the folder whose manifest or pointers may list it; None where there is none.
        name: its path below ``prefix``.
        modified: when it was stored, by the store's clock; None where that was not asked for.
    """

    bucket: str
    key: str
    size: int
    etag: str
    file: Path
    prefix: S3Url | None = None
    name: str = ""
    modified: datetime | None = None


@dataclass(frozen=True)
class Published:
    """What is known of the content below one prefix.

    Args:
        s3: S3 client.
        prefix: the folder.
        pointers: which of latest.json and best.json lie in it.
    """

    s3: Client
    prefix: S3Url
    pointers: frozenset[str]

    def load(self) -> Manifest:
        """The manifest as it is now, and what the pointers say of files that it does not list.

        Raises:
            DamagedContent: the manifest cannot be read whole.
        """
        manifest = load_manifest(self.s3, self.prefix) or Manifest()
        listed = frozenset(manifest.files)
        for pointer in sorted(self.pointers):
            known = self._pointed(pointer)
            if known is not None and known[0] not in listed:
                manifest.publish(*known)
        return manifest

    def _pointed(self, pointer: str) -> tuple[str, int, str] | None:
        """Name, bytes and sha256 of a checkpoint; None for a file of the user's own that only has such a name."""
        try:
            content = json.loads(read_published(self.s3, self.prefix, pointer))
            name, size, digest = content["checkpoint"], content["size"], content["sha256"]
        except botocore.exceptions.ClientError as error:
            if not is_missing(error):
                raise
            return None
        except (DamagedContent, ValueError, KeyError, TypeError):
            return None
        valid = isinstance(name, str) and isinstance(size, int) and _SHA256.fullmatch(str(digest))
        return (name, size, digest) if valid else None


def pull(
    session: Session,
    layout: JobLayout,
    checkpoints: S3Url,
    folder: Path,
    what: str = "all",
    unpack: bool = False,
    on_bytes: Callable[[int], None] = lambda count: None,
) -> PullReport:
    """Copy results of a job into a folder, as they lie in the bucket: ``output/...`` and ``checkpoints/...``.

    Args:
        session: the cloud that the job is on.
        layout: where the job's results lie; it may still run.
        checkpoints: folder of its checkpoints.
        folder: made if need be.
        what: ``all``, ``model``, ``output``, ``intermediate`` or ``checkpoints``.
        unpack: whether to unpack the archives beside them, into ``output/model`` and ``output/data``.
        on_bytes: told the bytes of every part that arrived.

    Raises:
        InputError: ``what`` is unknown, or the job has no such results yet.
        DamagedContent: an object could not be read whole.
        Unreachable: the store does not answer.
    """
    if what not in KINDS:
        raise InputError(f"pull: '{what}' is unknown.", f"It may be {', '.join(KINDS)}.")
    s3 = session.s3
    with session.reported(f"pulling results of {layout.job_name}", s3):
        items = list(_items(s3, layout, checkpoints, folder, what))
        if not items:
            raise InputError(f"the job '{layout.job_name}' has no {'results' if what == 'all' else what} yet.")
        fetched = fetch_all(s3, items, on_bytes)
    if unpack:
        for item in items:
            # A checkpoint of the user's own may have the name of an archive.
            if item.file.parent == folder / "output" and item.file.name in UNPACKED:
                extract(item.file, item.file.parent / UNPACKED[item.file.name])
    names = tuple(sorted(item.file.relative_to(folder).as_posix() for item in items))
    return PullReport(folder, names, len(fetched), len(items) - len(fetched), sum(item.size for item in fetched))


def _items(s3: Client, layout: JobLayout, checkpoints: S3Url, folder: Path, what: str) -> Iterator[Item]:
    for kind, archive in (("model", layout.model_archive), ("output", layout.output_archive)):
        if what in ("all", kind):
            found = listed(s3, archive, folder / "output", layout.output)
            yield from (item for item in found if item.key == archive.key)
    if what in ("all", "intermediate"):
        yield from listed(s3, layout.intermediate / "", folder / "output" / "intermediate", layout.intermediate)
    if what in ("all", "checkpoints"):
        yield from listed(s3, checkpoints / "", folder / "checkpoints", checkpoints)


def listed(s3: Client, source: S3Url, folder: Path, prefix: S3Url | None = None) -> Iterator[Item]:
    """Objects below a raw key prefix and the files that they become; none is no fault (contract 71, 72).

    Args:
        s3: S3 client.
        source: the prefix.
        folder: where the files go, by the paths below ``source``.
        prefix: the folder whose manifest or pointers may list them.
    """
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=source.bucket, Prefix=source.key):
        for entry in page.get("Contents", ()):
            name = relative_path(entry["Key"], source.key)
            if name is None or name == MANIFEST_NAME:
                continue
            etag = entry.get("ETag", "")
            modified = entry.get("LastModified")
            yield Item(source.bucket, entry["Key"], entry["Size"], etag, folder / name, prefix, name, modified)


def fetch_all(s3: Client, items: list[Item], on_bytes: Callable[[int], None] = lambda count: None) -> list[Item]:
    """Fetch what is not there yet, several at a time.

    Args:
        s3: S3 client.
        items: what to fetch.
        on_bytes: told the bytes of every part that arrived.

    Returns:
        What had to be fetched.

    Raises:
        DamagedContent: an object could not be read whole.
        InputError: a file cannot be written.
    """
    names: dict[S3Url, set[str]] = {}
    for item in items:
        if item.prefix is not None:
            names.setdefault(item.prefix, set()).add(item.name)
    places = {prefix: Published(s3, prefix, POINTERS & below) for prefix, below in names.items()}
    manifests = {prefix: place.load() for prefix, place in places.items()}
    calls = []
    for item in items:
        place = places[item.prefix] if item.prefix else None
        manifest = manifests[item.prefix] if item.prefix else None
        calls.append(partial(_bring, s3, item, place, manifest, on_bytes))
    fetched = run_all(calls, DOWNLOAD_THREADS, "pull")
    return [item for item, was_fetched in zip(items, fetched, strict=True) if was_fetched]


def _bring(
    s3: Client, item: Item, place: Published | None, manifest: Manifest | None, on_bytes: Callable[[int], None]
) -> bool:
    """Make sure of one file; whether it had to be fetched."""
    if item.file.is_file() and _is_good(item.file, item, manifest, item.etag):
        return False
    try:
        item.file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(item.file) as temporary:
            _fetch_good(s3, item, place, manifest, temporary, on_bytes)
    except OSError as error:
        if isinstance(error, botocore.exceptions.BotoCoreError):
            raise
        raise InputError(f"{item.file} cannot be written: {error.strerror}.") from error
    return True


def _fetch_good(
    s3: Client,
    item: Item,
    place: Published | None,
    manifest: Manifest | None,
    temporary: Path,
    on_bytes: Callable[[int], None],
) -> None:
    fault = "it was cut short"
    for _ in range(ATTEMPTS):
        try:
            etag = _download(s3, item, temporary, on_bytes)
            if _is_good(temporary, item, manifest, etag):
                return
            fault = "its content is not what was published"
        except (botocore.exceptions.IncompleteReadError, botocore.exceptions.ResponseStreamingError) as error:
            fault = str(error)
        except botocore.exceptions.ClientError as error:
            if not (is_missing(error) or connection_fault(error)):
                raise
            fault = str(error)
        time.sleep(PAUSE_SECONDS)
        if place is not None:  # the job may have published another version meanwhile
            manifest = place.load()
    raise DamagedContent(
        f"s3://{item.bucket}/{item.key} cannot be read whole in {ATTEMPTS} tries: {fault}.",
        "Is its writer still alive?",
    )


def _download(s3: Client, item: Item, file: Path, on_bytes: Callable[[int], None]) -> str:
    """Copy an object into a file; returns its ETag."""
    answer = s3.get_object(Bucket=item.bucket, Key=item.key)
    received = 0
    with file.open("wb") as target:
        for chunk in answer["Body"].iter_chunks(CHUNK):
            target.write(chunk)
            received += len(chunk)
            on_bytes(len(chunk))
    if received != answer["ContentLength"]:
        raise botocore.exceptions.IncompleteReadError(actual_bytes=received, expected_bytes=answer["ContentLength"])
    return str(answer.get("ETag", ""))


def _is_good(file: Path, item: Item, manifest: Manifest | None, etag: str) -> bool:
    entry = manifest.files.get(item.name) if manifest else None
    if entry is not None:
        return file_sha256(file) in entry.versions
    if match := _MD5.fullmatch(etag):
        with file.open("rb") as content:
            return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == match[1]
    return file.stat().st_size == item.size
