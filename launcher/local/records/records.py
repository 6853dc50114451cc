"""The records of jobs, endpoints and tags, in the database that the API server and every shim use at the same time.

Every write is one short transaction. Who writes what: the API server creates records, asks for a stop and names the
shim; the shim alone moves the secondary status; the API server moves it only to Failed, for a job whose shim is gone.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.api.constants import ENDPOINT, TRAINING
from launcher.local.records import states
from launcher.local.records.database import SCHEMA_VERSION, Database
from launcher.local.records.jobrecord import (
    COLUMNS,
    MACHINES,
    JobRecord,
    Metric,
    Query,
    ServerRecord,
    Transition,
    from_row,
    job_key,
    moved,
    to_row,
)
from launcher.local.records.resources import Resources, put_tags

__all__ = [
    "SCHEMA_VERSION",
    "DuplicateJob",
    "JobEnded",
    "JobRecord",
    "JobRunning",
    "Metric",
    "Query",
    "Records",
    "ServerRecord",
    "Transition",
    "UnknownJob",
    "job_key",
]


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
    | {"log_stream", "size_bytes", "started_at", "servers", "published_at", "exit_message"}
)
_SORTABLE = frozenset({"created_at", "name", "status"})
_NAMED = "kind = ? AND name = ?"


class Records:
    """The records. Safe to use from several threads and processes; a job is named by its name and its kind.

    Args:
        path: the SQLite file; made or migrated when needed.

    Raises:
        InputError: the file was written by a newer version, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.resources = Resources(self._database)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def create(self, record: JobRecord, tags: Mapping[str, str] | None = None) -> None:
        """Add a job and its tags.

        Raises:
            DuplicateJob: the name is taken.
        """
        values = to_row(record)
        marks = ", ".join("?" for _ in values)
        with self._database.writing() as connection:
            taken = connection.execute(f"SELECT arn FROM jobs WHERE {_NAMED}", (record.kind, record.name)).fetchone()
            if taken:
                raise DuplicateJob(taken["arn"])
            connection.execute(f"INSERT INTO jobs ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
            put_tags(connection, record.arn, tags or {})

    def find(self, name: str, kind: str = TRAINING) -> JobRecord | None:
        """The record of a job, or None."""
        rows = self._database.rows(f"SELECT * FROM jobs WHERE {_NAMED}", (kind, name))
        return from_row(rows[0]) if rows else None

    def get(self, name: str, kind: str = TRAINING) -> JobRecord:
        """The record of a job.

        Raises:
            UnknownJob: there is none.
        """
        if (record := self.find(name, kind)) is None:
            raise UnknownJob(name)
        return record

    def list(self, query: Query | None = None) -> list[JobRecord]:
        """Records that a query selects, in its order; jobs with equal sort values are ordered by name."""
        where, values, order = _sql(query or Query())
        return [from_row(row) for row in self._database.rows(f"SELECT * FROM jobs WHERE {where} {order}", values)]

    def named_after(self, name: str, kind: str = TRAINING) -> Sequence[JobRecord]:
        """Jobs whose names are another name, a dash and more, by name; the index finds them among many."""
        statement = "SELECT * FROM jobs WHERE kind = ? AND name > ? AND name < ? ORDER BY name"
        return [from_row(row) for row in self._database.rows(statement, (kind, f"{name}-", f"{name}."))]

    def running(self) -> Sequence[JobRecord]:
        """Jobs of all kinds that have not ended, the oldest first."""
        marks = ", ".join("?" for _ in states.ENDED)
        statement = f"SELECT * FROM jobs WHERE status NOT IN ({marks}) ORDER BY created_at, name"
        return [from_row(row) for row in self._database.rows(statement, tuple(states.ENDED))]

    def update(self, name: str, kind: str = TRAINING, **columns: Any) -> JobRecord:
        """Set columns beside the status.

        Raises:
            UnknownJob: there is no such job.
        """
        with self._database.writing() as connection:
            return _store(connection, _locked(connection, name, kind), columns | {"modified_at": time.time()})

    def claim(self, name: str, shim_pid: int, shim_started_at: int, kind: str = TRAINING) -> bool:
        """Name the shim of a job that has none. API server and shim both do, whoever is first.

        Returns:
            Whether this process is the job's shim now; False when another one is.
        """
        with self._database.writing() as connection:
            changed = connection.execute(
                "UPDATE jobs SET shim_pid = ?, shim_started_at = ? "
                f"WHERE {_NAMED} AND (shim_pid IS NULL OR (shim_pid = ? AND shim_started_at = ?))",
                (shim_pid, shim_started_at, kind, name, shim_pid, shim_started_at),
            )
            return changed.rowcount == 1

    def release(self, record: JobRecord) -> None:
        """Let another process be the shim of a job whose shim is gone; one that has a new shim by now keeps it."""
        values = (record.kind, record.name, record.shim_pid, record.shim_started_at)
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE jobs SET shim_pid = NULL, shim_started_at = NULL "
                f"WHERE {_NAMED} AND shim_pid = ? AND shim_started_at = ?",
                values,
            )

    def transition(
        self,
        name: str,
        secondary_status: str,
        message: str = "",
        at: float | None = None,
        kind: str = TRAINING,
        **columns: Any,
    ) -> JobRecord:
        """Move a job to its next secondary status, and set other columns with it.

        A job that was asked to stop and would be Completed becomes Stopped: look at the record that is returned.

        Args:
            name: the job.
            secondary_status: the status to take.
            message: its StatusMessage.
            at: seconds since 1970; now, by default.
            kind: kind of job.
            columns: as ``update`` takes them.

        Raises:
            UnknownJob: there is no such job.
            IllegalTransition: the status cannot follow the present one.
        """
        with self._database.writing() as connection:
            record = _locked(connection, name, kind)
            return _store(connection, record, moved(record, secondary_status, message, at) | columns)

    def request_stop(self, name: str, at: float | None = None, kind: str = TRAINING) -> JobRecord:
        """Ask the shim to stop a job; asking again changes nothing.

        Raises:
            UnknownJob: there is no such job.
            JobEnded: it has ended.
        """
        at = time.time() if at is None else at
        with self._database.writing() as connection:
            record = _locked(connection, name, kind)
            if record.ended:
                raise JobEnded(record)
            if record.stop_requested_at is not None:
                return record
            stopping = {"stop_requested_at": at, "modified_at": at, "status": MACHINES[kind].stopping}
            return _store(connection, record, stopping)

    def delete(self, name: str, kind: str = TRAINING) -> JobRecord:
        """Forget a job that has ended, and its tags.

        Raises:
            UnknownJob: there is no such job.
            JobRunning: it has not ended.
        """
        with self._database.writing() as connection:
            record = _locked(connection, name, kind)
            if not record.ended:
                raise JobRunning(record)
            _forget(connection, record)
            return record

    def forget_endpoint(self, endpoint: JobRecord) -> None:
        """Forget an endpoint that was asked to go, and its tags; one that is gone already is no error, and one that
        was made since by that name is left alone."""
        same = f"{_NAMED} AND created_at = ?"
        values = (ENDPOINT, endpoint.name, endpoint.created_at)
        with self._database.writing() as connection:
            if connection.execute(f"SELECT 1 FROM jobs WHERE {same}", values).fetchone():
                _forget(connection, endpoint)

    def by_arn(self, arn: str) -> JobRecord | None:
        """The record of the job with an ARN, or None."""
        rows = self._database.rows("SELECT * FROM jobs WHERE arn = ?", (arn,))
        return from_row(rows[0]) if rows else None

    def tags(self, arn: str) -> dict[str, str]:
        """Tags of a resource, by key."""
        rows = self._database.rows("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", (arn,))
        return {row["key"]: row["value"] for row in rows}

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Set tags; one with a known key is replaced."""
        with self._database.writing() as connection:
            put_tags(connection, arn, tags)

    def delete_tags(self, arn: str, keys: Sequence[str]) -> None:
        """Remove tags; unknown keys are no error."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM tags WHERE arn = ? AND key = ?", [(arn, key) for key in keys])


def _locked(connection: sqlite3.Connection, name: str, kind: str) -> JobRecord:
    row = connection.execute(f"SELECT * FROM jobs WHERE {_NAMED}", (kind, name)).fetchone()
    if row is None:
        raise UnknownJob(name)
    return from_row(row)


def _store(connection: sqlite3.Connection, record: JobRecord, columns: Mapping[str, Any]) -> JobRecord:
    own = {"modified_at", "status", "secondary_status", "transitions", "ended_at", "stop_requested_at"}
    if unknown := columns.keys() - UPDATABLE - own:
        raise TypeError(f"no such columns: {', '.join(sorted(unknown))}")
    changed = JobRecord(**({name: getattr(record, name) for name in COLUMNS} | dict(columns)))
    row = {column: value for column, value in to_row(changed).items() if column in columns}
    setters = ", ".join(f"{column} = ?" for column in row)
    connection.execute(f"UPDATE jobs SET {setters} WHERE {_NAMED}", (*row.values(), record.kind, record.name))
    return changed


def _forget(connection: sqlite3.Connection, record: JobRecord) -> None:
    connection.execute(f"DELETE FROM jobs WHERE {_NAMED}", (record.kind, record.name))
    connection.execute("DELETE FROM tags WHERE arn = ?", (record.arn,))


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
