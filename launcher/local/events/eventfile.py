"""The event file of a job: a JSON object a line, ``{"time": <seconds since 1970>, "kind": ..., <fields>}``.

It only grows, up to ``MAX_BYTES``. Writing never fails a job: what cannot be written (a full disk, no descriptor) is
counted, and the count is the next thing that is written. What the file says of itself:

======================  =====================================================================
``limit_reached``       three quarters are full: kinds that come often are left out
``events_dropped``      so many events are missing here
======================  =====================================================================

Shim and API server may both write: each line is one write at the end of the file. A line that was torn, because its
writer was killed or the disk was full, is closed by whoever writes next, and passed over by the reader.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from launcher.local.events.kinds import KINDS, Event, EventsDropped, LimitReached

MAX_BYTES = 1024 * 1024
FREQUENT_BYTES = MAX_BYTES * 3 // 4
MAX_TEXT = 2000


@dataclass(frozen=True)
class Recorded:
    """One event of a file.

    Args:
        time: seconds since 1970.
        event: what happened.
    """

    time: float
    event: Event


class EventFile:
    """Adds events to a job's file; safe to use from several threads.

    Args:
        path: the file; it is made with the first event, for this user alone.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._dropped = 0
        self._reason = ""

    def add(self, event: Event) -> None:
        """Write one event; nothing is raised, whatever the disk says."""
        at = self._clock()
        with self._lock:
            try:
                self._write(at, event)
            except (OSError, ValueError, TypeError) as error:
                self._dropped += 1
                self._reason = str(getattr(error, "strerror", None) or error)

    def _write(self, at: float, event: Event) -> None:
        """Open, write, close: a few dozen times in the life of a job, and no descriptor is held meanwhile."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.open(self._path, flags, 0o600)
        try:
            size = os.fstat(file).st_size
            lines = b"" if not size or os.pread(file, 1, size - 1) == b"\n" else b"\n"
            if self._dropped:
                lines += _line(at, EventsDropped(self._dropped, self._reason))
            if event.frequent and size >= FREQUENT_BYTES:
                return
            lines += _line(at, event)
            if size < FREQUENT_BYTES <= size + len(lines):
                lines += _line(at, LimitReached(MAX_BYTES))
            if size + len(lines) > MAX_BYTES:
                return
            if os.write(file, lines) != len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._dropped = 0
        finally:
            os.close(file)


def read(path: Path) -> Sequence[Recorded]:
    """The events of a file, as they came; none where there is no file.

    Lines that are torn, of an unknown kind or without the fields of their kind are passed over: another version, or
    nobody of ours, wrote them.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES)
    except OSError:
        return ()
    return [one for line in content.split(b"\n") if (one := _parsed(line)) is not None]


def _line(at: float, event: Event) -> bytes:
    content = {"time": round(at, 3), "kind": event.kind} | {name: _kept(value) for name, value in asdict(event).items()}
    return json.dumps(content, allow_nan=False).encode() + b"\n"


def _kept(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_TEXT].encode("utf-8", "backslashreplace").decode()
    return round(value, 3) if isinstance(value, float) else value


def _parsed(line: bytes) -> Recorded | None:
    try:
        content = json.loads(line)
        at, kind = float(content["time"]), KINDS[content["kind"]]
        values: dict[str, Any] = {}
        for field in fields(kind):
            if field.name in content:
                values[field.name] = _typed(content[field.name], str(field.type))
            elif field.default is MISSING:
                return None
        return Recorded(at, kind(**values))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _typed(value: Any, annotation: str) -> Any:
    """A value of the file as its field's type.

    Raises:
        TypeError, ValueError: it is none.
    """
    if value is None and annotation.endswith("| None"):
        return None
    if annotation.startswith("str") and isinstance(value, str):
        return value
    if annotation == "bool" and isinstance(value, bool):
        return value
    if annotation in ("int", "float") and isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if annotation == "int" else float(value)
    raise TypeError(f"{value!r} is no {annotation}")
