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

A copy appears under its name only when it is good; one that is there and good is not fetched again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import botocore.exceptions

from batchrl.contract import jsontext, pointers
from batchrl.contract.archive import extract
from batchrl.contract.download import download, list_transfers
from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.etags import etag_md5
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Entry, Manifest
from batchrl.contract.paths import MODEL_ARCHIVE_NAME, OUTPUT_ARCHIVE_NAME
from batchrl.contract.published import find_published, load_manifest
from batchrl.contract.store import Client, is_missing, size_of
from batchrl.contract.transfer import Check, Copy, Manner, Transfer
from launcher.session.answers import connection_fault
from launcher.session.session import Session

UNPACKED = {MODEL_ARCHIVE_NAME: "model", OUTPUT_ARCHIVE_NAME: "data"}
KINDS = ("all", "model", "output", "intermediate", "checkpoints")
ATTEMPTS = 10
PAUSE_SECONDS = 0.1
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
        missing: what a manifest or a pointer names and is not there, in words.
    """

    folder: Path
    files: tuple[str, ...]
    downloaded: int
    skipped: int
    bytes: int
    missing: tuple[str, ...] = ()


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
            content = jsontext.parsed(find_published(self.s3, self.prefix, pointer) or b"")
            name, size, digest = content[pointers.CHECKPOINT], content["size"], content["sha256"]
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
        InputError: ``what`` is unknown, or the job has no such results.
        DamagedContent: an object could not be read whole.
        Unreachable: the store does not answer.
    """
    if what not in KINDS:
        raise InputError(f"pull: '{what}' is unknown.", f"It may be {', '.join(KINDS)}.")
    s3 = session.s3
    with session.reported(f"pulling results of {layout.job_name}", s3):
        # Before the objects are listed: what a running job publishes meanwhile is in neither.
        named = dict(_manifested(s3, layout, what))
        items = list(_items(s3, layout, checkpoints, folder, what))
        if not items:
            raise InputError(f"the job '{layout.job_name}' has no {'results' if what == 'all' else what} in S3.")
        fetched = fetch_all(s3, items, on_bytes)
        missing = _missing(s3, items, named | _pointed_to(items, checkpoints))
    if unpack:
        for item in items:
            # A checkpoint of the user's own may have the name of an archive.
            if item.file.parent == folder / "output" and item.file.name in UNPACKED:
                extract(item.file, item.file.parent / UNPACKED[item.file.name])
    names = tuple(sorted(item.file.relative_to(folder).as_posix() for item in items))
    return PullReport(
        folder, names, len(fetched), len(items) - len(fetched), sum(item.size for item in fetched), missing
    )


def _items(s3: Client, layout: JobLayout, checkpoints: S3Url, folder: Path, what: str) -> Iterator[Transfer]:
    for kind, archive in (("model", layout.model_archive), ("output", layout.output_archive)):
        if what in ("all", kind):
            found = listed(s3, archive, folder / "output", layout.output)
            yield from (item for item in found if item.url == archive)
    if what in ("all", "intermediate"):
        yield from listed(s3, layout.intermediate / "", folder / "output" / "intermediate", layout.intermediate)
    if what in ("all", "checkpoints"):
        yield from listed(s3, checkpoints / "", folder / "checkpoints", checkpoints)


def _manifested(s3: Client, layout: JobLayout, what: str) -> Iterator[tuple[S3Url, S3Url]]:
    """What manifests name of the results that are wanted, with who names it."""
    wanted = {kind for kind in KINDS if what in ("all", kind)}
    archives = {layout.model_archive: "model", layout.output_archive: "output"}
    if wanted & {"model", "output"}:
        for name in (load_manifest(s3, layout.output) or Manifest()).files:
            if archives.get(layout.output / name) in wanted:
                yield layout.output / name, layout.output / MANIFEST_NAME
    if "intermediate" in wanted:
        for name in (load_manifest(s3, layout.intermediate) or Manifest()).files:
            yield layout.intermediate / name, layout.intermediate / MANIFEST_NAME


def _pointed_to(items: list[Transfer], checkpoints: S3Url) -> dict[S3Url, S3Url]:
    """What the pointers beside checkpoints name, as they were copied, with the pointer."""
    found = {}
    for item in items:
        if item.prefix == checkpoints and item.name in pointers.NAMES:
            with suppress(ValueError):  # somebody else's file of this name
                found[checkpoints / pointers.pointed(item.file.read_bytes())] = item.url
    return found


def _missing(s3: Client, items: list[Transfer], named: dict[S3Url, S3Url]) -> tuple[str, ...]:
    copied = {item.url for item in items}
    return tuple(
        f"{by} names {url.name}, which is not there"
        for url, by in named.items()
        if url not in copied and size_of(s3, url) is None
    )


def listed(s3: Client, source: S3Url, folder: Path, prefix: S3Url | None = None) -> Iterator[Transfer]:
    """As ``batchrl.contract.download.list_transfers``, without the manifest of a synced folder (contract 71, 72)."""
    for transfer in list_transfers(s3, source, folder, prefix):
        if transfer.file != folder / MANIFEST_NAME:
            yield transfer


def fetch_all(
    s3: Client, transfers: list[Transfer], on_bytes: Callable[[int], None] = lambda count: None
) -> list[Transfer]:
    """Fetch what is not there yet, several at a time.

    Args:
        s3: S3 client.
        transfers: what to fetch.
        on_bytes: told the bytes of every part that arrived.

    Returns:
        What had to be fetched.

    Raises:
        DamagedContent: an object could not be read whole.
        InputError: a file cannot be written.
    """
    names: dict[S3Url, set[str]] = {}
    for transfer in transfers:
        if transfer.prefix is not None:
            names.setdefault(transfer.prefix, set()).add(transfer.name)
    places = {prefix: Published(s3, prefix, pointers.NAMES & below) for prefix, below in names.items()}
    manifests = {prefix: place.load() for prefix, place in places.items()}

    def check(transfer: Transfer) -> Check:
        if transfer.prefix is None:
            return Verified(transfer)
        return Verified(transfer, places[transfer.prefix], manifests[transfer.prefix])

    manner = Manner(
        check,
        keep=True,
        attempts=ATTEMPTS,
        pause=PAUSE_SECONDS,
        passes=lambda error: is_missing(error) or connection_fault(error) is not None,
        hint="Is its writer still alive?",
        on_bytes=on_bytes,
    )
    try:
        return download(s3, transfers, manner)
    except OSError as error:
        if error.filename is None or isinstance(error, botocore.exceptions.BotoCoreError):
            raise
        raise InputError(f"{error.filename} cannot be written: {error.strerror}.") from error


class Verified(Check):
    """Tells a good copy by what is published of it; see the table above.

    Args:
        transfer: the object.
        place: the folder whose manifest may list it; None where there is none.
        manifest: what that folder published so far.
    """

    def __init__(self, transfer: Transfer, place: Published | None = None, manifest: Manifest | None = None) -> None:
        self._transfer = transfer
        self._place = place
        self._manifest = manifest

    def algorithm(self, etag: str) -> str:
        """See the table above; ``etag`` is the object's."""
        if self._entry() is not None:
            return "sha256"
        return "md5" if etag_md5(etag) else ""

    def accepts(self, copy: Copy, etag: str) -> bool:
        """Whether a copy holds what was published."""
        if (entry := self._entry()) is not None:
            return copy.digest in entry.versions
        if (md5 := etag_md5(etag)) is not None:
            return copy.digest == md5
        return copy.size == self._transfer.size

    def _entry(self) -> Entry | None:
        return self._manifest.files.get(self._transfer.name) if self._manifest else None

    def renew(self) -> None:
        """Read the manifest again: the job may have published another version."""
        if self._place is not None:
            self._manifest = self._place.load()
