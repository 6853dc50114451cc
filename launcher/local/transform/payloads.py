"""Records as bodies of requests (contract 137 to 143).

One record a request: a line is sent with its newline, as the SDK's local mode does; a framed record without its frame.
Several: as many whole records as fit MaxPayloadInMB, never of two objects, the last request short; with MaxPayloadInMB
0 the whole object. Without a SplitType the object is one body, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from launcher.local.transform.framing import frame_blocks, recordio, tfrecord
from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.record_stream import Block, Numbers, line_blocks, too_large
from launcher.local.transform.settings import TransformSettings
from launcher.local.transform.spool import Spool

# Payloads of one record that are made at a time: records may be of a byte, and a payload weighs some hundred.
SINGLES = 2048


@dataclass(slots=True)
class Payload:
    """The body of one request.

    Args:
        body: what is sent, in chunks; may be read again.
        size: its bytes.
        originals: its records as they stand in the object, in chunks.
        count: number of records; 1 for an object that is not split.
        numbers: of their lines; a record is ``numbers[offset + index]``.
        offset: of the first.
        noun: what a record is called; empty for an object that is not split.
    """

    body: Iterable[bytes]
    size: int
    originals: Iterable[bytes]
    count: int = 1
    numbers: Numbers = field(default_factory=Numbers)
    offset: int = 0
    noun: str = ""

    def where(self, index: int | None = None) -> str:
        """Names a record, or all of them; of an object that is not split, no name for all."""
        if not self.noun:
            return "" if index is None else f"record {index + 1}"
        first = self.numbers[self.offset + (index or 0)]
        if index is not None or self.count == 1:
            return f"{self.noun} {first}"
        return f"{self.noun}s {first} to {self.numbers[self.offset + self.count - 1]}"

    def close(self) -> None:
        """Let go of memory and disk."""
        for part in (self.body, self.originals):
            if isinstance(part, Spool):
                part.close()


def blocks(chunks: Iterator[bytes], settings: TransformSettings) -> Iterator[Block]:
    """The records of a stream.

    Raises:
        RecordFault: they are not of that SplitType.
    """
    limit = settings.max_payload_bytes
    if settings.split == "Line":
        return line_blocks(chunks, limit)
    return frame_blocks(chunks, recordio if settings.split == "RecordIO" else tfrecord, limit)


def whole(chunks: Iterator[bytes], limit: int | None) -> Iterator[list[Payload]]:
    """An object as one body; none if it is empty.

    Raises:
        RecordFault: it is larger than ``limit`` bytes (contract 143).
    """
    body = Spool()
    for chunk in chunks:
        body.append(chunk)
        if limit is not None and body.size > limit:
            body.close()
            raise RecordFault(
                f"it is larger than MaxPayloadInMB ({limit // 1024**2} MB = {limit:,} bytes). Set a SplitType, or "
                "raise MaxPayloadInMB (100 at most, 0 for any size)"
            )
    if body.size:
        yield [Payload(body, body.size, body)]


def single(given: Iterator[Block], limit: int | None) -> Iterator[list[Payload]]:
    """A payload for each record, ``SINGLES`` of them at a time.

    Raises:
        RecordFault: a record is larger than ``limit`` bytes; the payloads before it come first.
    """
    for block in given:
        records = block.records()
        same = block.data is block.originals
        originals = records if same else block.original_records()
        make = partial(Payload, count=1, numbers=block.numbers, noun=block.noun)
        batch: list[Payload] = []
        for index, (record, original) in enumerate(zip(records, originals, strict=True)):
            if limit is not None and len(record) > limit:
                yield batch
                raise too_large(block.noun, block.numbers[index], limit)
            batch.append(make((record,), len(record), (original,), offset=index))
            if len(batch) == SINGLES:
                yield batch
                batch = []
        yield batch


def packed(given: Iterator[Block], limit: int | None) -> Iterator[list[Payload]]:
    """Payloads of as many whole records as fit ``limit`` bytes.

    Raises:
        RecordFault: a record is larger; the payloads before it come first.
    """
    payload: Payload | None = None
    for block in given:
        rest: Block | None = block
        while rest is not None:
            part, left = (rest, None) if limit is None else rest.cut(limit - (payload.size if payload else 0))
            if part is not None:
                payload = _with(payload, part)
            if left is not None:
                if payload is None:
                    assert limit is not None
                    raise too_large(left.noun, left.numbers[0], limit)
                yield [payload]
                payload = None
            rest = left
    if payload is not None:
        yield [payload]


def _with(payload: Payload | None, block: Block) -> Payload:
    same = block.data is block.originals
    if payload is None:
        body = Spool()
        payload = Payload(body, 0, body if same else Spool(), 0, block.numbers, 0, block.noun)
    else:
        payload.numbers = payload.numbers.then(payload.count, block.numbers)
    assert isinstance(payload.body, Spool) and isinstance(payload.originals, Spool)
    payload.body.append(block.data)
    if not same:
        payload.originals.append(block.originals)
    payload.size += len(block.data)
    payload.count += block.count
    return payload
