"""Folder to prefix while the files change.

What is decided for each file of the folder, pass by pass:

=====================  ======================================================================
file                   action
=====================  ======================================================================
new or changed         upload; payload first, manifest last
``latest.json`` ...    a pointer goes up when the file that it names, as it is now, has gone up
same size and mtime    nothing
replaced while sent    the object stands, and what it holds is listed; next pass again
written to while sent  the same, if up to 8 MiB; of a larger one no object is made; next pass again
gone                   nothing: a sync never deletes (contract 61)
no name for a key      never sent: it is named, and the others go up
=====================  ======================================================================

Which files there are, and what is done about links: ``nofollow``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from batchrl.contract.direct import put_object
from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Manifest, sha256_of
from batchrl.contract.multipart import NotAccepted, put_file
from batchrl.contract.nofollow import JobFolder, LeftOut, Listing
from batchrl.contract.pointers import is_pointer, pointed
from batchrl.contract.published import load_manifest
from batchrl.contract.store import Client, check_key, is_refusal

WHOLE_READ_BYTES = 8 * 1024 * 1024
UPLOAD_THREADS = 16
# Of files above this size fewer are held at once: what limits them is bytes a second, not requests.
SMALL_BYTES = 1024 * 1024
MEDIUM_AT_ONCE = 4
# Of the time that many small files take, the manifest may take this share: it grows with each of them.
MANIFEST_SHARE = 0.1
# What looking for new files may take of a core, and seconds after which it is done at the latest.
LOOKING_SHARE = 0.01
LONGEST_PAUSE = 5.0
# How long a drain goes on when the store refuses all that it is sent (seconds).
REFUSED_SECONDS = 5.0

Stamp = tuple[int, int, int]


class FolderUploader:
    """Keeps a prefix equal to a folder while a job writes to it.

    Memory: at most ``UPLOAD_THREADS`` files of up to 1 MiB and ``MEDIUM_AT_ONCE`` of up to 8 MiB are held at once; of
    larger ones one at a time is sent, in parts (see ``multipart``).

    Args:
        client: S3 client.
        folder: the folder to watch; it need not exist yet. A path is one that no job can replace.
        destination: the prefix; a file ``a/b`` becomes ``destination/a/b``.
        with_manifest: whether to publish a manifest beside the files.
        on_error: told about every failed upload; the upload is tried again on the next pass. A file that can never be
            uploaded is told once.

    Attributes:
        left_out: why files were not looked at when the folder was last read, by path.
        refused: why files could not be uploaded then, and never can be as they are, by path.
    """

    def __init__(
        self,
        client: Client,
        folder: Path | JobFolder,
        destination: S3Url,
        *,
        with_manifest: bool,
        on_error: Callable[[str, Exception], None],
    ) -> None:
        self._client = client
        self._folder = folder if isinstance(folder, JobFolder) else JobFolder(folder)
        self.left_out: dict[str, str] = {}
        self.refused: dict[str, Exception] = {}
        self._destination = destination
        self._on_error = on_error
        self._manifest: Manifest | None = None
        self._with_manifest = with_manifest
        self._manifest_dirty = False
        self._sent: dict[str, Stamp] = {}
        self._in_flight: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        self._manifest_due = 0.0
        self._medium = threading.Semaphore(MEDIUM_AT_ONCE)
        self._large = threading.Semaphore(1)
        self._refused_since: float | None = None
        self._pool = ThreadPoolExecutor(UPLOAD_THREADS, thread_name_prefix="upload")

    @property
    def manifest_url(self) -> S3Url:
        """Where the manifest of the folder is stored."""
        return self._destination / MANIFEST_NAME

    def assume_uploaded(self) -> None:
        """Take the folder as it is for published: its files came from the destination."""
        for path, stat in self._folder.list().files.items():
            self._sent[path] = _stamp(stat)

    def step(self) -> bool:
        """One pass: start uploads of what is new or changed, publish what was completed.

        Returns:
            Whether everything on disk that can be published was so when the pass began, and nothing failed.
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
        listing = self._look()
        pending = [
            (stat.st_size, path, _stamp(stat))
            for path, stat in listing.files.items()
            if self._sent.get(path) != _stamp(stat) and path not in self.refused
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
        return not pending and not self._in_flight and not self._manifest_dirty and not listing.faults

    def unpublished(self) -> list[str]:
        """Relative paths of the files whose present version was not uploaded."""
        listing = self._look()
        waiting = {path for path, stat in listing.files.items() if self._sent.get(path) != _stamp(stat)}
        return sorted(waiting | listing.faults.keys() | self.refused.keys())

    def published_bytes(self) -> int:
        """Bytes of all files as they were uploaded last."""
        return sum(size for size, _, _ in self._sent.values())

    def run(self, stop: threading.Event, interval: float = 0.2) -> None:
        """Pass after pass until ``stop`` is set; ``drain`` comes after that.

        Args:
            stop: ends it.
            interval: seconds between two passes; more where there are so many files that looking at them would cost
                what runs beside it more than ``LOOKING_SHARE`` of a core.
        """
        pause = interval
        while not stop.wait(pause):
            begun = time.thread_time()
            self._guarded_step()
            pause = max(interval, min((time.thread_time() - begun) / LOOKING_SHARE, LONGEST_PAUSE))

    def _guarded_step(self) -> bool:
        """A pass that cannot be made, for want of memory, descriptors or threads, is made again, as any."""
        try:
            return self.step()
        except Exception as error:
            self._note_failure("", error)
            return False

    def _look(self) -> Listing:
        """What the folder holds; what can never be uploaded is told when it is first seen."""
        refused: dict[str, Exception] = {}
        try:
            listing = self._folder.list()
        except InputError as error:  # the folder itself is a link
            listing, refused[""] = Listing(), error
        except OSError as error:
            listing = Listing(faults={"": error})
        for path in listing.files:
            try:
                check_key(self._destination / path)
            except InputError as error:
                refused[path] = error
        known, self.refused, self.left_out = self.refused, refused, listing.left_out
        for path in refused.keys() - known.keys():
            self._on_error(path, refused[path])
        for path, fault in listing.faults.items():
            self._note_failure(path, fault)
        return listing

    def drain(self, timeout: float) -> bool:
        """Publish all that is left.

        Args:
            timeout: seconds after which it gives up; after ``REFUSED_SECONDS`` where the store refuses everything.

        Returns:
            Whether everything was published. What can never be, ``refused``, does not keep it waiting.
        """
        started = time.monotonic()
        pause = 0.02
        while not (done := self._guarded_step()):
            refused = self._refused_since is not None and time.monotonic() - self._refused_since > REFUSED_SECONDS
            if time.monotonic() - started > (min(timeout, REFUSED_SECONDS) if refused else timeout):
                break
            if self._in_flight:
                wait(self._in_flight.values(), timeout=0.2)
            else:
                time.sleep(pause)
                pause = min(2 * pause, 1.0)
        self._pool.shutdown(wait=done, cancel_futures=True)
        return done and not self.refused

    def _note_failure(self, path: str, error: Exception) -> None:
        if not is_refusal(error):
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = time.monotonic()
        self._on_error(path, error)

    def _pointer(self, path: str) -> bytes | None:
        """The content of a pointer, to be sent as it was looked at; None while what it names is not in the store."""
        try:
            content = self._folder.read(path, WHOLE_READ_BYTES)
            named = (PurePosixPath(path).parent / pointed(content)).as_posix()
        except (FileNotFoundError, LeftOut):
            return None
        except ValueError:  # somebody else's file of this name
            return content
        if (present := self._folder.stat(named)) is not None:
            return content if self._sent.get(named) == _stamp(present) else None
        # Deleted here, it stands in the store; or it never came there, and the pointer was replaced before it went.
        return content if named in self._sent or self._still(path, content) else None

    def _still(self, path: str, content: bytes) -> bool:
        try:
            return self._folder.read(path, WHOLE_READ_BYTES) == content
        except (FileNotFoundError, LeftOut):
            return False

    def _send(self, path: str, stamp: Stamp, content: bytes | None = None) -> None:
        target = self._destination / path
        try:
            if content is not None or stamp[0] <= WHOLE_READ_BYTES:
                with self._medium if stamp[0] > SMALL_BYTES else nullcontext():
                    if content is None:
                        content = self._folder.read(path, WHOLE_READ_BYTES + 1)
                        if len(content) > WHOLE_READ_BYTES:
                            return  # it has grown; the next pass knows its size
                    size, digest = len(content), sha256_of(content)
                    put_object(self._client, target, content, digest)
            else:
                with self._large, self._folder.open(path) as file:
                    size, digest = self._send_parts(target, file)
        except (FileNotFoundError, LeftOut, NotAccepted):
            return
        present = self._folder.stat(path)
        with self._lock:
            # Also when the file has moved on: it is what the object holds. And first: where the manifest cannot be
            # read now, the file is one that has not been sent.
            if self._with_manifest:
                self._current_manifest().publish(path, size, digest)
                self._manifest_dirty = True
            if present is not None and _stamp(present) == stamp:
                self._sent[path] = stamp
        if time.monotonic() >= self._manifest_due:
            self._publish_manifest()

    def _send_parts(self, target: S3Url, file: BinaryIO) -> tuple[int, str]:
        """Bytes and digest of what was stored; none is made of a file that is written to meanwhile."""
        begun = os.fstat(file.fileno())

        def unwritten(digest: str) -> bool:
            return _stamp(os.fstat(file.fileno())) == _stamp(begun)

        digest = put_file(self._client, target, file, begun.st_size, hashed=self._with_manifest, accept=unwritten)
        return begun.st_size, digest

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
            started = time.monotonic()
            try:
                put_object(self._client, self.manifest_url, content, sha256_of(content))
            except Exception:
                self._manifest_dirty = True
                raise
            ended = time.monotonic()
            # Whoever ends an upload before that leaves it to the next pass.
            self._manifest_due = ended + (ended - started) / MANIFEST_SHARE


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
