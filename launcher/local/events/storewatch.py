"""The requests of a job to its store, counted where all of them pass: in botocore's own events."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from batchrl.contract.direct import ANSWERED
from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import CheckpointUploaded, StoreAnswered, StoreFailed, StoreUsed
from launcher.local.events.spacing import Spacing

UPLOADS = frozenset({"PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload"})
STORING = frozenset({"PutObject", "CompleteMultipartUpload"})
FAILURES_EVERY = 10.0
CHECKPOINTS_EVERY = 30.0


class _Busy:
    """Seconds in which at least one of several things was under way."""

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0
        self._seconds = 0.0
        self._until = 0.0

    def took(self, now: float, seconds: float) -> None:
        """Something that is over now took so long; what it shares with others counts once."""
        if not self._count:
            self._seconds += max(0.0, now - max(now - seconds, self._until))
        self._until = now

    def begin(self, now: float) -> None:
        self._since = self._since if self._count else now
        self._count += 1

    def end(self, now: float) -> None:
        self._count = max(0, self._count - 1)
        if not self._count:
            self._seconds += now - self._since
            self._until = now

    def seconds(self, now: float) -> float:
        return self._seconds + (now - self._since if self._count else 0.0)


class StoreWatch:
    """Sees every attempt of a client's requests: how many, how long, what failed, and checkpoints that were stored.

    Args:
        events: the job's events.
        checkpoints: where its checkpoints go; None where it has none.
        clock: seconds, monotonic.
    """

    def __init__(
        self, events: EventFile, checkpoints: S3Url | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._events = events
        self._checkpoints = checkpoints
        self._clock = clock
        self._lock = threading.Lock()
        self._busy = {True: _Busy(), False: _Busy()}
        self._requests = {True: 0, False: 0}
        self._upload_bytes = 0
        self._stored = 0
        self._failures = 0
        self._row = 0  # failures since the last answer
        self._failing_since = 0.0
        self._failing_seconds = 0.0
        self._told = False
        self._failure_spacing, self._checkpoint_spacing = Spacing(FAILURES_EVERY), Spacing(CHECKPOINTS_EVERY)

    def attach(self, client: Client) -> None:
        """Look at a client's requests from now on."""
        client.meta.events.register("request-created.s3", self._begun)
        client.meta.events.register("needs-retry.s3", self._answered)
        client.meta.events.register(ANSWERED, self._directly)

    def used(self) -> StoreUsed:
        """All of it until now."""
        with self._lock:
            now = self._clock()
            failing = self._failing_seconds + (now - self._failing_since if self._row else 0.0)
            uploads, others = self._busy[True].seconds(now), self._busy[False].seconds(now)
            return StoreUsed(
                self._requests[True],
                self._upload_bytes,
                uploads,
                self._requests[False],
                others,
                self._failures,
                failing,
            )

    def _begun(self, operation_name: str, **_: Any) -> None:
        with self._lock:
            self._busy[operation_name in UPLOADS].begin(self._clock())

    def _answered(
        self,
        response: Any = None,
        operation: Any = None,
        caught_exception: Exception | None = None,
        request_dict: Any = None,
        **_: Any,
    ) -> None:
        """One attempt is over. Returns None: whether it is tried again is decided by others."""
        name = str(operation.name)
        status = int(response[0].status_code) if response else 0
        with self._lock:
            now = self._clock()
            uploads = name in UPLOADS
            self._busy[uploads].end(now)
            self._requests[uploads] += 1
            if caught_exception is not None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                self._failed(name, caught_exception or f"HTTP {status}", now)
                return
            self._worked(now)
            if uploads and status < HTTPStatus.MULTIPLE_CHOICES:
                self._upload_bytes += _length((request_dict or {}).get("body"))
                if name in STORING:
                    self._note_checkpoint(unquote(urlsplit(str((request_dict or {}).get("url", ""))).path), now)

    def _directly(self, operation: str, url: S3Url, size: int, seconds: float, **_: Any) -> None:
        """A request that was made without botocore succeeded."""
        with self._lock:
            now, uploads = self._clock(), operation in UPLOADS
            self._busy[uploads].took(now, seconds)
            self._requests[uploads] += 1
            self._worked(now)
            if uploads:
                self._upload_bytes += size
                self._note_checkpoint(f"/{url.bucket}/{url.key}", now)

    def _failed(self, operation: str, error: object, now: float) -> None:
        self._failures += 1
        self._row += 1
        if self._row == 1:
            self._failing_since = now
            self._told = self._failure_spacing.due(now)
            if self._told:
                self._events.add(StoreFailed(operation, str(error)))

    def _worked(self, now: float) -> None:
        if not self._row:
            return
        seconds = now - self._failing_since
        self._failing_seconds += seconds
        if self._told:
            self._events.add(StoreAnswered(self._row, seconds))
        self._row = 0

    def _note_checkpoint(self, path: str, now: float) -> None:
        if self._checkpoints is None or not self._checkpoints.key:
            return
        prefix = f"/{self._checkpoints.key.rstrip('/')}/"
        if prefix not in path:
            return
        self._stored += 1
        if self._checkpoint_spacing.due(now):
            self._events.add(CheckpointUploaded(path[path.index(prefix) + 1 :], self._stored))


def _length(body: Any) -> int:
    """Bytes of a body as botocore holds it: a buffer, a file or a part of one."""
    try:
        return len(body)
    except TypeError:
        pass
    try:
        position = body.tell()
        length = int(body.seek(0, os.SEEK_END))
        body.seek(position)
    except (AttributeError, OSError, TypeError, ValueError):
        return 0
    return length
