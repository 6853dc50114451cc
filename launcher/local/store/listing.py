"""Keys in order, rolled up at a delimiter: range scans over the index that skip what a common prefix stands for."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from launcher.local.store.errors import invalid

MAX_KEYS = 1000
# So many keys below a common prefix are read over before the scan jumps behind it.
STEPS_BEFORE_JUMP = 8


@dataclass(frozen=True)
class Entry:
    """One object of a listing.

    Args:
        key, size, etag: the object's.
        modified: milliseconds since 1970.
    """

    key: bytes
    size: int
    etag: str
    modified: int


@dataclass
class Page:
    """One page of a listing.

    Args:
        entries: objects.
        prefixes: common prefixes.
        resume: where the next page begins (a key that may itself be listed); None where this is the last.
        last: the last key or common prefix of the page.
    """

    entries: list[Entry] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    resume: bytes | None = None
    last: bytes = b""

    @property
    def count(self) -> int:
        """Objects and common prefixes."""
        return len(self.entries) + len(self.prefixes)


def page(
    connection: sqlite3.Connection,
    bucket: int,
    prefix: bytes = b"",
    delimiter: bytes = b"",
    start: bytes = b"",
    limit: int = MAX_KEYS,
) -> Page:
    """One page of the keys of a bucket.

    Args:
        connection: the database.
        bucket: number of the bucket.
        prefix: what keys begin with.
        delimiter: where keys are rolled up; empty for nowhere.
        start: the first key that may be listed.
        limit: how many objects and common prefixes at most.
    """
    found = Page()
    if limit <= 0:
        return found
    at: bytes | None = max(prefix, start)
    end = after(prefix)
    while at is not None:
        at = _scan(connection, bucket, prefix, delimiter, at, end, limit, found)
    return found


def _scan(
    connection: sqlite3.Connection,
    bucket: int,
    prefix: bytes,
    delimiter: bytes,
    start: bytes,
    end: bytes | None,
    limit: int,
    found: Page,
) -> bytes | None:
    """Read on from ``start``; returns where to jump to, or None when the page is full or the keys have ended."""
    common, steps = b"", 0
    for key, size, etag, modified in _rows(connection, bucket, start, end, limit + 1 + STEPS_BEFORE_JUMP):
        if common and key.startswith(common):
            steps += 1
            if steps >= STEPS_BEFORE_JUMP:
                return after(common)
            continue
        if found.count >= limit:
            found.resume = key
            return None
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            common = b""
            found.entries.append(Entry(key, size, etag, modified))
            found.last = key
        else:
            common, steps = key[: cut + len(delimiter)], 0
            found.prefixes.append(common)
            found.last = common
        start = key
    else:
        return _following(connection, bucket, common or start + b"\0", bool(common), end)
    return None


def _following(
    connection: sqlite3.Connection, bucket: int, at: bytes, rolled_up: bool, end: bytes | None
) -> bytes | None:
    """The first key after those that were read; None where there is none."""
    start = after(at) if rolled_up else at
    if start is None:
        return None
    return next((row[0] for row in _rows(connection, bucket, start, end, 1)), None)


def _rows(
    connection: sqlite3.Connection, bucket: int, start: bytes, end: bytes | None, count: int
) -> Iterator[tuple[bytes, int, str, int]]:
    columns = "SELECT key, size, etag, modified FROM objects WHERE bucket = ? AND key >= ?"
    if end is None:
        yield from connection.execute(f"{columns} ORDER BY key LIMIT ?", (bucket, start, count))
    else:
        yield from connection.execute(f"{columns} AND key < ? ORDER BY key LIMIT ?", (bucket, start, end, count))


def after(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with a prefix; None where nothing can be behind them."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def start_after(marker: bytes, delimiter: bytes) -> bytes:
    """The first key that may follow a marker; one that is a common prefix has all below it behind it."""
    if delimiter and marker.endswith(delimiter):
        return after(marker) or marker
    return marker + b"\0" if marker else b""


def token_of(resume: bytes) -> str:
    """A continuation token."""
    return base64.urlsafe_b64encode(b"1" + resume).decode()


def resume_of(token: str) -> bytes:
    """Where a continuation token goes on.

    Raises:
        StoreError: it is none of ours.
    """
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw.startswith(b"1"):
        raise invalid("The continuation token provided is incorrect")
    return raw[1:]
