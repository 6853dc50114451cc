"""RecordIO and TFRecord as records (contract 141): several a request keep their framing, one a request loses it.

RecordIO (MXNet's): a magic number, then 3 bits that say which part of a record this is and 29 bits of length, both
little-endian, the data, zeros up to a multiple of four. The parts of a record are what stood between magic numbers in
its data. TFRecord: 8 bytes of length and their masked CRC-32C, the data and its own, all little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.record_stream import Numbers, too_large

MAGIC = struct.pack("<I", 0xCED7230A)
# Which part of a record: all of it, its first, one between, its last.
WHOLE, FIRST, MIDDLE, LAST = range(4)
TF_HEAD, TF_TAIL = 12, 4
_TABLE: list[int] = []

# A record found at a place: where it ends, and the ranges of its data. None when more bytes are needed.
Found = tuple[int, tuple[tuple[int, int], ...]] | None
Finder = Callable[[bytes | bytearray, int], Found]


@dataclass(frozen=True, slots=True)
class Frames:
    """A block of framed records.

    Args:
        data: all of them.
        spans: of each, where it ends and the ranges of its data.
        first: number of the first, counted from 1.
    """

    noun = "record"

    data: bytes
    spans: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    first: int

    @property
    def originals(self) -> bytes:
        """The records as they lie in the input object."""
        return self.data

    @property
    def count(self) -> int:
        """How many records the block holds."""
        return len(self.spans)

    @property
    def numbers(self) -> Numbers:
        """The records' numbers in their object, counted from 0."""
        return Numbers(((0, self.first),))

    def cut(self, room: int) -> tuple[Frames | None, Frames | None]:
        """The block in two, the first of at most ``room`` bytes; either may be None."""
        if len(self.data) <= room:
            return self, None
        count = sum(end <= room for end, _ in self.spans)
        if not count:
            return None, self
        at = self.spans[count - 1][0]
        moved = tuple(
            (end - at, tuple((start - at, stop - at) for start, stop in ranges)) for end, ranges in self.spans[count:]
        )
        head = Frames(self.data[:at], self.spans[:count], self.first)
        return head, Frames(self.data[at:], moved, self.first + count)

    def records(self) -> list[bytes]:
        """The content of each record, without RecordIO's frames."""
        return [MAGIC.join(self.data[start:stop] for start, stop in ranges) for _, ranges in self.spans]

    def original_records(self) -> list[bytes]:
        """As ``records``: a frame carries nothing that an output would need."""
        return self.records()


def frame_blocks(chunks: Iterator[bytes], find: Finder, limit: int | None) -> Iterator[Frames]:
    """Cut a stream into blocks of framed records.

    Args:
        chunks: the stream.
        find: ``recordio`` or ``tfrecord``.
        limit: bytes that a record may have; None for any number.

    Raises:
        RecordFault: the stream is not framed so, ends within a record, or a record is too large.
    """
    number, data = 1, bytearray()
    for chunk in chunks:
        data += chunk
        spans, at = [], 0
        try:
            while at < len(data) and (found := find(data, at)) is not None:
                spans.append(found)
                at = found[0]
        except ValueError as error:
            raise RecordFault(f"record {number + len(spans)}: {error}") from error
        if spans:
            yield Frames(bytes(data[:at]), tuple(spans), number)
            number += len(spans)
            del data[:at]
        if limit is not None and len(data) > limit + TF_HEAD + TF_TAIL:
            raise too_large(Frames.noun, number, limit)
    if data:
        raise RecordFault(f"record {number}: the object ends in the middle of it")


def recordio(data: bytes | bytearray, start: int) -> Found:
    """The RecordIO record that starts at a place.

    Raises:
        ValueError: there is none.
    """
    at, ranges = start, list[tuple[int, int]]()
    while True:
        if len(data) - at < 8:
            return None
        if data[at : at + 4] != MAGIC:
            raise ValueError("SplitType is RecordIO, and its magic number is missing")
        word = int.from_bytes(data[at + 4 : at + 8], "little")
        part, length = word >> 29, word & (1 << 29) - 1
        if part > LAST or (part in (MIDDLE, LAST)) != bool(ranges):
            raise ValueError("SplitType is RecordIO, and the parts of a record are not in order")
        end = at + 8 + length
        ranges.append((at + 8, end))
        at = end + -length % 4
        if at > len(data):
            return None
        if part in (WHOLE, LAST):
            return at, tuple(ranges)


def tfrecord(data: bytes | bytearray, start: int) -> Found:
    """The TFRecord that starts at a place; the CRC of its data is the reader's to check.

    Raises:
        ValueError: there is none.
    """
    if len(data) - start < TF_HEAD:
        return None
    length, checksum = struct.unpack_from("<QI", data, start)
    if checksum != _masked_crc(data[start : start + 8]):
        raise ValueError("SplitType is TFRecord, and the checksum of its length is wrong")
    end = start + TF_HEAD + length
    return (end + TF_TAIL, ((start + TF_HEAD, end),)) if end + TF_TAIL <= len(data) else None


def _masked_crc(data: bytes | bytearray) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes | bytearray) -> int:
    """CRC-32C (Castagnoli) of a few bytes."""
    if not _TABLE:
        for byte in range(256):
            for _ in range(8):
                byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
            _TABLE.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
