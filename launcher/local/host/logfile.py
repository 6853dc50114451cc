"""A log that processes append to and nobody reads for weeks: kept within bounds while they write."""

from __future__ import annotations

import os
from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024
KEPT_BYTES = 1024 * 1024


def keep_bounded(log: Path, limit: int = MAX_BYTES) -> bool:
    """Where a log has become too long, keep its end as ``<name>.1`` and begin anew; whether that was done.

    Whoever has it open for appending goes on in the same file. What is written at this very moment may be lost.
    """
    try:
        if log.stat().st_size <= limit:
            return False
        with log.open("r+b") as file:
            file.seek(-min(KEPT_BYTES, limit), os.SEEK_END)
            end = file.read().partition(b"\n")[2]
            former = log.with_name(f"{log.name}.1")
            with open(former, "wb", opener=_private) as kept:
                kept.write(end)
            file.truncate(0)
    except OSError:  # a full disk, or somebody has removed it: the next look decides
        return False
    return True


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, for a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return f"{log} is not there"
    return " | ".join(text.strip().splitlines()[-count:]) or f"{log} is empty"


def _private(path: str, flags: int) -> int:
    Path(path).unlink(missing_ok=True)
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o600)
