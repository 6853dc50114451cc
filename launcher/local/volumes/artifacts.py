"""Model and output of a job as archives in its bucket (contract A9).

Payloads first, then a manifest beside them with the size and sha256 of each, so that a reader can tell a whole archive.
Each folder is published for itself: what is wrong with one keeps no other from its bucket.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from batchrl.contract.archive import pack
from batchrl.contract.errors import DamagedContent, Unreachable
from batchrl.contract.files import file_sha256
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Manifest
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.published import load_manifest
from batchrl.contract.store import Client
from batchrl.contract.sync import FolderUploader
from batchrl.contract.text import printable
from launcher.local.host.faults import JobFault, storage_fault
from launcher.local.host.retry import UPLOAD_SECONDS, retry


@dataclass(frozen=True)
class Stored:
    """One object that was published and verified."""

    url: S3Url
    size: int
    sha256: str


@dataclass(frozen=True)
class Attempt:
    """How long it took to publish a part, and how much came there; ``error`` where not all of it did."""

    part: str
    size: int
    seconds: float
    error: str | None


@dataclass
class Artifacts:
    """What a job left in its bucket.

    Args:
        model: what S3ModelArtifacts names, whether or not the model folder held anything (contract 71).
        size_bytes: bytes of all of it.
        archives: those that were published.
        left_out: what was left out of which folder, in words.
        faults: why a folder could not be published.
        attempts: what each part took.
    """

    model: S3Url
    size_bytes: int = 0
    archives: list[Stored] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    faults: list[JobFault] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)


def publish(
    client: Client, layout: JobLayout, model: JobFolder, output: JobFolder, scratch: Path, *, compressed: bool
) -> Artifacts:
    """Publish model and output data.

    Args:
        client: S3 client.
        layout: where they go.
        model: where the model lies.
        output: where the output data lie.
        scratch: folder for the archives while they are sent.
        compressed: False publishes the model as plain objects (contract 69).

    Returns:
        What was published, and what not: the disk stayed full, or the store refused it or was away for ten minutes.
    """
    done = Artifacts(layout.model_archive if compressed else layout.output / "model")
    if compressed:
        _attempt(done, "model", lambda: _publish_archive(client, model, done.model, scratch, done))
    else:
        _attempt(done, "model", lambda: _publish_plain(client, model, done.model, done))
    _attempt(done, "output data", lambda: _publish_archive(client, output, layout.output_archive, scratch, done))
    if done.archives:
        _attempt(done, "manifest", lambda: _publish_manifest(client, layout.output, done.archives))
    return done


def _attempt(done: Artifacts, part: str, action: Callable[[], None]) -> None:
    began, before, fault = time.monotonic(), done.size_bytes, None
    try:
        action()
    except Exception as error:
        fault = storage_fault(f"upload of the job's {part}", error)
        done.faults.append(fault)
    took = time.monotonic() - began
    done.attempts.append(Attempt(part, done.size_bytes - before, took, fault.reason if fault else None))


def _publish_archive(client: Client, folder: JobFolder, url: S3Url, scratch: Path, done: Artifacts) -> None:
    file = scratch / url.name

    def send() -> None:
        client.upload_file(str(file), url.bucket, url.key)
        _check_size(client, url, size)

    try:
        packed = retry(f"packing of {url.name}", client, lambda: pack(folder, file), waits_for_room=True)
        done.left_out += told(packed.left_out, url.name)
        if not packed.members:
            return
        size, digest = file.stat().st_size, file_sha256(file)
        retry(f"upload of {url}", client, send, waits_for_room=True)
        done.archives.append(Stored(url, size, digest))
        done.size_bytes += size
    finally:
        file.unlink(missing_ok=True)


def told(left_out: dict[str, str], what: str) -> list[str]:
    """What was left out, in words.

    Args:
        left_out: why, by path.
        what: what it is missing from.
    """
    return [f"left out of {what}: '{printable(path)}', {why}" for path, why in sorted(left_out.items())]


def _publish_plain(client: Client, folder: JobFolder, url: S3Url, done: Artifacts) -> None:
    failures: list[Exception] = []
    uploader = FolderUploader(
        client, folder, url, with_manifest=True, on_error=lambda path, error: failures.append(error)
    )
    published = uploader.drain(UPLOAD_SECONDS)
    done.left_out += told(uploader.left_out, "the model")
    done.size_bytes += uploader.published_bytes()
    if not published:
        raise failures[-1] if failures else Unreachable(f"{url}: not all of the model could be uploaded.")


def _publish_manifest(client: Client, folder: S3Url, stored: list[Stored]) -> None:
    url = folder / MANIFEST_NAME

    def send() -> None:
        manifest = load_manifest(client, folder) or Manifest()
        for one in stored:
            manifest.publish(one.url.name, one.size, one.sha256)
        client.put_object(Bucket=url.bucket, Key=url.key, Body=manifest.to_bytes())

    retry(f"upload of {url}", client, send, waits_for_room=True)


def _check_size(client: Client, url: S3Url, size: int) -> None:
    found = client.head_object(Bucket=url.bucket, Key=url.key)["ContentLength"]
    if found != size:
        raise DamagedContent(f"{url} holds {found} bytes after {size} were sent.")
