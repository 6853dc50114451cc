"""A program's output is read to its end, whatever becomes of the log."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import fill

from launcher.local.executors import output
from launcher.local.executors.output import MOST_FAILURES, OutputPump
from launcher.local.executors.process import ProcessExecution
from launcher.local.logs.joblogs import LogReader, StreamWriter

# Writes until the pipe is full, many times over; then a line that says so.
LINES = 20_000
LOUD = f"for i in range({LINES}): print('line', i, 'x' * 60)\nprint('the end')"


def lines_of(path: Path) -> list[str]:
    reader, offset, lines = LogReader(path), 0, []
    while events := (page := reader.forward(offset)).events:
        lines += [event.message for event in events]
        offset = page.forward
    return lines


@pytest.mark.small_disk
def test_a_full_disk_keeps_no_program_from_its_end_and_the_log_says_what_is_missing(small_disk: Path) -> None:
    log_file = small_disk / "logs" / "stream.log"
    process = subprocess.Popen([sys.executable, "-c", LOUD], stdout=subprocess.PIPE)
    pump = OutputPump(ProcessExecution(process, small_disk).output, log_file, lambda: None, process.kill)
    filler = fill(small_disk)
    pump.start()
    assert process.wait(60) == 0
    assert pump.finish(60) and pump.fault is None
    assert pump.last_words().endswith("\nthe end") and len(pump.last_words()) <= 4096
    filler.unlink()
    pump.settle()
    pump.say("after it")
    assert lines_of(log_file) == [
        f"batchrl: {LINES + 1:,} lines of the log are missing here: No space left on device",
        "after it",
    ]


@pytest.mark.small_disk
def test_the_lines_that_are_missing_are_counted_where_they_are(small_disk: Path) -> None:
    writer = StreamWriter(small_disk / "stream.log")
    writer.write("first")
    filler = fill(small_disk)
    lost = 0
    while not writer.lost:  # the page that the file has already
        writer.write("y" * 100)
        lost += 1
    for _ in range(1000):
        writer.write("y" * 100)
    filler.unlink()
    writer.write("second\nthird")
    writer.close()
    first, *kept, told, second, third = lines_of(small_disk / "stream.log")
    torn = [line for line in kept if len(line) != 100]
    assert (first, second, third) == ("first", "second", "third")
    assert len(torn) <= 1
    missing = 1000 + lost - (len(kept) - len(torn))
    assert told == f"batchrl: {missing:,} lines of the log are missing here: No space left on device"


def test_an_output_that_cannot_be_read_for_a_while_is_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "PAUSE_SECONDS", 0.0)
    tries: list[int] = []

    def chunks() -> Iterator[bytes]:
        tries.append(1)
        yield b"%d\n" % len(tries)
        if len(tries) < 3 * MOST_FAILURES:
            raise OSError(errno.EIO, "broken")

    pump = OutputPump(chunks, tmp_path / "log", lambda: None, lambda: pytest.fail("given up"))
    pump.start()
    assert pump.finish(10)
    assert lines_of(tmp_path / "log") == [str(number) for number in range(1, 3 * MOST_FAILURES + 1)]


def test_an_output_that_cannot_be_read_ends_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "PAUSE_SECONDS", 0.0)
    process = subprocess.Popen([sys.executable, "-c", LOUD], stdout=subprocess.PIPE)
    assert process.stdout is not None
    unreadable = os.open(tmp_path, os.O_RDONLY)

    def chunks() -> Iterator[bytes]:
        yield os.read(unreadable, 1)

    pump = OutputPump(chunks, tmp_path / "log", lambda: None, process.kill)
    pump.start()
    assert process.wait(30) == -9
    assert pump.finish(10) and isinstance(pump.fault, IsADirectoryError)
    process.stdout.close()
    os.close(unreadable)
