"""What reaches the disk when, and what is put right at the next start.

- A process that is killed loses nothing that it acknowledged: contents and rows are with the kernel by then.
- When the power fails, what was acknowledged within the last seconds (``SECONDS``, and the time that writing takes) may
  be missing; what is older is there, whole. Every few seconds everything written is brought to the disk, contents
  together with the rows that name them, and only then are the files removed that those rows have replaced: were rows
  lost, the files of the older ones are still there. After a restart of the machine every row's file is looked at; an
  object whose bytes are not all there is dropped and told in the log, never served in part.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sqlite3
import threading
from pathlib import Path

from launcher.local.store.catalog import Catalog, connect, named_files, unpacked
from launcher.local.store.contents import Contents

SECONDS = 5.0
# A write-ahead log beyond this is copied into the database and begun anew.
CHECKPOINT_BYTES = 4 * 1024 * 1024

_BOOT = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


class Durability:
    """Brings what was written to the disk, and removes what was replaced.

    Args:
        database: file of the database.
        catalog: the database.
        contents: the contents.
        folder: a folder on the disk of both.
    """

    def __init__(self, database: Path, catalog: Catalog, contents: Contents, folder: Path) -> None:
        self._database = database
        self._catalog = catalog
        self._contents = contents
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._synced_changes = 0
        self._stop = threading.Event()

    def due(self) -> bool:
        """Whether anything was written since it was last brought to the disk."""
        return self._catalog.connection.total_changes != self._synced_changes

    def begin(self) -> tuple[list[int], int]:
        """What ``sync`` makes safe; in the thread that writes."""
        return self._contents.take_unused(), self._catalog.connection.total_changes

    def sync(self) -> None:
        """Wait until everything is on the disk; in another thread."""
        _syncfs(self._folder)
        wal = self._database.with_name(f"{self._database.name}-wal")
        if wal.exists() and wal.stat().st_size > CHECKPOINT_BYTES:
            with _closing(self._database) as connection:
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def end(self, unused: list[int], changes: int) -> None:
        """Remove what was replaced before ``begin``; in the thread that writes."""
        self._contents.purge(unused)
        self._synced_changes = changes

    def stop(self) -> None:
        """End ``sweep`` early."""
        self._stop.set()

    def sweep(self) -> int:
        """Remove files that an earlier process left without a row; in another thread.

        Returns:
            how many files it removed.
        """
        with _closing(self._database) as connection:
            return self._contents.sweep(named_files(connection), self._stop)

    def drop_what_is_not_whole(self) -> list[bytes]:
        """After a restart of the machine: drop objects and parts whose bytes are not all on the disk.

        Returns:
            keys of the objects that it dropped.
        """
        boot = _boot()
        if self._catalog.noted("boot") in (0, boot):
            self._note(boot)
            return []
        connection, dropped = self._catalog.connection, []
        for bucket, key, file, size, parts in connection.execute(
            "SELECT bucket, key, file, size, parts FROM objects"
        ).fetchall():
            pieces = unpacked(parts) or [(file, size)]
            if not all(self._contents.holds(number, length) for number, length in pieces):
                log.error("the machine stopped before %r was on the disk: it is dropped", key)
                connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
                dropped.append(key)
        for upload, number, file, size in connection.execute("SELECT upload, number, file, size FROM parts").fetchall():
            if not self._contents.holds(file, size):
                connection.execute("DELETE FROM parts WHERE upload = ? AND number = ?", (upload, number))
        self._note(boot)
        return dropped

    def _note(self, boot: int) -> None:
        if self._catalog.noted("boot") != boot:
            self._catalog.note("boot", boot)


def _boot() -> int:
    """A number of this run of the machine."""
    try:
        return int(_BOOT.read_text().strip().replace("-", "")[:15], 16)
    except (OSError, ValueError):
        return 1


def _syncfs(folder: int) -> None:
    """Bring everything of one file system to the disk."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if function is None:
        os.sync()
    elif function(folder):
        raise OSError(ctypes.get_errno(), "syncfs")


class _closing:  # noqa: N801 - a context manager
    def __init__(self, database: Path) -> None:
        self._connection = connect(database)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()
