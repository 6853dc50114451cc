"""Contents of objects: files that are named by a number and never changed once they are written.

A file is written under its final name: nobody knows that number before the row that names it is committed, so there is
nothing to rename, and a reader either finds the old row with the old file or the new row with the new one. A file that
no row names any more is removed once nobody reads it, and once the rows that replaced it have reached the disk.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import os
import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from launcher.local.store.wire import Slices

SHARDS = 256
READ_BYTES = 256 * 1024


class Contents:
    """The folder of contents.

    Args:
        folder: the folder; made if need be.
        first: the first number that is free.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self._folder = folder
        self._prefix = str(folder)
        self._first = first
        self._next = itertools.count(first)
        self._read: Counter[int] = Counter()
        self._unused: list[int] = []
        self._condemned: set[int] = set()
        # Not what lies above it: a data folder that is removed meanwhile stays away.
        folder.mkdir(mode=0o700, exist_ok=True)
        for shard in range(SHARDS):
            (folder / f"{shard:02x}").mkdir(mode=0o700, exist_ok=True)

    def path(self, number: int) -> str:
        """Where a file lies."""
        return f"{self._prefix}/{number % SHARDS:02x}/{number:x}"

    def new(self) -> int:
        """A number that no file has."""
        return next(self._next)

    def create(self, number: int) -> int:
        """Open a new file for writing.

        Returns:
            its descriptor.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self.path(number), flags, 0o600)

    def open(self, number: int) -> int:
        """Open a file for reading.

        Returns:
            its descriptor.
        """
        return os.open(self.path(number), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def link(self, number: int) -> int:
        """The same content under another number; costs no space.

        Returns:
            the new number.
        """
        other = self.new()
        os.link(self.path(number), self.path(other), follow_symlinks=False)
        return other

    def holds(self, number: int, size: int) -> bool:
        """Whether a file is there with all its bytes.

        Raises:
            OSError: that cannot be told.
        """
        try:
            return os.lstat(self.path(number)).st_size == size
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def reading(self, slices: Slices) -> Iterator[None]:
        """Keep files from being removed while they are read."""
        numbers = [number for number, _, _ in slices.pieces]
        self._read.update(numbers)
        try:
            yield
        finally:
            for number in numbers:
                self._read[number] -= 1
                if not self._read[number]:
                    del self._read[number]
                    if number in self._condemned:
                        self._condemned.discard(number)
                        self._unlink(number)

    def forget(self, numbers: Iterable[int]) -> None:
        """Say that no row names these files any more."""
        self._unused += numbers

    def remove(self, number: int) -> None:
        """Remove a file that no row has ever named."""
        self._unlink(number)

    def take_unused(self) -> list[int]:
        """The files that were forgotten so far, for ``purge`` once the rows are safe on the disk."""
        unused, self._unused = self._unused, []
        return unused

    def purge(self, numbers: Iterable[int]) -> None:
        """Remove files that no row names; those that are being read go when their readers have gone."""
        for number in numbers:
            if number in self._read:
                self._condemned.add(number)
            else:
                self._unlink(number)

    def _unlink(self, number: int) -> None:
        Path(self.path(number)).unlink(missing_ok=True)

    def sweep(self, named: Iterable[int], stop: threading.Event) -> int:
        """Remove what an earlier process left without a row.

        Args:
            named: every file that a row names.
            stop: ends the sweep early.

        Returns:
            how many files it removed.
        """
        known = array("Q", sorted(named))
        removed = 0
        for shard in range(SHARDS):
            if stop.is_set():
                break
            with os.scandir(f"{self._prefix}/{shard:02x}") as entries:
                for entry in entries:
                    number = _number(entry.name)
                    if number is None or number >= self._first:
                        continue  # not ours, or of this process
                    at = bisect.bisect_left(known, number)
                    if (at == len(known) or known[at] != number) and number not in self._read:
                        self._unlink(number)
                        removed += 1
        return removed


def write_all(handle: int, data: bytes) -> None:
    """Write all of a piece: a disk that is nearly full takes some of it, and says so only the next time.

    Raises:
        OSError: it cannot be written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _number(name: str) -> int | None:
    try:
        return int(name, 16)
    except ValueError:
        return None
