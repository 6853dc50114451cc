"""The records of jobs and tags: one SQLite file that the door and every shim use at the same time.

Write-ahead logging lets readers go on while one process writes; every write is one short transaction. Who writes what:
the door creates records, asks for a stop and names the shim; the shim alone moves the secondary status; the door moves
it only to Failed, for a job whose shim is gone.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from launcher.local import states
from launcher.local.home import PRIVATE_FILE
from launcher.local.jobrecord import (
    COLUMNS,
    TRAINING,
    JobRecord,
    Metric,
    Query,
    Transition,
    from_row,
    moved,
    to_row,
)

__all__ = [
    "TRAINING",
    "DuplicateJob",
    "JobEnded",
    "JobRecord",
    "JobRunning",
    "Metric",
    "Query",
    "Records",
    "Transition",
    "UnknownJob",
]

BUSY_SECONDS = 30.0

# One script a schema version, in order; never change one that was released.
MIGRATIONS = (
    """
    CREATE TABLE jobs (
        name TEXT PRIMARY KEY, kind TEXT NOT NULL, arn TEXT NOT NULL UNIQUE, request TEXT NOT NULL,
        status TEXT NOT NULL, secondary_status TEXT NOT NULL, transitions TEXT NOT NULL,
        created_at REAL NOT NULL, started_at REAL, ended_at REAL, modified_at REAL NOT NULL,
        failure_reason TEXT, metrics TEXT NOT NULL DEFAULT '[]', model_artifacts TEXT,
        stop_requested_at REAL, shim_pid INTEGER, shim_started_at INTEGER,
        executor TEXT, container TEXT, log_stream TEXT, size_bytes INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX jobs_by_status ON jobs (status);
    CREATE INDEX jobs_by_creation ON jobs (created_at, name);
    CREATE TABLE tags (arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key)) STRICT;
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)


class DuplicateJob(Exception):
    """A job of that name exists; ``args[0]`` is its ARN."""


class UnknownJob(KeyError):
    """There is no job of that name."""


class JobEnded(Exception):
    """The job has ended, so that it cannot be stopped; ``args[0]`` is its record."""


class JobRunning(Exception):
    """The job has not ended, so that it cannot be deleted; ``args[0]`` is its record."""


# What `update` and `transition` may set beside the status, which has a way of its own.
UPDATABLE = frozenset(
    {"failure_reason", "metrics", "model_artifacts", "shim_pid", "shim_started_at", "executor", "container"}
    | {"log_stream", "size_bytes", "started_at"}
)
_SORTABLE = frozenset({"created_at", "name", "status"})


class Records:
    """The records file. Safe to use from several threads and processes.

    Args:
        path: the SQLite file; made or migrated when needed.

    Raises:
        InputError: the file was written by a newer version, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE))  # sqlite would take the umask
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate(path)
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path} cannot be used as the records of the local cloud: {error}.") from error

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def create(self, record: JobRecord, tags: Mapping[str, str] | None = None) -> None:
        """Add a job and its tags.

        Raises:
            DuplicateJob: the name is taken.
        """
        values = to_row(record)
        marks = ", ".join("?" for _ in values)
        with self._writing() as connection:
            if taken := connection.execute("SELECT arn FROM jobs WHERE name = ?", (record.name,)).fetchone():
                raise DuplicateJob(taken["arn"])
            connection.execute(f"INSERT INTO jobs ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
            self._put_tags(connection, record.arn, tags or {})

    def find(self, name: str) -> JobRecord | None:
        """The record of a job, or None."""
        with self._lock:
            row = self._connection.execute("SELECT * FROM jobs WHERE name = ?", (name,)).fetchone()
        return from_row(row) if row else None

    def get(self, name: str) -> JobRecord:
        """The record of a job.

        Raises:
            UnknownJob: there is none.
        """
        if (record := self.find(name)) is None:
            raise UnknownJob(name)
        return record

    def list(self, query: Query | None = None) -> list[JobRecord]:
        """Records that a query selects, in its order; jobs with equal sort values are ordered by name."""
        where, values, order = _sql(query or Query())
        with self._lock:
            rows = self._connection.execute(f"SELECT * FROM jobs WHERE {where} {order}", values).fetchall()
        return [from_row(row) for row in rows]

    def running(self) -> Sequence[JobRecord]:
        """Jobs that have not ended, the oldest first."""
        marks = ", ".join("?" for _ in states.ENDED)
        with self._lock:
            rows = self._connection.execute(
                f"SELECT * FROM jobs WHERE status NOT IN ({marks}) ORDER BY created_at, name", tuple(states.ENDED)
            ).fetchall()
        return [from_row(row) for row in rows]

    def update(self, name: str, **columns: Any) -> JobRecord:
        """Set columns beside the status.

        Raises:
            UnknownJob: there is no such job.
        """
        with self._writing() as connection:
            return self._store(connection, self._locked(name), columns | {"modified_at": time.time()})

    def claim(self, name: str, shim_pid: int, shim_started_at: int) -> bool:
        """Name the shim of a job that has none. Door and shim both do, whoever is first.

        Returns:
            Whether this process is the job's shim now; False when another one is.
        """
        with self._writing() as connection:
            changed = connection.execute(
                "UPDATE jobs SET shim_pid = ?, shim_started_at = ? "
                "WHERE name = ? AND (shim_pid IS NULL OR (shim_pid = ? AND shim_started_at = ?))",
                (shim_pid, shim_started_at, name, shim_pid, shim_started_at),
            )
            return changed.rowcount == 1

    def transition(
        self, name: str, secondary_status: str, message: str = "", at: float | None = None, **columns: Any
    ) -> JobRecord:
        """Move a job to its next secondary status, and set other columns with it.

        A job that was asked to stop and would be Completed becomes Stopped: look at the record that is returned.

        Args:
            name: the job.
            secondary_status: the status to take.
            message: its StatusMessage.
            at: seconds since 1970; now, by default.
            columns: as ``update`` takes them.

        Raises:
            UnknownJob: there is no such job.
            IllegalTransition: the status cannot follow the present one.
        """
        with self._writing() as connection:
            record = self._locked(name)
            return self._store(connection, record, moved(record, secondary_status, message, at) | columns)

    def request_stop(self, name: str, at: float | None = None) -> JobRecord:
        """Ask the shim to stop a job; asking again changes nothing.

        Raises:
            UnknownJob: there is no such job.
            JobEnded: it has ended.
        """
        at = time.time() if at is None else at
        with self._writing() as connection:
            record = self._locked(name)
            if record.ended:
                raise JobEnded(record)
            if record.stop_requested_at is not None:
                return record
            return self._store(
                connection, record, {"stop_requested_at": at, "modified_at": at, "status": states.STOPPING}
            )

    def delete(self, name: str) -> JobRecord:
        """Forget a job that has ended, and its tags.

        Raises:
            UnknownJob: there is no such job.
            JobRunning: it has not ended.
        """
        with self._writing() as connection:
            record = self._locked(name)
            if not record.ended:
                raise JobRunning(record)
            connection.execute("DELETE FROM jobs WHERE name = ?", (name,))
            connection.execute("DELETE FROM tags WHERE arn = ?", (record.arn,))
            return record

    def by_arn(self, arn: str) -> JobRecord | None:
        """The record of the job with an ARN, or None."""
        with self._lock:
            row = self._connection.execute("SELECT * FROM jobs WHERE arn = ?", (arn,)).fetchone()
        return from_row(row) if row else None

    def tags(self, arn: str) -> dict[str, str]:
        """Tags of a resource, by key."""
        with self._lock:
            rows = self._connection.execute("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", (arn,)).fetchall()
        return {row["key"]: row["value"] for row in rows}

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Set tags; one with a known key is replaced."""
        with self._writing() as connection:
            self._put_tags(connection, arn, tags)

    def delete_tags(self, arn: str, keys: Sequence[str]) -> None:
        """Remove tags; unknown keys are no error."""
        with self._writing() as connection:
            connection.executemany("DELETE FROM tags WHERE arn = ? AND key = ?", [(arn, key) for key in keys])

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction, or may leave it open after its COMMIT.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _migrate(self, path: Path) -> None:
        if self._version() == SCHEMA_VERSION:
            return
        with self._writing() as connection:
            version = self._version()
            if version > SCHEMA_VERSION:
                raise InputError(
                    f"{path} was written by a newer batchrl (schema {version}; this one knows {SCHEMA_VERSION}).",
                    "Update batchrl, or set BATCHRL_HOME to another folder.",
                )
            for script in MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _locked(self, name: str) -> JobRecord:
        row = self._connection.execute("SELECT * FROM jobs WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise UnknownJob(name)
        return from_row(row)

    def _store(self, connection: sqlite3.Connection, record: JobRecord, columns: Mapping[str, Any]) -> JobRecord:
        own = {"modified_at", "status", "secondary_status", "transitions", "ended_at", "stop_requested_at"}
        if unknown := columns.keys() - UPDATABLE - own:
            raise TypeError(f"no such columns: {', '.join(sorted(unknown))}")
        changed = JobRecord(**({name: getattr(record, name) for name in COLUMNS} | dict(columns)))
        row = {column: value for column, value in to_row(changed).items() if column in columns}
        setters = ", ".join(f"{column} = ?" for column in row)
        connection.execute(f"UPDATE jobs SET {setters} WHERE name = ?", (*row.values(), record.name))
        return changed

    @staticmethod
    def _put_tags(connection: sqlite3.Connection, arn: str, tags: Mapping[str, str]) -> None:
        connection.executemany(
            "INSERT INTO tags (arn, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            [(arn, key, value) for key, value in tags.items()],
        )


def _sql(query: Query) -> tuple[str, tuple[Any, ...], str]:
    if query.sort_by not in _SORTABLE:
        raise ValueError(f"cannot sort by {query.sort_by}")
    bounds = (
        ("kind = ?", query.kind),
        ("instr(name, ?) > 0", query.name_contains),
        ("status = ?", query.status),
        ("created_at > ?", query.created_after),
        ("created_at < ?", query.created_before),
        ("modified_at > ?", query.modified_after),
        ("modified_at < ?", query.modified_before),
    )
    terms = [term for term, value in bounds if value is not None]
    values = [value for _, value in bounds if value is not None]
    if query.after is not None:
        terms.append(f"({query.sort_by}, name) {'<' if query.descending else '>'} (?, ?)")
        values += query.after
    direction = "DESC" if query.descending else "ASC"
    order = f"ORDER BY {query.sort_by} {direction}, name {direction}"
    if query.limit is not None:
        order += f" LIMIT {int(query.limit)}"
    return " AND ".join(terms) or "1", tuple(values), order
