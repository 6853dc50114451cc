"""Folder to prefix while the files change, and back.

What is decided for each file of the folder, pass by pass:

=====================  ======================================================================
file                   action
=====================  ======================================================================
new or changed         upload; payload first, manifest last
same size and mtime    nothing
changed while sent     the object stands, but the manifest does not list it; next pass again
name ends in ``.tmp``  nothing: its writer renames it when it is whole
gone                   nothing: a sync never deletes (contract 61)
=====================  ======================================================================
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import botocore.exceptions

from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Manifest, sha256_of
from batchrl.contract.store import Client, is_missing, is_refusal, list_objects

TEMPORARY_SUFFIX = ".tmp"
WHOLE_READ_BYTES = 8 * 1024 * 1024
UPLOAD_THREADS = 4
DOWNLOAD_THREADS = 16
# How long a drain goes on when the store refuses all that it is sent (seconds).
REFUSED_SECONDS = 5.0

Stamp = tuple[int, int, int]


def published_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Relative paths (with ``/``) and stats of the files of a folder that are whole; links are not followed."""
    stack = [folder]
    while stack:
        current = stack.pop()
        try:
            entries = list(os.scandir(current))
        except FileNotFoundError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(TEMPORARY_SUFFIX):
                    yield Path(entry.path).relative_to(folder).as_posix(), entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FolderUploader:
    """Keeps a prefix equal to a folder while a job writes to it.

    Memory: at most ``UPLOAD_THREADS`` files of up to 8 MiB are held at once; larger ones are streamed.

    Args:
        client: S3 client.
        folder: the folder to watch; it need not exist yet.
        destination: the prefix; a file ``a/b`` becomes ``destination/a/b``.
        with_manifest: whether to publish a manifest beside the files.
        on_error: told about every failed upload; the upload is tried again on the next pass.
    """

    def __init__(
        self,
        client: Client,
        folder: Path,
        destination: S3Url,
        *,
        with_manifest: bool,
        on_error: Callable[[str, Exception], None],
    ) -> None:
        self._client = client
        self._folder = folder
        self._destination = destination
        self._on_error = on_error
        self._manifest: Manifest | None = None
        self._with_manifest = with_manifest
        self._manifest_dirty = False
        self._sent: dict[str, Stamp] = {}
        self._in_flight: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        self._refused_since: float | None = None
        self._pool = ThreadPoolExecutor(UPLOAD_THREADS, thread_name_prefix="upload")

    @property
    def manifest_url(self) -> S3Url:
        return self._destination / MANIFEST_NAME

    def assume_uploaded(self) -> None:
        """Take the folder as it is for published: its files came from the destination."""
        for path, stat in published_files(self._folder):
            self._sent[path] = _stamp(stat)

    def step(self) -> bool:
        """One pass: start uploads of what is new or changed, publish what was completed.

        Returns:
            Whether everything on disk was published when the pass began, and nothing failed.
        """
        for path, future in list(self._in_flight.items()):
            if future.done():
                del self._in_flight[path]
                if error := future.exception():
                    if not isinstance(error, Exception):
                        raise error
                    self._note_failure(path, error)
                else:
                    self._refused_since = None
        pending = [
            (stat.st_size, path, _stamp(stat))
            for path, stat in published_files(self._folder)
            if self._sent.get(path) != _stamp(stat)
        ]
        for _, path, stamp in sorted(pending):
            if path not in self._in_flight:
                self._in_flight[path] = self._pool.submit(self._send, path, stamp)
        try:
            self._publish_manifest()
        except Exception as error:
            self._note_failure(MANIFEST_NAME, error)
            return False
        return not pending and not self._in_flight and not self._manifest_dirty

    def unpublished(self) -> list[str]:
        """Relative paths of the files whose present version was not uploaded."""
        return sorted(path for path, stat in published_files(self._folder) if self._sent.get(path) != _stamp(stat))

    def run(self, stop: threading.Event, interval: float = 0.2) -> None:
        """Pass after pass, ``interval`` seconds apart, until ``stop`` is set; ``drain`` comes after that."""
        while not stop.wait(interval):
            self.step()

    def drain(self, timeout: float) -> bool:
        """Publish all that is left.

        Args:
            timeout: seconds after which it gives up; after ``REFUSED_SECONDS`` where the store refuses everything.

        Returns:
            Whether everything was published.
        """
        started = time.monotonic()
        pause = 0.02
        while not (done := self.step()):
            refused = self._refused_since is not None and time.monotonic() - self._refused_since > REFUSED_SECONDS
            if time.monotonic() - started > (min(timeout, REFUSED_SECONDS) if refused else timeout):
                break
            time.sleep(pause)
            pause = min(2 * pause, 1.0) if not self._in_flight else 0.02
        self._pool.shutdown(wait=done, cancel_futures=True)
        return done

    def _note_failure(self, path: str, error: Exception) -> None:
        if not is_refusal(error):
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = time.monotonic()
        self._on_error(path, error)

    def _send(self, path: str, stamp: Stamp) -> None:
        file = self._folder / path
        target = self._destination / path
        try:
            if stamp[0] <= WHOLE_READ_BYTES:
                content = file.read_bytes()
                size, digest = len(content), sha256_of(content)
                self._client.put_object(Bucket=target.bucket, Key=target.key, Body=content)
            else:
                digest = file_sha256(file)
                size = stamp[0]
                self._client.upload_file(str(file), target.bucket, target.key)
            unchanged = _stamp(file.stat(follow_symlinks=False)) == stamp
        except FileNotFoundError:
            return
        with self._lock:
            if unchanged:
                self._sent[path] = stamp
            # A body that was read at once is listed even when the file has moved on: it is what the object holds.
            if self._with_manifest and (unchanged or stamp[0] <= WHOLE_READ_BYTES):
                self._current_manifest().publish(path, size, digest)
                self._manifest_dirty = True
        self._publish_manifest()

    def _current_manifest(self) -> Manifest:
        if self._manifest is None:
            self._manifest = load_manifest(self._client, self._destination) or Manifest()
        return self._manifest

    def _publish_manifest(self) -> None:
        """Send the manifest if it has news; one thread at a time, so that an older one never comes last."""
        with self._publishing:
            with self._lock:
                if not self._manifest_dirty or self._manifest is None:
                    return
                content = self._manifest.to_bytes()
                self._manifest_dirty = False
            try:
                self._client.put_object(Bucket=self.manifest_url.bucket, Key=self.manifest_url.key, Body=content)
            except Exception:
                self._manifest_dirty = True
                raise


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def load_manifest(client: Client, prefix: S3Url, attempts: int = 20, pause: float = 0.05) -> Manifest | None:
    """The manifest below a prefix, or None where none was published.

    Raises:
        DamagedContent: it could not be read whole in ``attempts`` tries, ``pause`` seconds apart.
    """
    url = prefix / MANIFEST_NAME
    for attempt in range(attempts):
        try:
            return Manifest.from_bytes(_get(client, url))
        except DamagedContent:
            if attempt == attempts - 1:
                raise
            time.sleep(pause)
        except botocore.exceptions.ClientError as error:
            if is_missing(error):
                return None
            raise
    raise AssertionError("unreachable")


def read_published(client: Client, prefix: S3Url, path: str, attempts: int = 60, pause: float = 0.05) -> bytes:
    """The newest whole version of a file that may be overwritten while it is read.

    Where a manifest lists the file, the body must be one of the listed versions; else two reads must agree.

    Args:
        client: S3 client.
        prefix: the synced prefix.
        path: path below it.
        attempts: how often to try, ``pause`` seconds apart.

    Raises:
        botocore.exceptions.ClientError: there is no such object.
        DamagedContent: no whole version could be read.
    """
    url = prefix / path
    read: dict[str, bytes] = {}
    previous: str | None = None
    for _ in range(attempts):
        try:
            body = _get(client, url)
        except DamagedContent:
            time.sleep(pause)
            continue
        digest = sha256_of(body)
        read[digest] = body
        manifest = load_manifest(client, prefix)
        entry = manifest.files.get(path) if manifest else None
        # A body can be newer than the manifest that came with it; the next manifest will list it.
        listed = next((version for version in reversed(entry.versions) if version in read), None) if entry else None
        if listed is not None:
            return read[listed]
        if entry is None and digest == previous:
            return body
        previous = digest
        time.sleep(pause)
    raise DamagedContent(f"{url} could not be read whole in {attempts} tries.", "Is its writer still alive?")


def _get(client: Client, url: S3Url) -> bytes:
    try:
        answer = client.get_object(Bucket=url.bucket, Key=url.key)
        body: bytes = answer["Body"].read()
    except (botocore.exceptions.IncompleteReadError, botocore.exceptions.ResponseStreamingError) as error:
        raise DamagedContent(f"{url} was cut short: {error}") from error
    except botocore.exceptions.ClientError as error:
        # What a server that tears bodies may answer instead, at the very moment of an overwrite.
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500:
            raise
        raise DamagedContent(f"{url} could not be served: {error}") from error
    return body


@dataclass(frozen=True)
class Transfer:
    """One object and the file that it becomes."""

    key: str
    size: int
    file: Path


def relative_path(key: str, prefix: str) -> str | None:
    """Path of an object below a channel (contract 48, 49): its key without the folder of the prefix.

    Returns:
        None for a folder marker, which holds no data.

    Raises:
        InputError: the key would leave the folder that it is downloaded to.
    """
    relative = key[prefix.rfind("/") + 1 :]
    if key.endswith("/"):
        return None
    parts = PurePosixPath(relative).parts
    if not parts or relative.startswith("/") or ".." in parts or "\0" in relative or "//" in relative:
        raise InputError(f"the key '{key}' cannot be a file: '{relative}' is no path below a folder.")
    return relative


def plan_download(client: Client, source: S3Url, folder: Path) -> list[Transfer]:
    """What a raw prefix would put into a folder.

    Raises:
        InputError: a key cannot be a file, or is both a file and a folder.
    """
    transfers = []
    for key, size in list_objects(client, source):
        relative = relative_path(key, source.key)
        if relative is not None:
            transfers.append(Transfer(key, size, folder / relative))
    files = {transfer.file for transfer in transfers}
    for transfer in transfers:
        if clash := next((parent for parent in transfer.file.parents if parent in files), None):
            raise InputError(
                f"s3://{source.bucket}: '{transfer.key}' lies below '{clash.relative_to(folder)}', which is an object "
                "itself; on disk a name is a file or a folder."
            )
    return transfers


def download(
    client: Client, bucket: str, transfers: list[Transfer], on_bytes: Callable[[int], None] = lambda count: None
) -> None:
    """Fetch objects in parallel; each file appears under its name only when it is whole.

    Args:
        client: S3 client.
        bucket: the bucket.
        transfers: what to fetch.
        on_bytes: told the number of bytes of each chunk that arrived.

    Raises:
        DamagedContent: an object was cut short, three times in a row.
        OSError: the disk is full or the folder not writable; temporary files are removed.
    """
    with ThreadPoolExecutor(DOWNLOAD_THREADS, thread_name_prefix="download") as pool:
        futures = [pool.submit(_fetch, client, bucket, transfer, on_bytes) for transfer in transfers]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _fetch(client: Client, bucket: str, transfer: Transfer, on_bytes: Callable[[int], None]) -> None:
    transfer.file.parent.mkdir(parents=True, exist_ok=True)
    temporary = transfer.file.with_name(transfer.file.name + TEMPORARY_SUFFIX)
    for attempt in range(3):
        try:
            answer = client.get_object(Bucket=bucket, Key=transfer.key)
            received = 0
            with temporary.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(1024 * 1024):
                    file.write(chunk)
                    received += len(chunk)
                    on_bytes(len(chunk))
            if received != answer["ContentLength"]:
                raise DamagedContent(
                    f"s3://{bucket}/{transfer.key}: {received} of {answer['ContentLength']} bytes arrived."
                )
            temporary.replace(transfer.file)
            return
        except (
            DamagedContent,
            botocore.exceptions.IncompleteReadError,
            botocore.exceptions.ResponseStreamingError,
        ) as error:
            if attempt == 2:
                raise DamagedContent(f"s3://{bucket}/{transfer.key} cannot be read whole: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)


def download_prefix(client: Client, source: S3Url, folder: Path) -> list[Transfer]:
    """Everything below a raw prefix into a folder; see ``plan_download`` and ``download`` for the errors."""
    transfers = plan_download(client, source, folder)
    download(client, source.bucket, transfers)
    return transfers
