"""Model and output of a job as archives in its bucket (contract A9).

Payloads first, then a manifest beside them with the size and sha256 of each, so that a reader can tell a whole archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.archive import pack
from batchrl.contract.errors import DamagedContent, Unreachable
from batchrl.contract.files import file_sha256
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Manifest
from batchrl.contract.paths import JobPaths
from batchrl.contract.store import Client
from batchrl.contract.sync import FolderUploader
from launcher.local.host.faults import storage_fault
from launcher.local.host.retry import UPLOAD_SECONDS, retry


@dataclass(frozen=True)
class Stored:
    """One object that was published and verified."""

    url: S3Url
    size: int
    sha256: str


@dataclass(frozen=True)
class Artifacts:
    """What a job left in its bucket.

    Args:
        model: what S3ModelArtifacts names, whether or not the model folder held anything (contract 71).
        size_bytes: bytes of all of it.
    """

    model: S3Url
    size_bytes: int


def publish(client: Client, layout: JobLayout, paths: JobPaths, scratch: Path, *, compressed: bool) -> Artifacts:
    """Publish model and output data.

    Args:
        client: S3 client.
        layout: where they go.
        paths: where they lie.
        scratch: folder for the archives while they are sent.
        compressed: False publishes the model as plain objects (contract 69).

    Raises:
        JobFault: the disk is full, or the store refused them or was away for ten minutes.
    """
    stored: list[Stored] = []
    model = layout.model_archive
    try:
        if not compressed:
            model = layout.output / "model"
            size = _publish_plain(client, paths.model, model)
        else:
            stored += _publish_archive(client, paths.model, layout.model_archive, scratch)
            size = 0
        stored += _publish_archive(client, paths.output_data, layout.output_archive, scratch)
        if stored:
            _publish_manifest(client, layout.output, stored)
    except Exception as error:
        raise storage_fault("upload of the job's artifacts", error) from error
    return Artifacts(model, size + sum(one.size for one in stored))


def _publish_archive(client: Client, folder: Path, url: S3Url, scratch: Path) -> list[Stored]:
    file = scratch / url.name
    try:
        if not pack(folder, file):
            return []
        size, digest = file.stat().st_size, file_sha256(file)

        def send() -> None:
            client.upload_file(str(file), url.bucket, url.key)
            _check_size(client, url, size)

        retry(f"upload of {url}", client, send)
    finally:
        file.unlink(missing_ok=True)
    return [Stored(url, size, digest)]


def _publish_plain(client: Client, folder: Path, url: S3Url) -> int:
    failures: list[Exception] = []
    uploader = FolderUploader(
        client, folder, url, with_manifest=True, on_error=lambda path, error: failures.append(error)
    )
    if not uploader.drain(UPLOAD_SECONDS):
        raise failures[-1] if failures else Unreachable(f"{url}: not all of the model could be uploaded.")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _publish_manifest(client: Client, folder: S3Url, stored: list[Stored]) -> None:
    manifest = Manifest()
    for one in stored:
        manifest.publish(one.url.name, one.size, one.sha256)
    url, content = folder / MANIFEST_NAME, manifest.to_bytes()
    retry(f"upload of {url}", client, lambda: client.put_object(Bucket=url.bucket, Key=url.key, Body=content) and None)


def _check_size(client: Client, url: S3Url, size: int) -> None:
    found = client.head_object(Bucket=url.bucket, Key=url.key)["ContentLength"]
    if found != size:
        raise DamagedContent(f"{url} holds {found} bytes after {size} were sent.")
