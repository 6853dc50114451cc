"""The database of the store: buckets, keys with what is known of their objects, multipart uploads and their parts.

One process writes it, in one thread: what is checked and written without waiting in between is atomic. A commit is in
the write-ahead log before it is acknowledged, so that a process that is killed loses nothing; ``durability`` says what
holds when the power fails.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from launcher.local.store.errors import StoreError
from launcher.local.store.wire import Slices

SCHEMA_VERSION = 1
# Numbers of files that one process may use; each start takes the next range.
FILES_PER_START = 2**32

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE buckets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL);
CREATE TABLE objects (
    bucket INTEGER NOT NULL, key BLOB NOT NULL, file INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified INTEGER NOT NULL, headers TEXT NOT NULL, tags TEXT NOT NULL, checksums TEXT NOT NULL, parts TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, created INTEGER NOT NULL, headers TEXT NOT NULL,
    tags TEXT NOT NULL, algorithm TEXT NOT NULL, result TEXT NOT NULL DEFAULT '', ended INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads (bucket, key, id);
CREATE TABLE parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, file INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified INTEGER NOT NULL, checksums TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
"""

# Objects that were replaced since all was last brought to the disk, oldest first: what a key falls back to.
_REPLACED = """
CREATE TABLE IF NOT EXISTS replaced (
    number INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, file INTEGER NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL, headers TEXT NOT NULL, tags TEXT NOT NULL,
    checksums TEXT NOT NULL, parts TEXT NOT NULL
)
"""


def milliseconds() -> int:
    """Now, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Stored:
    """What is known of an object.

    Args:
        file: number of its file, where it has one; else 0.
        size: its bytes.
        etag: its ETag without quotes.
        modified: milliseconds since 1970.
        headers: content headers and user metadata, names in lower case.
        tags: its tags.
        checksums: base64 by algorithm.
        parts: file and size of each part, of an object that was uploaded in parts.
    """

    file: int
    size: int
    etag: str
    modified: int
    headers: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    parts: tuple[tuple[int, int], ...] = ()

    def files(self) -> list[tuple[int, int]]:
        """Number and size of each of its files."""
        return list(self.parts) or [(self.file, self.size)]

    def slices(self, start: int, length: int) -> Slices:
        """Where its bytes from ``start`` on lie."""
        pieces = []
        for number, size in self.files():
            if start < size and length:
                taken = min(size - start, length)
                pieces.append((number, start, taken))
                length -= taken
                start = 0
            else:
                start = max(0, start - size)
        return Slices(tuple(pieces))


_COLUMNS = "file, size, etag, modified, headers, tags, checksums, parts"


def packed(value: Any) -> str:
    """A column of JSON; nothing for what is empty."""
    return json.dumps(value, separators=(",", ":")) if value else ""


def unpacked(text: str) -> Any:
    """What a column of JSON holds."""
    return json.loads(text) if text else {}


def _stored(row: tuple[Any, ...]) -> Stored:
    file, size, etag, modified, headers, tags, checksums, parts = row
    return Stored(
        file,
        size,
        etag,
        modified,
        unpacked(headers),
        unpacked(tags),
        unpacked(checksums),
        tuple((number, length) for number, length in unpacked(parts) or ()),
    )


class Catalog:
    """The database, open.

    Args:
        path: its file; made if need be.

    Raises:
        InputError: the file is damaged, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.connection = connect(path)
            self._create(path)
            self.first_file = self._take_range()
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}, the database of the embedded store, cannot be used: {error}.") from error
        self._buckets: dict[str, int] = {
            name: number for number, name in self.connection.execute("SELECT id, name FROM buckets")
        }

    def _create(self, path: Path) -> None:
        version = self.connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise InputError(
                f"{path} was written by a newer version of batchrl (schema {version}, known: {SCHEMA_VERSION}).",
                "Upgrade batchrl, or set BATCHRL_HOME to another folder.",
            )
        if not version:
            self.connection.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
        self.connection.execute(_REPLACED)

    def _take_range(self) -> int:
        """The first number for files of this process. It is on the disk before it is used: were it given twice, a
        file of before a power failure could be taken for a new one."""
        self.connection.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            first = self.noted("next_file") or FILES_PER_START
            self.note("next_file", first + FILES_PER_START)
        self.connection.execute("PRAGMA synchronous = NORMAL")
        return first

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that the block writes, or nothing of it."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def note(self, name: str, value: int) -> None:
        """Keep a number."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def noted(self, name: str) -> int:
        """A number that was kept; 0 where there is none."""
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    # Buckets.

    def bucket(self, name: str) -> int:
        """The number of a bucket.

        Raises:
            StoreError: there is none of that name.
        """
        try:
            return self._buckets[name]
        except KeyError:
            raise StoreError("NoSuchBucket") from None

    def buckets(self) -> list[tuple[str, int]]:
        """Name and time of creation of all buckets, by name."""
        return list(self.connection.execute("SELECT name, created FROM buckets ORDER BY name"))

    def create_bucket(self, name: str, created: int | None = None) -> bool:
        """Make a bucket.

        Returns:
            whether it is new.
        """
        if name in self._buckets:
            return False
        with self.transaction():
            row = (name, milliseconds() if created is None else created)
            cursor = self.connection.execute("INSERT INTO buckets (name, created) VALUES (?, ?)", row)
        assert cursor.lastrowid is not None
        self._buckets[name] = cursor.lastrowid
        return True

    def delete_bucket(self, name: str) -> list[int]:
        """Remove an empty bucket, and what was uploaded to it in parts and never completed.

        Returns:
            files that nothing names any more.

        Raises:
            StoreError: there is none, or it holds objects.
        """
        number = self.bucket(name)
        with self.transaction() as connection:
            if connection.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (number,)).fetchone():
                raise StoreError("BucketNotEmpty")
            of_bucket = "SELECT id FROM uploads WHERE bucket = ?"
            files = connection.execute(f"SELECT file FROM parts WHERE upload IN ({of_bucket})", (number,)).fetchall()
            connection.execute(f"DELETE FROM parts WHERE upload IN ({of_bucket})", (number,))
            connection.execute("DELETE FROM uploads WHERE bucket = ?", (number,))
            connection.execute("DELETE FROM replaced WHERE bucket = ?", (number,))
            connection.execute("DELETE FROM buckets WHERE id = ?", (number,))
        del self._buckets[name]
        return [file for (file,) in files]

    # Objects.

    def find(self, bucket: int, key: bytes) -> Stored | None:
        """The object of a key, if there is one."""
        query = f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key = ?"
        row = self.connection.execute(query, (bucket, key)).fetchone()
        return _stored(row) if row else None

    def get(self, bucket: int, key: bytes) -> Stored:
        """The object of a key.

        Raises:
            StoreError: there is none.
        """
        found = self.find(bucket, key)
        if found is None:
            raise StoreError("NoSuchKey")
        return found

    def put(
        self, name: str, key: bytes, new: Stored, condition: Callable[[Stored | None], None] | None = None
    ) -> list[int]:
        """Give a key an object.

        Args:
            name: the bucket.
            key: the key.
            new: the object.
            condition: raises where the object that is there forbids it.

        Returns:
            files that nothing names any more.
        """
        with self.transaction():
            bucket = self.bucket(name)
            old = self.find(bucket, key)
            if condition is not None:
                condition(old)
            self.insert(bucket, key, new)
        return [number for number, _ in old.files()] if old else []

    def insert(self, bucket: int, key: bytes, new: Stored) -> None:
        """Write an object's row, within a transaction of the caller's; the one of before is kept until ``settled``."""
        self.connection.execute(
            f"INSERT INTO replaced (bucket, key, {_COLUMNS}) "
            f"SELECT bucket, key, {_COLUMNS} FROM objects WHERE bucket = ? AND key = ?",
            (bucket, key),
        )
        row = (bucket, key, new.file, new.size, new.etag, new.modified)
        columns = (packed(new.headers), packed(new.tags), packed(new.checksums), packed(new.parts))
        self.connection.execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?,?,?,?,?,?)", (*row, *columns))

    def last_replaced(self) -> int:
        """Number of the newest row that was replaced; 0 where none was."""
        return int(self.connection.execute("SELECT coalesce(max(number), 0) FROM replaced").fetchone()[0])

    def settled(self, number: int) -> None:
        """Say that what replaced rows up to a number is on the disk; within a transaction of the caller's."""
        self.connection.execute("DELETE FROM replaced WHERE number <= ?", (number,))

    def fall_back(self, bucket: int, key: bytes, usable: Callable[[Stored], bool]) -> bool:
        """Give a key the newest usable object of those that were replaced; within a transaction of the caller's.

        Returns:
            whether there was one; else the key has none.
        """
        self.connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
        query = f"SELECT {_COLUMNS} FROM replaced WHERE bucket = ? AND key = ? ORDER BY number DESC"
        for row in self.connection.execute(query, (bucket, key)).fetchall():
            if usable(earlier := _stored(row)):
                self.insert(bucket, key, earlier)
                return True
        return False

    def delete(
        self, bucket: int, keys: Iterable[bytes], condition: Callable[[Stored | None], None] | None = None
    ) -> list[int]:
        """Remove objects; what is not there is no fault.

        Returns:
            files that nothing names any more.
        """
        files: list[int] = []
        with self.transaction():
            for key in keys:
                old = self.find(bucket, key)
                if condition is not None:
                    condition(old)
                if old is not None:
                    self.connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
                    files += [number for number, _ in old.files()]
        return files

    def set_tags(self, bucket: int, key: bytes, tags: dict[str, str]) -> None:
        """Give an object other tags.

        Raises:
            StoreError: there is no such object.
        """
        with self.transaction():
            self.get(bucket, key)
            query = "UPDATE objects SET tags = ? WHERE bucket = ? AND key = ?"
            self.connection.execute(query, (packed(tags), bucket, key))


def connect(path: Path) -> sqlite3.Connection:
    """The database as this store uses it; checkpoints are the business of ``durability``."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA cache_size = -8000")
    return connection


def named_files(connection: sqlite3.Connection) -> Iterator[int]:
    """Every file that a row names, of one moment: parts that become an object meanwhile are still read as parts."""
    connection.execute("BEGIN")
    try:
        for file, parts in connection.execute("SELECT file, parts FROM objects"):
            if parts:
                yield from (number for number, _ in unpacked(parts))
            else:
                yield file
        yield from (file for (file,) in connection.execute("SELECT file FROM parts"))
    finally:
        connection.execute("ROLLBACK")
