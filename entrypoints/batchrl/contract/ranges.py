"""A large object in parts: several at a time, hashed in their order while they come.

One connection brings what one connection can; several bring what the network can. All parts are of one version of the
object, told by its ETag: a part of another version ends the attempt.

Memory: 1 MiB for each part on its way, and one more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import botocore.exceptions

from batchrl.contract.direct import CHUNK_BYTES, read_object
from batchrl.contract.layout import S3Url
from batchrl.contract.parallel import run_all

# From this size on it is worth it.
RANGED_BYTES = 64 * 1024 * 1024
PART_BYTES = 16 * 1024 * 1024
# Larger parts ask less often, as long as every connection has some.
MOST_PART_BYTES = 64 * 1024 * 1024
PARTS_A_STREAM = 2
MOST_STREAMS = 8


class Replaced(Exception):
    """The object is another by now, or the store does not say; it is to be read as one."""


def read_parts(
    client: Any,
    url: S3Url,
    size: int,
    etag: str,
    handle: int,
    seen: Any,
    streams: int,
    on_bytes: Callable[[int], object],
) -> None:
    """Write an object to an open file.

    Args:
        client: S3 client.
        url: the object.
        size, etag: as they were listed.
        handle: of the file, which is empty; to read and write.
        seen: a hash that is given the content; None where none is wanted.
        streams: parts on their way at once.
        on_bytes: told the number of bytes of each chunk that arrived.

    Raises:
        Replaced: this is no longer what was listed.
        botocore.exceptions.ClientError: the store refuses.
        botocore.exceptions.BotoCoreError: it does not answer, or a body broke off.
        OSError: the disk is full.
    """
    length = max(PART_BYTES, min(MOST_PART_BYTES, -(-size // (PARTS_A_STREAM * streams))))
    parts = [range(start, min(start + length, size)) for start in range(0, size, length)]
    order = _InOrder(handle, parts, seen)

    def bring(number: int) -> None:
        _read_part(client, url, parts[number], etag, handle, on_bytes)
        order.came(number)

    run_all([partial(bring, number) for number in range(len(parts))], streams, "part")
    order.finish()


def _read_part(client: Any, url: S3Url, part: range, etag: str, handle: int, on_bytes: Callable[[int], object]) -> None:
    try:
        answer = read_object(client, url, part, etag)
    except botocore.exceptions.ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (412, 416):
            raise Replaced from error
        raise
    if answer.etag != etag or answer.length != len(part):
        raise Replaced
    at = part.start
    for chunk in answer.chunks:
        view = memoryview(chunk)
        while view:
            written = os.pwrite(handle, view, at)
            view, at = view[written:], at + written
        on_bytes(len(chunk))
    if at != part.stop:
        raise botocore.exceptions.IncompleteReadError(actual_bytes=at - part.start, expected_bytes=len(part))


class _InOrder:
    """Hashes parts in their order as soon as those before them have come; whoever brings one may do it."""

    def __init__(self, handle: int, parts: list[range], seen: Any) -> None:
        self._handle = handle
        self._parts = parts
        self._seen = seen
        self._came: set[int] = set()
        self._next = 0
        self._hashing = threading.Lock()

    def came(self, number: int) -> None:
        """A part is in the file; the others need not wait until it is hashed."""
        self._came.add(number)
        if self._hashing.acquire(blocking=False):
            try:
                self._hash()
            finally:
                self._hashing.release()

    def finish(self) -> None:
        """All parts are in the file."""
        with self._hashing:
            self._hash()

    def _hash(self) -> None:
        while self._next in self._came:
            part = self._parts[self._next]
            for at in range(part.start, part.stop, CHUNK_BYTES) if self._seen else ():
                self._seen.update(os.pread(self._handle, min(CHUNK_BYTES, part.stop - at), at))
            self._next += 1
