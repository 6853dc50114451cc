"""The event file: nothing raised, nothing unbounded, nothing of a torn line believed."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import MISSING, fields

import pytest

from launcher.local.events import eventfile
from launcher.local.events.eventfile import EventFile, read
from launcher.local.events.kinds import KINDS, Event, EventsDropped, LimitReached, ShimLost, StatusTaken, StopRequested


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs" / "one" / "events.jsonl"


def kinds(path):
    return [one.event.kind for one in read(path)]


def sample(kind: type[Event]) -> Event:
    """An event with a value in each field."""
    values = {"int": 7, "float": 1.5, "str": "text", "bool": True, "str | None": "reason"}
    return kind(**{field.name: values[str(field.type)] for field in fields(kind)})


def test_every_kind_comes_back_as_it_was_written(path):
    events = EventFile(path, clock=lambda: 12.3456)
    written = [sample(kind) for kind in KINDS.values()]
    for event in written:
        events.add(event)
    found = read(path)
    assert [one.event for one in found] == written
    assert {one.time for one in found} == {12.346}
    assert len(KINDS) == len(Event.__subclasses__()) and "" not in KINDS


def test_every_kind_says_what_it_means():
    for kind in KINDS.values():
        assert kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}("), kind


def test_the_file_is_its_owners_alone_and_each_line_is_json(path):
    EventFile(path).add(StatusTaken("Training", "two\nlines"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = json.loads(path.read_text())
    assert content.pop("time") > 1e9
    assert content == {"kind": "status", "status": "Training", "message": "two\nlines", "failure_reason": None}


def test_a_link_in_its_place_is_not_followed(path, tmp_path):
    path.parent.mkdir(parents=True)
    (tmp_path / "victim").write_text("")
    path.symlink_to(tmp_path / "victim")
    EventFile(path).add(ShimLost(1))
    assert (tmp_path / "victim").read_text() == ""


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_torn_line_is_passed_over_and_closed_by_the_next_writer(path, cut):
    events = EventFile(path)
    events.add(ShimLost(1))
    events.add(ShimLost(2))
    os.truncate(path, path.stat().st_size - cut)
    assert [one.event for one in read(path)] == ([ShimLost(1), ShimLost(2)] if cut == 1 else [ShimLost(1)])
    EventFile(path).add(ShimLost(3))
    assert [one.event for one in read(path)][-1] == ShimLost(3)
    assert len(read(path)) == (3 if cut == 1 else 2)


def test_what_nobody_of_ours_wrote_is_passed_over(path):
    path.parent.mkdir(parents=True)
    lines = [
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"time": 1, "kind": "of_another_version", "pid": 1}',
        b'{"time": 1, "kind": "shim_lost"}',
        b'{"time": 1, "kind": "shim_lost", "pid": "text"}',
        b'{"time": "noon", "kind": "shim_lost", "pid": 1}',
        b'{"kind": "shim_lost", "pid": 1}',
        b'{"time": 1, "kind": ["shim_lost"], "pid": 1}',
        b'{"time": 2, "kind": "shim_lost", "pid": 4, "more": 1}',
    ]
    path.write_bytes(b"\n".join(lines))
    assert [one.event for one in read(path)] == [ShimLost(4)]
    assert read(path.with_name("none")) == ()


def test_a_full_disk_fails_nothing_and_is_counted(path, monkeypatch):
    events = EventFile(path)
    events.add(ShimLost(1))
    real = os.write

    def full(file, content):
        real(file, content[:10])
        return 10

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        events.add(ShimLost(2))
        events.add(ShimLost(3))
    events.add(ShimLost(4))
    events.add(ShimLost(5))
    assert [one.event for one in read(path)] == [
        ShimLost(1),
        EventsDropped(2, "No space left on device"),
        ShimLost(4),
        ShimLost(5),
    ]


def test_a_folder_that_cannot_be_written_fails_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    EventFile(tmp_path / "file" / "events.jsonl").add(ShimLost(1))


def test_text_that_is_no_unicode_is_kept_readable(path):
    EventFile(path).add(StopRequested("bad \udcff name" + "x" * 5000))
    (one,) = read(path)
    assert one.event.by.startswith("bad \\udcff name") and len(one.event.by) <= 2010


def test_the_file_is_bounded_and_keeps_room_for_what_is_rare(path, monkeypatch):
    monkeypatch.setattr(eventfile, "MAX_BYTES", 8000)
    monkeypatch.setattr(eventfile, "FREQUENT_BYTES", 6000)
    events = EventFile(path)
    for number in range(500):
        events.add(StopRequested(f"client {number}"))
    events.add(ShimLost(1))
    assert path.stat().st_size < 8000
    assert kinds(path).count(LimitReached.kind) == 1
    assert kinds(path)[-1] == "shim_lost"
    for number in range(500):
        events.add(ShimLost(number))
    assert path.stat().st_size <= 8000
    assert EventsDropped.kind not in kinds(path)


def test_fields_have_types_that_the_reader_knows():
    known = {"int", "float", "str", "bool", "str | None"}
    for kind in KINDS.values():
        for field in fields(kind):
            assert str(field.type) in known, (kind, field.name)
            assert field.default is MISSING or field.default in (None, 0)
