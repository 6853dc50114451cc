"""The one SQLite file of a data folder: opened, migrated, written to in short transactions.

Write-ahead logging lets readers go on while one process writes: API server, shims and commands have it open at once.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from batchrl.contract.files import PRIVATE_FILE

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
    # A name is unique within its kind; endpoints have servers; models and endpoint configurations are kept.
    """
    ALTER TABLE jobs RENAME TO jobs_of_one_kind;
    DROP INDEX jobs_by_status;
    DROP INDEX jobs_by_creation;
    CREATE TABLE jobs (
        kind TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL UNIQUE, request TEXT NOT NULL,
        status TEXT NOT NULL, secondary_status TEXT NOT NULL, transitions TEXT NOT NULL,
        created_at REAL NOT NULL, started_at REAL, ended_at REAL, modified_at REAL NOT NULL,
        failure_reason TEXT, metrics TEXT NOT NULL DEFAULT '[]', model_artifacts TEXT,
        stop_requested_at REAL, shim_pid INTEGER, shim_started_at INTEGER,
        executor TEXT, container TEXT, log_stream TEXT, size_bytes INTEGER NOT NULL DEFAULT 0,
        servers TEXT NOT NULL DEFAULT '[]', PRIMARY KEY (kind, name)
    ) STRICT;
    INSERT INTO jobs
        (kind, name, arn, request, status, secondary_status, transitions, created_at, started_at, ended_at, modified_at,
         failure_reason, metrics, model_artifacts, stop_requested_at, shim_pid, shim_started_at, executor, container,
         log_stream, size_bytes)
    SELECT
         kind, name, arn, request, status, secondary_status, transitions, created_at, started_at, ended_at, modified_at,
         failure_reason, metrics, model_artifacts, stop_requested_at, shim_pid, shim_started_at, executor, container,
         log_stream, size_bytes
    FROM jobs_of_one_kind;
    DROP TABLE jobs_of_one_kind;
    CREATE INDEX jobs_by_status ON jobs (status);
    CREATE INDEX jobs_by_creation ON jobs (created_at, name);
    CREATE TABLE resources (
        kind TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL UNIQUE, request TEXT NOT NULL,
        created_at REAL NOT NULL, PRIMARY KEY (kind, name)
    ) STRICT;
    """,
    # That a job's results are in S3 is a fact of its own: of jobs that older code ran it is not known.
    """
    ALTER TABLE jobs ADD COLUMN published_at REAL;
    """,
    # What a processing job said at its end.
    """
    ALTER TABLE jobs ADD COLUMN exit_message TEXT;
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)


class Database:
    """The file. Safe to use from several threads and processes.

    Args:
        path: the SQLite file; made or migrated when needed.

    Raises:
        InputError: the file was written by a newer version, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        # SQLite would take the umask. A file that is there is left alone: to close it here would take the locks of
        # another connection of this process, and whoever else closes the file would then think to be its last user.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE))
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate(path)
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{path} cannot be used as the records of the local cloud: {error}.",
                "Move it away (and its -wal and -shm) to begin with empty records; objects and logs stay.",
            ) from error

    def close(self) -> None:
        """Close the connection; the database stays usable for others."""
        with self._lock:
            self._connection.close()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; what is raised inside undoes it."""
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
        with self.writing() as connection:
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
