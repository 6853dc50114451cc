"""Streams as records, records as payloads."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.summary.writer.record_writer import RecordWriter

from launcher.local.transform.framing import MAGIC, crc32c, frame_blocks, recordio, tfrecord
from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.payloads import SINGLES, packed, single, whole
from launcher.local.transform.record_stream import Numbers, line_blocks

MIB = 1024 * 1024


def chunked(data, size):
    return iter([data[at : at + size] for at in range(0, len(data), size)])


def bodies(batches):
    return [b"".join(payload.body) for batch in batches for payload in batch]


def lines(data, limit, size=7):
    return list(packed(line_blocks(chunked(data, size), limit), limit))


# Lines that are records, blank ones of both kinds, and ends with and without a newline.
TEXT = st.lists(st.sampled_from([b"", b"\r", b"a", b"bb\r", b"[1, 2]", b"  ", b"x" * 9]), max_size=30).map(b"\n".join)


def records_of(data):
    """The definition: lines with their ends, without those that hold no character; and their numbers."""
    kept, numbers = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip(b"\r") or line.count(b"\r") > 1:
            kept.append(line)
            numbers.append(number)
    ended = data.endswith(b"\n") or data.split(b"\n")[-1] in (b"", b"\r")
    ends = [b"\n"] * len(kept) if ended or not kept else [b"\n"] * (len(kept) - 1) + [b""]
    return [line + end for line, end in zip(kept, ends, strict=True)], numbers


@given(TEXT, st.integers(1, 40), st.integers(12, 60))
def test_B138_B140_B146_payloads_are_the_object_without_its_blank_lines(data, size, limit):
    expected, numbers = records_of(data)
    payloads = [payload for batch in lines(data, limit, size) for payload in batch]
    assert b"".join(bodies([payloads])) == b"".join(expected)
    assert [p.numbers[index] for p in payloads for index in range(p.count)] == numbers
    assert all(p.size == len(b"".join(p.body)) <= limit for p in payloads)
    sizes = [len(record) for record in expected]
    for payload in payloads[:-1]:
        count = payload.count
        assert sum(sizes[:count]) + sizes[count] > limit  # another record would not have fitted
        del sizes[:count]


@given(TEXT, st.integers(1, 40))
def test_B139_one_record_a_request_is_a_line_with_its_newline(data, size):
    expected, numbers = records_of(data)
    payloads = [payload for batch in single(line_blocks(chunked(data, size), 100), 100) for payload in batch]
    assert bodies([payloads]) == expected
    assert [payload.where() for payload in payloads] == [f"line {number}" for number in numbers]


@given(TEXT, st.integers(1, 40))
def test_B137_an_unsplit_object_is_one_body_byte_for_byte(data, size):
    assert bodies(whole(chunked(data, size), None)) == ([data] if data else [])


def test_B140_the_last_request_may_be_short_and_the_last_line_lack_its_end():
    assert bodies(lines(b"aa\nbb\ncc\nd", 6)) == [b"aa\nbb\n", b"cc\nd"]


def test_B138_only_newlines_end_a_line():
    assert bodies(single(line_blocks(iter([b"a\rb\x0bc\x85d\r\ne\n"]), None), None)) == [b"a\rb\x0bc\x85d\r\n", b"e\n"]


def test_B146_of_nothing_come_no_requests():
    for data in (b"", b"\n", b"\n\r\n\n", b"\r"):
        assert lines(data, 10) == []
    assert list(whole(iter([]), None)) == []


def test_B143_a_record_above_the_limit_is_a_fault_with_its_line_and_what_came_before_it_is_sent():
    for size in (1, 5, MIB):
        data = b"a\n\n" + b"b\n" + b"x" * MIB + b"\nc\n"
        for split in (packed, single):
            sent = []
            with pytest.raises(RecordFault, match=r"line 4: it is larger than MaxPayloadInMB \(1 MB = 1,048,576 bytes"):
                for batch in split(line_blocks(chunked(data, size * 1000), MIB), MIB):
                    sent += bodies([batch])
            assert b"".join(sent) == b"a\nb\n"


def test_B143_a_record_of_just_the_limit_is_sent():
    data = b"x" * (MIB - 1) + b"\n"
    for split in (packed, single):
        assert bodies(split(line_blocks(chunked(data * 2, 3 * MIB), MIB), MIB)) == [data, data]


def test_B143_an_endless_line_is_refused_before_it_is_read_to_its_end():
    read = 0

    def endless():
        nonlocal read
        while True:
            read += MIB
            yield b"x" * MIB

    with pytest.raises(RecordFault, match="line 1"):
        list(packed(line_blocks(endless(), 2 * MIB), 2 * MIB))
    assert read <= 4 * MIB


def test_B143_an_unsplit_object_above_the_limit_is_a_fault():
    with pytest.raises(RecordFault, match="Set a SplitType"):
        list(whole(chunked(b"x" * (MIB + 1), MIB // 2), MIB))


def test_B142_without_a_limit_an_object_is_one_request():
    data = b"line\n" * 1000
    assert bodies(lines(data, None, 100)) == [data]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=12), st.data())
def test_numbers_of_lines_survive_cutting_and_joining(gaps, data):
    expected, starts, line = [], [], 0
    for index, gap in enumerate(gaps):
        line += gap
        expected.append(line)
        if index == 0 or gap > 1:
            starts.append((index, line))
    numbers = Numbers(tuple(starts))
    assert [numbers[index] for index in range(len(gaps))] == expected
    at = data.draw(st.integers(0, len(gaps) - 1))
    assert [numbers.since(at)[index] for index in range(len(gaps) - at)] == expected[at:]
    if at:
        again = numbers.then(at, numbers.since(at))
        assert [again[index] for index in range(len(gaps))] == expected


def framed(parts):
    """A RecordIO record of one or more parts."""
    kinds = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        MAGIC + struct.pack("<I", kind << 29 | len(part)) + part + b"\0" * (-len(part) % 4)
        for kind, part in zip(kinds, parts, strict=True)
    )


PARTS = st.lists(st.lists(st.binary(max_size=9), min_size=1, max_size=3), max_size=6)


@given(PARTS, st.integers(1, 30))
def test_B141_RecordIO_keeps_its_frames_in_a_batch_and_loses_them_one_by_one(records, size):
    frames = [framed(parts) for parts in records]
    data = b"".join(frames)
    limit = max(map(len, frames), default=0) + 5
    payloads = [p for batch in packed(frame_blocks(chunked(data, size), recordio, limit), limit) for p in batch]
    assert b"".join(bodies([payloads])) == data
    assert all(payload.size <= limit for payload in payloads)
    assert [p.numbers[index] for p in payloads for index in range(p.count)] == list(range(1, len(records) + 1))
    assert bodies(single(frame_blocks(chunked(data, size), recordio, limit), limit)) == [
        MAGIC.join(parts) for parts in records
    ]


def test_single_records_are_made_some_at_a_time():
    batches = list(single(line_blocks(iter([b"1\n" * 10_000]), None), None))
    assert sum(map(len, batches)) == 10_000
    assert max(map(len, batches)) <= SINGLES
    numbers = [payload.where() for batch in batches for payload in batch]
    assert (numbers[0], numbers[SINGLES], numbers[-1]) == ("line 1", f"line {SINGLES + 1}", "line 10000")


def test_crc32c_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(1, 30))
def test_B141_TFRecord_as_TensorBoard_writes_it(records, size):
    file = io.BytesIO()
    writer = RecordWriter(file)
    for record in records:
        writer.write(record)
    data = file.getvalue()
    assert b"".join(bodies(packed(frame_blocks(chunked(data, size), tfrecord, MIB), MIB))) == data
    assert bodies(single(frame_blocks(chunked(data, size), tfrecord, MIB), MIB)) == records


@pytest.mark.parametrize(
    ("find", "data", "what"),
    [
        (recordio, b"[1, 2]\n[3, 4]\n", "record 1: SplitType is RecordIO, and its magic number is missing"),
        (recordio, framed([b"abcd"]) + b"rubbish!", "record 2: SplitType is RecordIO"),
        (recordio, framed([b"abcd"])[:-1], "record 1: the object ends in the middle of it"),
        (recordio, MAGIC + struct.pack("<I", 3 << 29), "the parts of a record are not in order"),
        (tfrecord, b"[1, 2]\n[3, 4]\n", "record 1: SplitType is TFRecord, and the checksum of its length is wrong"),
        (tfrecord, b"short", "record 1: the object ends in the middle of it"),
    ],
)
def test_B141_what_is_not_framed_so_is_told_with_its_record(find, data, what):
    with pytest.raises(RecordFault, match=what):
        list(frame_blocks(iter([data]), find, MIB))


def test_B143_a_framed_record_above_the_limit_is_a_fault_with_its_number():
    data = framed([b"a"]) + framed([b"x" * (MIB + 1)])
    for split in (packed, single):
        with pytest.raises(RecordFault, match="record 2: it is larger"):
            list(split(frame_blocks(chunked(data, 100_000), recordio, MIB), MIB))
