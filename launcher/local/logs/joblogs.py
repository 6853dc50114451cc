"""The log stream of a job: a file that only grows, one line an event.

A line is ``<milliseconds since 1970> <message>\\n`` in UTF-8. Timestamps never go back within a stream. The tokens of
GetLogEvents are byte offsets of lines, so that reading on costs nothing however long the file has become. Messages
longer than CloudWatch takes (256 KB) are split.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_MESSAGE_BYTES = 256 * 1024
MAX_PAGE_BYTES = 1024 * 1024
MAX_PAGE_EVENTS = 10_000

# Holds a whole page and, whatever it starts in the middle of, at least one whole line.
_WINDOW_BYTES = MAX_PAGE_BYTES + MAX_MESSAGE_BYTES + 64
# What is looked at first where one line is wanted, which is mostly short.
_GLANCE_BYTES = 4096


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class LogEvent:
    """One line of a log.

    Args:
        timestamp: milliseconds since 1970.
        message: the text without its line end.
        offset: where the line starts in the file, in bytes.
        end: where the next line starts.
    """

    timestamp: int
    message: str
    offset: int
    end: int


@dataclass(frozen=True)
class LogPage:
    """Events, the oldest first, and where to read on.

    Args:
        events: the events.
        forward: byte offset at which the next later page starts.
        backward: byte offset at which the next earlier page ends.
    """

    events: tuple[LogEvent, ...]
    forward: int
    backward: int


class StreamWriter:
    """Appends to a log stream; one writer a stream.

    A full disk keeps nobody from going on: lines that cannot be written are counted, and how many are missing is the
    first line that is written after them.

    Args:
        path: the stream's file; its folder is made. A line that an earlier writer left unfinished is closed.
        clock: milliseconds since 1970.

    Attributes:
        lost: lines that could not be written, and of which the log does not tell yet.
        why: why they could not.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = now_ms) -> None:
        self.lost = 0
        self._path = path
        self._clock = clock
        self._partial = b""
        self._latest = 0
        self._file: int | None = None
        self._torn = True
        self.why = ""
        self._write(b"")

    def write(self, message: str) -> None:
        """Append one message; one that holds newlines becomes several events."""
        self._append(message.encode("utf-8", "replace") + b"\n")

    def feed(self, chunk: bytes) -> None:
        """Append the whole lines that a chunk of raw output completes; the rest waits for more, or for ``flush``."""
        whole, end, rest = chunk.rpartition(b"\n")
        if end:
            self._append(self._partial + whole + end)
            self._partial = rest
        else:
            self._partial += rest
        if len(self._partial) >= MAX_MESSAGE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Append output that has not ended its line."""
        rest, self._partial = self._partial, b""
        if rest:
            self._append(rest + b"\n")

    def close(self) -> None:
        """Append what is left and close the file."""
        self.flush()
        self._write(b"")  # if lines are missing, it is told now
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, lines: bytes) -> None:
        """Append whole lines, in one write: a million of them cost no more than a few thousand writes."""
        self._latest = max(self._latest, self._clock())
        stamp = b"%d " % self._latest
        text = _valid(lines.replace(b"\r\n", b"\n"))
        if len(text) > MAX_MESSAGE_BYTES:
            text = b"".join(piece + b"\n" for line in text[:-1].split(b"\n") for piece in _pieces(line))
        self._write(stamp + text[:-1].replace(b"\n", b"\n" + stamp) + b"\n")

    def _write(self, content: bytes) -> None:
        """Append lines of the file; those that cannot be written are counted."""
        written = 0
        try:
            file = self._whole()
            if self.lost:
                told = f"batchrl: {self.lost:,} lines of the log are missing here: {self.why}"
                _write_all(file, b"%d %s\n" % (max(self._latest, self._clock()), told.encode()))
                self.lost = 0
            view = memoryview(content)
            while written < len(content):
                written += os.write(file, view[written:])
        except OSError as error:
            self._torn = True
            self.lost += content.count(b"\n", written)
            self.why = error.strerror or str(error)

    def _whole(self) -> int:
        """The open file; what was left unfinished in it, by another writer or on a full disk, is closed."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            last = LogReader(self._path).last()
            self._latest = max(self._latest, last.timestamp if last else 0)
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._torn:
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                _write_all(self._file, b"\n")
            self._torn = False
        return self._file


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]


def _valid(text: bytes) -> bytes:
    """Text in UTF-8; what is none is replaced."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace").encode()
    return text


def _pieces(message: bytes) -> Iterator[bytes]:
    """A message in parts that CloudWatch would take, cut between characters."""
    while len(message) > MAX_MESSAGE_BYTES:
        cut = MAX_MESSAGE_BYTES
        while message[cut] & 0xC0 == 0x80:
            cut -= 1
        yield message[:cut]
        message = message[cut:]
    yield message


class LogReader:
    """Reads a log stream while it is written; a line counts once it is whole.

    Args:
        path: the stream's file; one that does not exist reads as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def first(self) -> LogEvent | None:
        """The oldest event."""
        looks = (self._after(0, window, 1) for window in (_GLANCE_BYTES, _WINDOW_BYTES))
        return next((events[0] for events in looks if events), None)

    def last(self) -> LogEvent | None:
        """The newest event."""
        end = self._size()
        looks = (self._before(end, window) for window in (_GLANCE_BYTES, _WINDOW_BYTES))
        return next((events[-1] for events in looks if events), None)

    def seek(self, timestamp: int) -> int:
        """Byte offset of a line before which every event is older than a timestamp: a bisection, not a scan."""
        low, high = 0, self._size()
        while high - low > _WINDOW_BYTES:
            middle = (low + high) // 2
            event = next(iter(self._after(self._line_start(middle), limit=1)), None)
            if event is not None and event.timestamp < timestamp:
                low = event.offset
            else:
                high = middle
        return low

    def forward(
        self, offset: int, limit: int = MAX_PAGE_EVENTS, since: int | None = None, until: int | None = None
    ) -> LogPage:
        """The page that starts at a byte offset.

        Args:
            offset: as a token gave it; 0 is the head.
            limit: most events in the page.
            since: earliest timestamp, in milliseconds, included.
            until: latest timestamp, in milliseconds, excluded.
        """
        taken: list[LogEvent] = []
        position, budget = offset, MAX_PAGE_BYTES
        enough = limit + 1 if since is None and until is None else -1
        while events := self._after(position, limit=enough):
            for event in events:
                if _within(event, since, until):
                    budget -= event.end - event.offset
                    if len(taken) == limit or (taken and budget < 0):
                        return LogPage(tuple(taken), event.offset, taken[0].offset)
                    taken.append(event)
                position = event.end
        return LogPage(tuple(taken), position, taken[0].offset if taken else offset)

    def backward(
        self, end: int | None, limit: int = MAX_PAGE_EVENTS, since: int | None = None, until: int | None = None
    ) -> LogPage:
        """The page that ends at a byte offset; ``None`` is the tail. The other arguments are those of ``forward``."""
        end = self._size() if end is None else end
        taken: list[LogEvent] = []
        newest = self._before(end)
        # Not simply the end: the last line may be half written.
        forward = newest[-1].end if newest else 0
        position, budget = forward, MAX_PAGE_BYTES
        while events := self._before(position):
            for event in reversed(events):
                if _within(event, since, until):
                    budget -= event.end - event.offset
                    if len(taken) == limit or (taken and budget < 0):
                        return LogPage(tuple(reversed(taken)), taken[0].end, taken[-1].offset)
                    taken.append(event)
                position = event.offset
        forward = taken[0].end if taken else forward
        return LogPage(tuple(reversed(taken)), forward, taken[-1].offset if taken else position)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _read(self, offset: int, count: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read(count)
        except FileNotFoundError:
            return b""

    def _line_start(self, offset: int) -> int:
        """Where the first line at or after a byte offset starts."""
        data = self._read(max(0, offset - 1), _WINDOW_BYTES)
        return offset - 1 + data.find(b"\n") + 1 if offset else 0

    def _after(self, offset: int, window: int = _WINDOW_BYTES, limit: int = -1) -> list[LogEvent]:
        """Whole lines of the window that starts at ``offset``, at most ``limit`` of them."""
        data = self._read(offset, window)
        return _parse(data[: data.rfind(b"\n") + 1], offset, limit)

    def _before(self, end: int, window: int = _WINDOW_BYTES) -> list[LogEvent]:
        """Whole lines of the window that ends at ``end``."""
        start = max(0, end - window)
        data = self._read(start, end - start)
        if start:
            skipped = data.find(b"\n") + 1
            start, data = start + skipped, data[skipped:]
        return _parse(data[: data.rfind(b"\n") + 1], start)


def _within(event: LogEvent, since: int | None, until: int | None) -> bool:
    return (since is None or event.timestamp >= since) and (until is None or event.timestamp < until)


def _parse(data: bytes, offset: int, limit: int = -1) -> list[LogEvent]:
    events: list[LogEvent] = []
    latest = 0
    for line in data.split(b"\n", limit)[:-1]:
        stamp, separator, message = line.partition(b" ")
        if separator and stamp.isdigit():
            latest = int(stamp)
        else:  # what a writer that was killed in the middle of a line left
            message = line
        end = offset + len(line) + 1
        events.append(LogEvent(latest, message.decode("utf-8", "replace"), offset, end))
        offset = end
    return events
