"""The process that looks for metric values in a job's log: ``python -m launcher.local.executors.metricsearch``.

A user's regular expression can compute for ever, and holds the interpreter while it does. It therefore runs here and
nowhere else, under limits of the system: one definition that takes more than ``SEARCH_SECONDS`` of processor time for
one batch of lines ends this process, and whoever started it (``metricscan``) starts another without that definition.

Only the last value of a metric counts (contract 115), so what is new in the log is read from its end backwards, and
each definition is done at its first match: a job may write faster than its log could be searched.

stdin: one line of JSON (``Order``); its end says that the log is complete. stdout: lines of JSON, see ``_say``.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

SEARCH_SECONDS = 2
MEMORY_BYTES = 1 << 30
BATCH_BYTES = 64 * 1024
POLL_SECONDS = 0.5
# After the end of the log, or of whoever waits for the values.
FINISH_SECONDS = 30
NOTHING = 0xFF


@dataclass(frozen=True)
class Order:
    """What to look for, and where.

    Args:
        expressions: regular expressions by the number of their definition.
        log_file: the stream's file, which need not exist yet; None to look at the expressions only.
        start: byte offset in it from which to read.
        current: descriptor of a file whose first byte says which definition is being worked on.
    """

    expressions: dict[int, str]
    log_file: str | None
    start: int
    current: int

    @classmethod
    def read(cls, line: str) -> Order:
        """The order that a line holds."""
        fields = json.loads(line)
        fields["expressions"] = {int(number): text for number, text in fields["expressions"].items()}
        return cls(**fields)

    def written(self) -> bytes:
        """The line that holds it."""
        return json.dumps(asdict(self)).encode() + b"\n"


class Search:
    """The definitions at work.

    Args:
        order: what to look for.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._expressions: dict[int, re.Pattern[str]] = {}
        for number, text in order.expressions.items():
            self._limit(number)
            try:
                self._expressions[number] = re.compile(text)
            except (re.error, OverflowError, RecursionError, MemoryError, ValueError) as error:
                _say(refused=number, why=str(error) or type(error).__name__)

    def follow(self, log_file: str) -> None:
        """Look at what is new in the log until it is complete."""
        mark = self._order.start
        complete = False
        while not complete:
            complete = _complete(POLL_SECONDS)
            if complete:
                signal.alarm(FINISH_SECONDS)
            try:
                file = os.open(log_file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                end = last_line_end(file, mark)
                if end > mark and self._look(file, mark, end, complete):
                    mark = end
                    _say(mark=mark)
            finally:
                os.close(file)

    def _look(self, file: int, start: int, end: int, complete: bool) -> bool:
        """Look through a part of the log; False when it was left because more has come and is the last."""
        wanted = set(self._expressions)
        for batch in backwards(file, start, end):
            lines = batch.decode("utf-8", "replace").split("\n")[:-1]
            parted = [line.partition(" ") for line in reversed(lines)]
            for number in sorted(wanted):
                self._limit(number)
                if (found := self._newest(number, parted)) is not None:
                    wanted.discard(number)
                    _say(found=number, value=found[0], at=found[1])
            wanted &= self._expressions.keys()
            if not wanted:
                return True
            if not complete and _complete(0):
                return False
        return True

    def _newest(self, number: int, lines: list[tuple[str, str, str]]) -> tuple[float, float] | None:
        """The first number that an expression finds in lines, the newest of which comes first, and its time."""
        expression = self._expressions[number]
        search, group = expression.search, 1 if expression.groups else 0
        try:
            for stamp, _, message in lines:
                if (match := search(message)) is None:
                    continue
                try:
                    value = float(match.group(group))
                except (TypeError, ValueError):
                    continue
                # The API's numbers know neither NaN nor infinity.
                if math.isfinite(value):
                    return value, _seconds(stamp)
        except (MemoryError, RecursionError) as error:
            del self._expressions[number]
            _say(refused=number, why=f"it needs too much memory ({type(error).__name__})")
        return None

    def _limit(self, number: int) -> None:
        """From now on, this definition is at work, and has its time."""
        os.pwrite(self._order.current, bytes((number,)), 0)
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + SEARCH_SECONDS, most))


def backwards(file: int, start: int, end: int) -> Iterator[bytes]:
    """Whole lines between two offsets, at both of which a line begins: the last lines first, some 64 KiB at a time."""
    position, rest = end, b""
    while position > start:
        size = min(BATCH_BYTES, position - start)
        position -= size
        data = os.pread(file, size, position) + rest
        cut = data.find(b"\n", 0, -1) + 1 if position > start else 0
        if cut == 0 and position > start:
            rest = data
            continue
        rest, data = data[:cut], data[cut:]
        yield data


def last_line_end(file: int, start: int) -> int:
    """The offset behind the last whole line; ``start`` where no line has ended after it."""
    position = os.fstat(file).st_size
    while position > start:
        size = min(BATCH_BYTES, position - start)
        position -= size
        if (found := os.pread(file, size, position).rfind(b"\n")) >= 0:
            return position + found + 1
    return start


def _seconds(stamp: str) -> float:
    """A line's time; where a writer was killed in the middle of a line, what stands in front is none."""
    return int(stamp) / 1000 if stamp.isdecimal() and len(stamp) < 17 else time.time()


def _complete(seconds: float) -> bool:
    """Whether stdin ends within so many seconds."""
    return bool(select.select([0], [], [], seconds)[0])


def _say(**fields: object) -> None:
    """One of: ``refused``, a definition that is no expression, and ``why``; ``found``, with ``value`` and ``at``, the
    seconds since 1970; ``mark``, up to where the log has been looked through."""
    os.write(1, json.dumps(fields).encode() + b"\n")


def _first_line() -> str:
    line = bytearray()
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            raise EOFError
        line += byte
    return line.decode()


def main() -> int:
    """Carry out the order on stdin."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    order = Order.read(_first_line())
    search = Search(order)
    os.pwrite(order.current, bytes((NOTHING,)), 0)
    if order.log_file is not None:
        search.follow(order.log_file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
