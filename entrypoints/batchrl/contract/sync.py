"""Folder to prefix while the files change.

What is decided for each file of the folder, pass by pass:

=====================  ======================================================================
file                   action
=====================  ======================================================================
new or changed         upload; payload first, manifest last
``latest.json`` ...    a pointer goes up when the file that it names, as it is now, has gone up
same size and mtime    nothing
changed while sent     the object stands, but the manifest does not list it; next pass again
name ends in ``.tmp``  nothing: its writer renames it when it is whole
gone                   nothing: a sync never deletes (contract 61)
=====================  ======================================================================
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from batchrl.contract.files import file_sha256, published_files
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Manifest, sha256_of
from batchrl.contract.pointers import is_pointer, pointed
from batchrl.contract.published import load_manifest
from batchrl.contract.store import Client, is_refusal

WHOLE_READ_BYTES = 8 * 1024 * 1024
UPLOAD_THREADS = 4
# How long a drain goes on when the store refuses all that it is sent (seconds).
REFUSED_SECONDS = 5.0

Stamp = tuple[int, int, int]


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
        """Where the manifest of the folder is stored."""
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
            if path in self._in_flight:
                continue
            if not is_pointer(path):
                self._in_flight[path] = self._pool.submit(self._send, path, stamp)
            elif (content := self._pointer(path)) is not None:
                self._in_flight[path] = self._pool.submit(self._send, path, stamp, content)
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

    def _pointer(self, path: str) -> bytes | None:
        """The content of a pointer, to be sent as it was looked at; None while what it names is not in the store."""
        try:
            content = (self._folder / path).read_bytes()
            named = (PurePosixPath(path).parent / pointed(content)).as_posix()
        except FileNotFoundError:
            return None
        except ValueError:  # somebody else's file of this name
            return content
        try:
            present = _stamp((self._folder / named).stat(follow_symlinks=False))
        except FileNotFoundError:  # deleted here; in the store it stands
            return content
        return content if self._sent.get(named) == present else None

    def _send(self, path: str, stamp: Stamp, content: bytes | None = None) -> None:
        file = self._folder / path
        target = self._destination / path
        try:
            if content is not None or stamp[0] <= WHOLE_READ_BYTES:
                content = file.read_bytes() if content is None else content
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
