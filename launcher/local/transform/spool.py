"""Bodies of requests and answers: in memory while there is room, in unnamed files when there is not.

That bounds the memory of a job whatever its payloads: a hundred MiB a request, or an object of any size in one.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

# All bodies of this process together (bytes).
HELD_BYTES = 64 * 1024 * 1024


class Memory:
    """Bytes that several threads may hold at once.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = HELD_BYTES) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Reserve bytes; False where that many are not left."""
        with self._lock:
            if granted := count <= self._left:
                self._left -= count
            return granted

    def give(self, count: int) -> None:
        """Return what was taken."""
        with self._lock:
            self._left += count


SHARED = Memory()


class Spool:
    """Chunks in the order in which they were appended; may be read more than once, also by several threads.

    Args:
        memory: where it takes its bytes from.
    """

    def __init__(self, memory: Memory = SHARED) -> None:
        self.size = 0
        self.held = 0  # bytes of it in memory
        self._memory = memory
        self._chunks: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._lengths: list[int] = []

    def append(self, chunk: bytes) -> None:
        """Add a chunk.

        Raises:
            OSError: there is no room, neither in memory nor on disk.
        """
        if self._file is None and self._memory.take(len(chunk)):
            self.held += len(chunk)
            self._chunks.append(chunk)
        else:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - close() closes it
            self._file.write(chunk)
            self._lengths.append(len(chunk))
        self.size += len(chunk)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        if self._file is not None:
            at = 0
            for length in self._lengths:
                yield os.pread(self._file.fileno(), length, at)
                at += length

    def close(self) -> None:
        """Let go of memory and disk; it holds nothing from then on."""
        self._memory.give(self.held)
        self.held, self._chunks, self._lengths = 0, [], []
        if self._file is not None:
            self._file.close()
            self._file = None

    __del__ = close
