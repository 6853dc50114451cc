"""Model and output of a job as archives in its bucket (contract A9).

Payloads first, then a manifest beside them with the size and sha256 of each, so that a reader can tell a whole archive.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.errors import DamagedContent, Unreachable
from batchrl.contract.files import file_sha256
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Manifest
from batchrl.contract.paths import JobPaths
from batchrl.contract.store import Client
from batchrl.contract.sync import FolderUploader
from launcher.local.faults import storage_fault
from launcher.local.patience import UPLOAD_SECONDS, persist

# Weights hardly shrink, and a job's end waits for this.
COMPRESSION_LEVEL = 1
# Members get one time, so that equal contents are equal archives; tar warns about times before 1980.
MEMBER_TIME = 315_532_800


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


def archive(folder: Path, target: Path) -> bool:
    """Pack the contents of a folder, paths relative to it; equal contents give equal bytes (contract 67, 68).

    Links inside the folder are kept as links; sockets, pipes and devices are left out.

    Returns:
        Whether the folder held anything; if not, no archive is made (contract 71, 72).

    Raises:
        OSError: the disk is full, or a file cannot be read.
    """
    members = list(_members(folder))
    if not members:
        return False
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION_LEVEL, raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path, name in members:
            info = tar.gettarinfo(str(path), name)
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            info.mtime = MEMBER_TIME
            if info.isreg():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return True


def _members(folder: Path) -> Iterator[tuple[Path, str]]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        here = Path(parent)
        linked = [name for name in folders if (here / name).is_symlink()]
        for name in sorted([*folders, *files]):
            path = here / name
            if path.is_symlink() or path.is_dir() or path.is_file():
                yield path, path.relative_to(folder).as_posix()
        folders[:] = [name for name in folders if name not in linked]


def _publish_archive(client: Client, folder: Path, url: S3Url, scratch: Path) -> list[Stored]:
    file = scratch / url.name
    try:
        if not archive(folder, file):
            return []
        size, digest = file.stat().st_size, file_sha256(file)

        def send() -> None:
            client.upload_file(str(file), url.bucket, url.key)
            _check_size(client, url, size)

        persist(f"upload of {url}", client, send)
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
    persist(
        f"upload of {url}", client, lambda: client.put_object(Bucket=url.bucket, Key=url.key, Body=content) and None
    )


def _check_size(client: Client, url: S3Url, size: int) -> None:
    found = client.head_object(Bucket=url.bucket, Key=url.key)["ContentLength"]
    if found != size:
        raise DamagedContent(f"{url} holds {found} bytes after {size} were sent.")
