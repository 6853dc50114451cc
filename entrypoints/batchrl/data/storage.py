"""Where arrays lie: in memory, or in files of a scratch folder that are mapped into it.

A mapped array is backed by a file without a name, in the system's temporary folder (``TMPDIR``): the kernel writes it
out and reads it back as it sees fit, and it is gone with its last user, however that one ended.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from batchrl.contract.errors import InputError

Array = NDArray[Any]
Kind = Literal["auto", "memory", "mapped"]

# From so many bytes on "auto" maps.
AUTO_BYTES = 1024**3
# Rows that are looked at in one go: large enough for vectors, small enough for any memory.
CHUNK_ROWS = 1 << 18


def chunks(length: int) -> Iterator[tuple[int, int]]:
    """``(start, stop)`` of the pieces in which rows are worked through."""
    return ((start, min(start + CHUNK_ROWS, length)) for start in range(0, length, CHUNK_ROWS))


def taken(values: Array, rows: NDArray[np.int64] | slice) -> Array:
    """Some rows: a view of a slice, else a copy. ``take`` is eight times as fast as an index for rows of few cells."""
    return values[rows] if isinstance(rows, slice) else np.take(values, rows, axis=0)


def is_mapped(array: Array) -> bool:
    """Whether an array, or what it is a view of, lies in a mapped file."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return isinstance(base, mmap.mmap)


class Storage:
    """Makes arrays, all of one kind.

    Args:
        kind: as the setting ``data.storage``.
    """

    def __init__(self, kind: Kind) -> None:
        self.mapped = kind == "mapped"
        self._undecided = kind == "auto"
        self._bytes = 0
        self._columns: list[Column] = []

    @classmethod
    def like(cls, array: Array) -> Storage:
        """Storage of the kind that an array lies in."""
        return cls("mapped" if is_mapped(array) else "memory")

    def column(self) -> Column:
        """A new array that grows by blocks of rows."""
        column = Column(self)
        self._columns.append(column)
        return column

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """A new array with no particular content.

        Raises:
            InputError: there is no room for it.
        """
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        with out_of_room(size):
            if not self.mapped or size == 0:
                return np.empty(shape, dtype)
            with _scratch_file() as file:
                # Pages that a full disk has no room for would otherwise end the process when they are written.
                os.posix_fallocate(file.fileno(), 0, size)
                return _map(file, shape, dtype)

    def grew(self, size: int) -> None:
        """Count the bytes of a block; the block after which "auto" is large moves all columns into files."""
        self._bytes += size
        if self._undecided and self._bytes >= AUTO_BYTES:
            self._undecided, self.mapped = False, True
            for column in self._columns:
                column.move_to_file()


class Column:
    """An array that grows by blocks of rows of one shape and type; see ``Storage.column``."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._blocks: list[Array] = []
        self._file: IO[bytes] | None = None
        self._like: Array | None = None
        self._rows = 0

    def append(self, block: Array) -> None:
        """Add rows.

        Args:
            block: ``[m, ...]``; kept as it is, so it must not be changed afterwards.

        Raises:
            InputError: there is no room for them.
        """
        self._like = block[:0]
        self._rows += len(block)
        self._blocks.append(block)
        if self._storage.mapped:
            self.move_to_file()
        self._storage.grew(block.nbytes)

    def move_to_file(self) -> None:
        """Write what is still in memory."""
        if not self._blocks:
            return
        with out_of_room(sum(block.nbytes for block in self._blocks)):
            if self._file is None:
                self._file = _scratch_file()
            for block in self._blocks:
                self._file.write(np.ascontiguousarray(block).data)
        self._blocks.clear()

    def finish(self) -> Array:
        """The whole array, ``[M, ...]``, of at least one row; nothing can be added after that."""
        assert self._like is not None, "a column of no rows has no shape"
        if self._file is None:
            whole = self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
            self._blocks.clear()
            # Memory of others, such as Arrow's, is not to be written to: torch warns of such arrays.
            return whole if whole.flags.writeable and whole.flags.c_contiguous else whole.copy()
        with out_of_room(0), self._file as file:
            file.flush()
            return _map(file, (self._rows, *self._like.shape[1:]), self._like.dtype)


def _scratch_file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="batchrl-data-")


def _map(file: IO[bytes], shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    # Shared with the file, and so no part of what limits of memory count.
    mapping = mmap.mmap(file.fileno(), int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
    return np.frombuffer(mapping, dtype).reshape(shape)


@contextmanager
def out_of_room(size: int, folder: Path | None = None) -> Iterator[None]:
    """Say in our words that disk or memory is full.

    Args:
        size: bytes that were wanted; 0 where that is not known.
        folder: where they were to be written, where that is not the scratch folder.

    Raises:
        InputError: it was.
    """
    wanted = f"{size / 1e6:.1f} MB" if size else "all"
    try:
        yield
    except MemoryError:
        raise InputError(f"there is no memory for {wanted} of data.", "Set data.storage to mapped.") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM):
            raise
        move = "choose another place" if folder else "let the environment's TMPDIR name a folder on a larger disk"
        raise InputError(
            f"there is no room for {wanted} of data in {folder or tempfile.gettempdir()}: {error.strerror}.",
            f"Free some space, or {move}.",
        ) from error
