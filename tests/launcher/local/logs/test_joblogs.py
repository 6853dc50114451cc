"""Log streams: whole lines, timestamps that never go back, pages by byte offset."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from launcher.local.logs import joblogs
from launcher.local.logs.joblogs import MAX_MESSAGE_BYTES, LogEvent, LogReader, StreamWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "algo-1-1000.log"


def _messages(path: Path) -> list[str]:
    return [event.message for event in LogReader(path).forward(0).events]


def test_an_absent_stream_reads_as_empty(path: Path) -> None:
    reader = LogReader(path)
    assert reader.first() is None
    assert reader.last() is None
    assert reader.forward(0).events == ()
    assert reader.backward(None).events == ()


def test_raw_output_becomes_lines(path: Path) -> None:
    writer = StreamWriter(path)
    writer.feed(b"one\ntw")
    assert _messages(path) == ["one"]
    writer.feed(b"o\r\n\nthree")
    assert _messages(path) == ["one", "two", ""]
    writer.close()
    assert _messages(path) == ["one", "two", "", "three"]


def test_bytes_that_are_no_utf8_do_not_stop_the_log(path: Path) -> None:
    writer = StreamWriter(path)
    writer.feed(b"\xff\xfe ok\n")
    assert _messages(path) == ["\ufffd\ufffd ok"]


def test_huge_lines_are_split_between_characters(path: Path) -> None:
    writer = StreamWriter(path)
    text = "x" + "ä" * MAX_MESSAGE_BYTES
    writer.write(text)
    pieces = _messages(path)
    assert "".join(pieces) == text
    assert max(len(piece.encode()) for piece in pieces) <= MAX_MESSAGE_BYTES
    assert len(pieces) == 3


def test_output_without_any_newline_is_not_kept_in_memory(path: Path) -> None:
    writer = StreamWriter(path)
    for _ in range(8):
        writer.feed(b"#" * (MAX_MESSAGE_BYTES // 2))
    assert [len(line.partition(b" ")[2]) for line in path.read_bytes().splitlines()] == [MAX_MESSAGE_BYTES] * 4


def test_timestamps_never_go_back(path: Path) -> None:
    ticks = iter([50, 40, 60])
    writer = StreamWriter(path, lambda: next(ticks))
    for name in "abc":
        writer.write(name)
    assert [event.timestamp for event in LogReader(path).forward(0).events] == [50, 50, 60]


def test_a_second_writer_goes_on_after_a_torn_line(path: Path) -> None:
    StreamWriter(path, lambda: 100).write("whole")
    with path.open("ab") as file:
        file.write(b"101 to")
    assert _messages(path) == ["whole"]
    StreamWriter(path, lambda: 90).write("after")
    events = LogReader(path).forward(0).events
    assert [(event.timestamp, event.message) for event in events] == [(100, "whole"), (101, "to"), (100, "after")]


def test_pages_forward_and_backward_cover_everything_once(path: Path) -> None:
    clock = count(1000)
    writer = StreamWriter(path, lambda: next(clock))
    for index in range(25):
        writer.write(f"line {index}")
    reader = LogReader(path)
    forward, offset = [], 0
    while (page := reader.forward(offset, 10)).events:
        forward += [event.message for event in page.events]
        offset = page.forward
    backward: list[str] = []
    end: int | None = None
    while (page := reader.backward(end, 10)).events:
        backward = [event.message for event in page.events] + backward
        end = page.backward
    assert forward == backward == [f"line {index}" for index in range(25)]


def test_reading_on_at_the_end_waits_at_the_same_offset(path: Path) -> None:
    writer = StreamWriter(path)
    writer.write("first")
    reader = LogReader(path)
    end = reader.forward(0).forward
    assert reader.forward(end).forward == end
    writer.write("second")
    assert [event.message for event in reader.forward(end).events] == ["second"]


def test_time_bounds_are_half_open(path: Path) -> None:
    ticks = count(100)
    writer = StreamWriter(path, lambda: next(ticks))
    for index in range(10):
        writer.write(str(index))
    reader = LogReader(path)
    assert [event.message for event in reader.forward(0, since=103, until=106).events] == ["3", "4", "5"]
    assert [event.message for event in reader.backward(None, since=103, until=106).events] == ["3", "4", "5"]


def test_a_page_holds_a_megabyte(path: Path) -> None:
    writer = StreamWriter(path)
    for index in range(30):
        writer.write(str(index % 10) * 100_000)
    reader = LogReader(path)
    page = reader.forward(0)
    assert len(page.events) == 10
    assert len(reader.backward(None).events) == 10
    assert reader.forward(page.forward).events[0].message[0] == "0"


def test_a_time_is_found_by_bisection(path: Path) -> None:
    clock = count(1000)
    writer = StreamWriter(path, lambda: next(clock))
    for index in range(4000):
        writer.write(f"{index} {'x' * 2000}")
    reader = LogReader(path)
    for since in (0, 1000, 1001, 2500, 3999, 4999, 9999):
        offset = reader.seek(since)
        first = next((event for event in reader.forward(offset, since=since).events), None)
        assert (first.timestamp if first else None) == (max(since, 1000) if since < 5000 else None)
    assert reader.seek(4999) > 0


def test_a_half_written_line_is_read_whole_later(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"100 fir")
    reader = LogReader(path)
    page = reader.backward(None)
    assert (page.events, page.forward) == ((), 0)
    with path.open("ab") as file:
        file.write(b"st\n")
    assert [event.message for event in reader.forward(page.forward).events] == ["first"]


def test_the_ends_of_a_long_log_are_found_by_a_glance(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = StreamWriter(path)
    for _ in range(20):
        writer.feed(b"".join(b"line %d\n" % number for number in range(10_000)))
    writer.write("x" * 10_000)  # longer than a glance
    writer.close()
    taken = read_bytes(monkeypatch)
    assert LogReader(path).first().message == "line 0"
    assert sum(taken) <= 4096
    assert LogReader(path).last().message == "x" * 10_000


def test_a_page_parses_no_more_lines_than_it_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = StreamWriter(path)
    writer.feed(b"".join(b"%d\n" % number for number in range(50_000)))
    writer.close()
    made: list[int] = []
    monkeypatch.setattr(joblogs, "LogEvent", lambda *values: made.append(1) or LogEvent(*values))
    page = LogReader(path).forward(0, 100)
    assert [event.message for event in page.events] == [str(number) for number in range(100)]
    assert len(made) <= 101


def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each read of a log from now on."""
    taken: list[int] = []
    read = LogReader._read

    def counted(reader: LogReader, offset: int, count: int) -> bytes:
        data = read(reader, offset, count)
        taken.append(len(data))
        return data

    monkeypatch.setattr(LogReader, "_read", counted)
    return taken
