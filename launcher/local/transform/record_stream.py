"""A stream of bytes as records (contract 137, 138, 146).

A line ends with a newline; a carriage return before it belongs to the record and is sent. A line without a character
is no record: it is skipped, and nothing in the output stands for it. The last line may lack its newline, and is sent
without. AWS says nothing about any of that (contract 146).

Records are cut out in blocks, by the last newline of a chunk; single lines are looked at only where one is asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from launcher.local.transform.outcome import RecordFault


@dataclass(frozen=True, slots=True)
class Numbers:
    """The line of each of some records, counted from 1; nearly always each is one after the other.

    Args:
        starts: index and line of each record whose line is not the one after its predecessor's.
    """

    starts: tuple[tuple[int, int], ...] = ((0, 1),)

    def __getitem__(self, index: int) -> int:
        at, line = self.starts[bisect_right(self.starts, index, key=lambda start: start[0]) - 1]
        return line + index - at

    def since(self, index: int) -> Numbers:
        """Those without the first ``index`` records."""
        later = [(at - index, line) for at, line in self.starts if at > index]
        return Numbers(((0, self[index]), *later))

    def then(self, count: int, other: Numbers) -> Numbers:
        """Those of ``count`` records and the ones after them."""
        more = [(at + count, line) for at, line in other.starts]
        if more[0][1] == self[count - 1] + 1:
            del more[0]
        return Numbers(self.starts + tuple(more))


class Block(Protocol):
    """Some whole records, one after another."""

    noun: str  # what a record is called in messages

    @property
    def data(self) -> bytes:
        """What is sent of them."""

    @property
    def originals(self) -> bytes:
        """The same as they stand in the object."""

    @property
    def count(self) -> int:
        """How many records the block holds."""

    @property
    def numbers(self) -> Numbers:
        """The records' numbers in their object, counted from 0."""

    def cut(self, room: int) -> tuple[Block | None, Block | None]:
        """As many of them as fit a number of bytes, and the rest; one of both may be None."""

    def records(self) -> list[bytes]:
        """What is sent of each, on its own."""

    def original_records(self) -> list[bytes]:
        """Each as it stands in the object."""


@dataclass(frozen=True, slots=True)
class Lines:
    """A block of lines, each with its newline, but perhaps for the object's last."""

    noun = "line"

    data: bytes
    originals: bytes
    count: int
    numbers: Numbers

    def cut(self, room: int) -> tuple[Lines | None, Lines | None]:
        """The block in two at a line's end, the first of at most ``room`` bytes; either may be None."""
        if len(self.data) <= room:
            return self, None
        end = self.data.rfind(b"\n", 0, room) + 1
        if end == 0:
            return None, self
        count = self.data.count(b"\n", 0, end)
        split = end if self.data is self.originals else _line_end(self.originals, count)
        head = self._part(self.data[:end], self.originals, slice(0, split), count, self.numbers)
        tail = self._part(
            self.data[end:], self.originals, slice(split, None), self.count - count, self.numbers.since(count)
        )
        return head, tail

    def _part(self, data: bytes, originals: bytes, part: slice, count: int, numbers: Numbers) -> Lines:
        return Lines(data, data if self.data is self.originals else originals[part], count, numbers)

    def records(self) -> list[bytes]:
        """The lines that are sent, without their newlines."""
        return split_lines(self.data)

    def original_records(self) -> list[bytes]:
        """The lines as they lie in the input object, without their newlines."""
        return split_lines(self.originals)


def split_lines(data: bytes) -> list[bytes]:
    """Lines with their newlines."""
    *whole, last = data.split(b"\n")
    lines = [line + b"\n" for line in whole]
    return [*lines, last] if last else lines


def _line_end(data: bytes, count: int) -> int:
    return sum(len(line) + 1 for line in data.split(b"\n", count)[:count])


def line_blocks(chunks: Iterator[bytes], limit: int | None) -> Iterator[Lines]:
    """Cut a stream into blocks of lines.

    Args:
        chunks: the stream.
        limit: bytes that a line may have; None for any number.

    Raises:
        RecordFault: a line is longer, as far as it shows while it is read: ``Payloads`` tells the others.
    """
    line, held, size = 1, list[bytes](), 0
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if end:
            data = b"".join([*held, chunk[:end]])
            held, size = [], 0
            yield from _without_blank_lines(data, line)
            line += data.count(b"\n")
        if end < len(chunk):
            held.append(chunk[end:])
            size += len(chunk) - end
        if limit is not None and size > limit:
            raise too_large(Lines.noun, line, limit)
    if held:
        yield from _without_blank_lines(b"".join(held), line)


def too_large(noun: str, number: int, limit: int) -> RecordFault:
    """The fault of a record that is larger than a request may be (contract 143)."""
    return RecordFault(
        f"{noun} {number}: it is larger than MaxPayloadInMB ({limit // 1024**2} MB = {limit:,} bytes). "
        "Raise MaxPayloadInMB (100 at most, 0 for any size) or make the record smaller"
    )


def _without_blank_lines(data: bytes, line: int) -> Iterator[Lines]:
    if not _may_have_blank_lines(data):
        yield Lines(data, data, data.count(b"\n") + (data[-1:] != b"\n"), Numbers(((0, line),)))
        return
    kept, starts, previous = list[bytes](), list[tuple[int, int]](), None
    for number, text in enumerate(split_lines(data), line):
        if text in (b"\n", b"\r\n", b"\r"):
            continue
        if previous is None or number != previous + 1:
            starts.append((len(kept), number))
        previous = number
        kept.append(text)
    if kept:
        whole = b"".join(kept)
        yield Lines(whole, whole, len(kept), Numbers(tuple(starts)))


def _may_have_blank_lines(data: bytes) -> bool:
    return data[:1] in (b"\n", b"\r") or b"\n\n" in data or b"\n\r" in data
