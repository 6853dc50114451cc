"""Files that others watch: how one is written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# What is written as JSON or as a checkpoint: values by key.
State = dict[str, Any]


# Whoever writes a file that others watch writes it under this name first, and renames it when it is whole.
TEMPORARY_SUFFIX = ".tmp"
PRIVATE_FILE = 0o600
# What a full disk, or a used up quota, answers.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def whole_file(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """A name beside a file to write its content under: the file has it at the end of the block, or stands as it was.

    Args:
        path: the file; its folder exists.
        shared: whether other processes may write it at the same time: the name is then of this process alone, else what
            a process that was killed left there is written over by the next.

    Raises:
        OSError: the file cannot take its name. As after any fault in the block, what was written is removed.
    """
    own = f".{os.getpid()}" if shared else ""
    temporary = path.with_name(f"{path.name}{own}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_atomically(
    path: Path, content: bytes | str, *, shared: bool = False, synced: bool = False, private: bool = False
) -> None:
    """Write a file: readers see the old content or the new one.

    Args:
        path: the file; its folder exists.
        content: all of it; text in UTF-8.
        shared: as in ``whole_file``.
        synced: whether the content is on disk before the file has its name, so that a power loss is no worse.
        private: whether its owner alone may read it, from the beginning.

    Raises:
        OSError: the disk is full or the folder not writable; the old file stands.
    """
    with whole_file(path, shared=shared) as temporary:
        if private:  # one that a killed process left would keep its mode
            temporary.unlink(missing_ok=True)
        with open(temporary, "xb" if private else "wb", opener=_private if private else None) as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if synced:
                file.flush()
                os.fsync(file.fileno())


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, PRIVATE_FILE)


def file_sha256(path: Path) -> str:
    """Digest of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
