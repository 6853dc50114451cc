"""A record that cannot be written for a while costs a job time, not its end."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from launcher.api.constants import TRAINING
from launcher.local.events.eventfile import EventFile
from launcher.local.jobs.progress import Progress
from launcher.local.records import states
from launcher.local.records.records import JobRecord, Records

FULL = sqlite3.OperationalError("database or disk is full")


class Flaky:
    """Records that fail so many times."""

    def __init__(self, records: Records, faults: int) -> None:
        self._records, self.faults = records, faults

    def __getattr__(self, name: str):
        method = getattr(self._records, name)

        def call(*arguments, **named):
            if self.faults:
                self.faults -= 1
                raise FULL
            return method(*arguments, **named)

        return call


@pytest.fixture
def flaky(tmp_path: Path):
    records = Records(tmp_path / "records.sqlite")
    record = JobRecord.new("job", TRAINING, "arn", {}, 1.0, "new")
    records.create(record)

    def made(faults: int) -> tuple[Flaky, Progress, Records]:
        broken = Flaky(records, faults)
        return broken, Progress(broken, record, EventFile(tmp_path / "e")), records

    yield made
    records.close()


def test_a_status_is_tried_until_it_is_recorded(tmp_path, flaky):
    broken, _, records = flaky(7)
    pauses: list[float] = []
    progress = Progress(broken, records.get("job"), EventFile(tmp_path / "e"), pauses.append)
    assert progress.move(states.TRAINING, "training").secondary_status == states.TRAINING
    assert len(pauses) == 7 and max(pauses) <= 5


def test_what_could_not_be_noted_is_recorded_with_the_next(flaky):
    broken, progress, records = flaky(2)
    progress.note(executor="process")
    progress.note(container="17", executor="docker")
    assert records.get("job").container is None
    progress.note(log_stream="x")
    record = records.get("job")
    assert (record.executor, record.container, record.log_stream) == ("docker", "17", "x")
    broken.faults = 1
    progress.note(size_bytes=5)
    progress.move(states.TRAINING, "training")
    assert records.get("job").size_bytes == 5


def test_a_stop_that_cannot_be_looked_for_is_looked_for_again(flaky):
    broken, progress, records = flaky(0)
    records.request_stop("job")
    broken.faults = 1
    assert not progress.stop_requested()
    assert progress.stop_requested()


def test_a_status_on_the_way_is_tried_once(flaky):
    broken, progress, records = flaky(0)
    progress.move(states.TRAINING, "training")
    broken.faults = 1
    progress.pass_through(states.STOPPING, "stopping")
    assert records.get("job").secondary_status == states.TRAINING
    progress.move(states.UPLOADING, "uploading")
    assert progress.move(states.MAX_RUNTIME_EXCEEDED, "over").status == states.STOPPED


def test_a_database_that_another_writer_holds_is_waited_for(tmp_path, flaky, monkeypatch):
    """With SQLite's own lock, not with an exception of the test's."""
    monkeypatch.setattr("launcher.local.records.database.BUSY_SECONDS", 0.05)
    records = Records(tmp_path / "records.sqlite")
    other = sqlite3.connect(tmp_path / "records.sqlite", isolation_level=None, check_same_thread=False)
    progress = Progress(records, records.get("job"), EventFile(tmp_path / "e"))
    other.execute("BEGIN IMMEDIATE")
    waiting = threading.Timer(0.5, lambda: other.execute("ROLLBACK"))
    waiting.start()
    progress.note(executor="process")
    assert progress.move(states.TRAINING, "training").executor == "process"
    waiting.join()
    records.close()
    other.close()
