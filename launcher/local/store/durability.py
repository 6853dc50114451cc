"""What reaches the disk when, and what is put right at the next start.

- A process that is killed loses nothing that it acknowledged: contents and rows are with the kernel by then.
- When the power fails, what was acknowledged within the last seconds (``SECONDS``, and the time that writing takes) may
  be missing; what is older is there, whole. Every few seconds everything written is brought to the disk, contents
  together with the rows that name them, and only then are the files removed that those rows have replaced: were rows
  lost, the files of the older ones are still there. After a restart of the machine every row's file is looked at. An
  object of those last seconds whose bytes are not all there is dropped and told in the log; its key falls back to the
  object that it replaced, whose row and files are kept until then. One that had reached the
  disk is never dropped: reading it fails while its bytes are missing, and if none of those objects is there, the store
  does not start. Nothing is served in part.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sqlite3
import threading
from array import array
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.errors import InputError
from launcher.local.store.catalog import Catalog, Stored, connect, milliseconds, named_files, unpacked
from launcher.local.store.contents import Contents

SECONDS = 5.0
# A write-ahead log beyond this is copied into the database and begun anew.
CHECKPOINT_BYTES = 4 * 1024 * 1024
# How far the clock may be set back before a row that had not reached the disk is taken for one that had.
CLOCK_MS = 60_000

_TO_DO = (
    "Nothing was dropped. Mount or repair the disk of the store's contents, or put its files back from a copy; "
    "if they are lost for good, move the store's folder away: it begins anew."
)

_BOOT = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """What was written up to a moment.

    Args:
        unused: files that no row names any more.
        changes: rows written by this process.
        at: the moment, in milliseconds since 1970.
        before: numbers of files up to it are smaller.
        replaced: number of the newest row that was replaced.
    """

    unused: list[int]
    changes: int
    at: int
    before: int
    replaced: int


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

    def begin(self) -> Written:
        """What ``sync`` makes safe; in the thread that writes. If ``sync`` fails, forget its files again."""
        now, first = milliseconds(), self._contents.new()
        replaced = self._catalog.last_replaced()
        return Written(self._contents.take_unused(), self._catalog.connection.total_changes, now, first, replaced)

    def sync(self) -> None:
        """Wait until everything is on the disk; in another thread."""
        _syncfs(self._folder)
        try:
            self._checkpoint()
        except (OSError, sqlite3.Error) as error:
            log.warning("the write-ahead log of %s cannot be begun anew: %s", self._database, error)

    def _checkpoint(self) -> None:
        """Begin a long write-ahead log anew, unless somebody reads in it: waiting for readers would hold up writers."""
        wal = self._database.with_name(f"{self._database.name}-wal")
        if wal.exists() and wal.stat().st_size > CHECKPOINT_BYTES:
            with closing(connect(self._database)) as connection:
                connection.execute("PRAGMA busy_timeout = 0")
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def end(self, written: Written) -> None:
        """Remove what was replaced before ``begin``; in the thread that writes."""
        self._contents.purge(written.unused)
        self._synced_changes = written.changes
        before = self._catalog.connection.total_changes
        with self._catalog.transaction():
            self._catalog.settled(written.replaced)
            self._catalog.note("synced", written.at)
            self._catalog.note("synced_before", written.before)
        self._synced_changes += self._catalog.connection.total_changes - before

    def stop(self) -> None:
        """End ``sweep`` early."""
        self._stop.set()

    def sweep(self) -> int:
        """Remove files that an earlier process left without a row; in another thread.

        What is removed must have no row on the disk either: rows are read first, then brought to the disk.

        Returns:
            how many files it removed.
        """
        with closing(connect(self._database)) as connection:
            named = array("Q", named_files(connection))
        _syncfs(self._folder)
        return self._contents.sweep(named, self._stop)

    def drop_what_is_not_whole(self) -> list[bytes]:
        """After a restart of the machine: drop objects and parts whose bytes had not all reached the disk; a key
        that had an earlier object has that one again.

        What had reached it is never dropped: where such bytes are missing, something else took them, and may bring them
        back.

        Returns:
            keys whose newest object it dropped.

        Raises:
            InputError: the files cannot be looked at, or none of those is there that had reached the disk (the disk of
                the contents is not mounted, say); nothing is dropped.
        """
        boot = _boot()
        if self._catalog.noted("boot") in (0, boot):
            self._note(boot)
            return []
        kept, objects, parts = self._not_whole()
        with self._catalog.transaction() as connection:
            for bucket, key in objects:
                earlier = self._catalog.fall_back(bucket, key, self._whole)
                become = "its earlier object is back" if earlier else "it is dropped"
                log.error("the machine stopped before %r was on the disk: %s", key, become)
            connection.executemany("DELETE FROM parts WHERE upload = ? AND number = ?", parts)
            self._note(boot)
        for key in kept:
            log.error(
                "bytes of %r are missing, though they were on the disk: reading it fails until they are back", key
            )
        return [key for _, key in objects]

    def _whole(self, stored: Stored) -> bool:
        return all(self._contents.holds(number, size) for number, size in stored.files())

    def _not_whole(self) -> tuple[list[bytes], list[tuple[int, bytes]], list[tuple[str, int]]]:
        """Rows whose bytes are not all there: objects that had reached the disk, and objects and parts that had not."""
        kept: list[bytes] = []
        objects: list[tuple[int, bytes]] = []
        parts: list[tuple[str, int]] = []
        # Objects that were taken over keep an earlier time: the numbers of their files tell when they came.
        synced, before = self._catalog.noted("synced") - CLOCK_MS, self._catalog.noted("synced_before")
        connection, known = self._catalog.connection, 0
        try:
            for bucket, key, file, size, packed, modified in connection.execute(
                "SELECT bucket, key, file, size, parts, modified FROM objects"
            ):
                pieces = [(number, length) for number, length in unpacked(packed) or [(file, size)]]
                whole = all(self._contents.holds(number, length) for number, length in pieces)
                reached = modified < synced and max(number for number, _ in pieces) < before
                known += reached
                if not whole and reached:
                    kept.append(key)
                elif not whole:
                    objects.append((bucket, key))
            for upload, number, file, size, modified in connection.execute(
                "SELECT upload, number, file, size, modified FROM parts"
            ):
                if not self._contents.holds(file, size) and not (modified < synced and file < before):
                    parts.append((upload, number))
        except OSError as error:
            raise InputError(f"the objects of the embedded store cannot be looked at: {error}.", _TO_DO) from error
        if kept and len(kept) == known:
            raise InputError(
                f"none of the {known} objects is there that the embedded store had brought to the disk.", _TO_DO
            )
        return kept, objects, parts

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
