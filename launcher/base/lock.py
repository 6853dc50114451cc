"""A lock between processes: one at a time has a file to itself, and however it ends, its lock ends with it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from batchrl.contract.files import PRIVATE_FILE


class Lock:
    """A lock that this process holds; as a context, until the end of the block.

    Args:
        handle: the open file.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def note(self, text: str) -> None:
        """Have the file say something to those who find it locked."""
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, text.encode(), 0)

    def fileno(self) -> int:
        """The open file, for a program that inherits it and with it the lock."""
        return self._handle

    def is_of(self, path: Path) -> bool:
        """Whether the file of a path is the one that is locked; it may have been removed, and made again."""
        try:
            return os.path.samestat(os.fstat(self._handle), path.stat())
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._handle)


def take(path: Path, mode: int = PRIVATE_FILE) -> Lock | None:
    """Take the lock of a file; None where another process, or another part of this one, holds it.

    Args:
        path: the file; made if need be, and left when the lock ends.
        mode: who may read and write a file that is made.

    Raises:
        OSError: the file cannot be opened.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        hold(handle)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return Lock(handle)


def hold(handle: int) -> None:
    """Lock an open file, until it is closed by all that have it open.

    Raises:
        BlockingIOError: it is locked already.
        OSError: it cannot be locked.
    """
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
