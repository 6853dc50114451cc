"""The records: one file, several writers, statuses that move only forward."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from batchrl.contract.errors import InputError
from launcher.api.constants import ENDPOINT, TRAINING, TRANSFORM
from launcher.local.records import states
from launcher.local.records.records import (
    SCHEMA_VERSION,
    DuplicateJob,
    JobEnded,
    JobRecord,
    JobRunning,
    Metric,
    Query,
    Records,
    UnknownJob,
)


def _arn(name: str) -> str:
    return f"arn:aws:sagemaker:us-east-1:000000000000:training-job/{name}"


def _job(name: str, at: float = 1000.0) -> JobRecord:
    return JobRecord.new(name, TRAINING, _arn(name), {"TrainingJobName": name}, at, "Starting the job")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records.sqlite")


def test_a_record_comes_back_as_it_was_stored(records: Records) -> None:
    records.create(_job("a"))
    records.update("a", metrics=(Metric("loss", 0.5, 1001.0),), log_stream="a/algo-1-1000", size_bytes=12)
    record = records.get("a")
    assert record.request == {"TrainingJobName": "a"}
    assert record.metrics == (Metric("loss", 0.5, 1001.0),)
    assert (record.log_stream, record.size_bytes, record.status) == ("a/algo-1-1000", 12, states.IN_PROGRESS)


def test_D205_a_name_is_taken_for_good(records: Records) -> None:
    records.create(_job("a"))
    with pytest.raises(DuplicateJob, match="training-job/a"):
        records.create(_job("a"))


def test_A99_A104_a_whole_life_appends_transitions(records: Records) -> None:
    records.create(_job("a"))
    at = 1000.0
    for status in (states.DOWNLOADING, states.TRAINING, states.UPLOADING, states.COMPLETED):
        at += 1
        record = records.transition("a", status, f"now {status}", at)
    assert record == records.get("a")
    assert [entry.status for entry in record.transitions] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert [entry.ended_at for entry in record.transitions] == [1001, 1002, 1003, 1004, 1004]
    assert (record.status, record.started_at, record.ended_at) == ("Completed", 1001, 1004)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (["Training", "Stopping", "Uploading", "Stopped"], "Stopped"),
        (["Training", "Stopping", "Uploading", "MaxRuntimeExceeded"], "Stopped"),
        (["Training", "Interrupted", "Starting", "Downloading", "Training"], "InProgress"),
        (["Training", "Stopping", "Uploading"], "Stopping"),
        (["Downloading", "Failed"], "Failed"),
    ],
)
def test_A98_A101_A102_secondary_statuses_decide_the_primary_one(
    records: Records, path: list[str], status: str
) -> None:
    records.create(_job("a"))
    for step in path:
        records.transition("a", step)
    assert records.get("a").status == status


@pytest.mark.parametrize("last", sorted(states.TERMINAL))
def test_nothing_follows_an_end(last: str) -> None:
    for wanted in states.TRAINING_JOB.following:
        with pytest.raises(states.IllegalTransition):
            states.TRAINING_JOB.successor(last, wanted, False)


def test_an_illegal_transition_changes_nothing(records: Records) -> None:
    records.create(_job("a"))
    before = records.get("a")
    with pytest.raises(states.IllegalTransition, match="from Starting to Completed"):
        records.transition("a", states.COMPLETED)
    assert records.get("a") == before


def test_A89_a_job_that_was_asked_to_stop_ends_as_stopped(records: Records) -> None:
    records.create(_job("a"))
    records.transition("a", states.TRAINING)
    assert records.request_stop("a", 2000.0).status == states.STOPPING
    assert records.request_stop("a", 3000.0).stop_requested_at == 2000.0
    records.transition("a", states.UPLOADING)
    assert records.transition("a", states.COMPLETED).secondary_status == states.STOPPED
    with pytest.raises(JobEnded):
        records.request_stop("a")


def test_A80_a_failure_reason_holds_1024_characters(records: Records) -> None:
    records.create(_job("a"))
    records.transition("a", states.FAILED, failure_reason="x" * 5000)
    assert records.get("a").failure_reason == "x" * 1024


def test_D206_only_ended_jobs_are_deleted_with_their_tags(records: Records) -> None:
    records.create(_job("a"), {"team": "blue"})
    with pytest.raises(JobRunning):
        records.delete("a")
    records.transition("a", states.FAILED)
    records.delete("a")
    assert records.find("a") is None
    assert records.tags(_arn("a")) == {}
    with pytest.raises(UnknownJob):
        records.get("a")


def test_tags_replace_and_vanish(records: Records) -> None:
    records.create(_job("a"), {"team": "blue", "run": "1"})
    records.add_tags(_arn("a"), {"team": "red"})
    records.delete_tags(_arn("a"), ["run", "never-there"])
    assert records.tags(_arn("a")) == {"team": "red"}


def test_lists_filter_sort_and_page(records: Records) -> None:
    for index, name in enumerate(["b-1", "a-1", "b-2", "a-2"]):
        records.create(_job(name, 1000.0 + index // 2))
    assert [job.name for job in records.list()] == ["a-1", "b-1", "a-2", "b-2"]
    assert [job.name for job in records.list(Query(name_contains="a-", descending=True))] == ["a-2", "a-1"]
    assert [job.name for job in records.list(Query(created_after=1000.0))] == ["a-2", "b-2"]
    first = records.list(Query(sort_by="name", limit=3))
    rest = records.list(Query(sort_by="name", after=(first[-1].name, first[-1].name)))
    assert [job.name for job in first + rest] == ["a-1", "a-2", "b-1", "b-2"]


def test_a_shim_is_named_once(records: Records) -> None:
    records.create(_job("a"))
    assert records.claim("a", 10, 5)
    assert not records.claim("a", 11, 6)
    assert records.get("a").shim_pid == 10


def test_unknown_columns_are_refused(records: Records) -> None:
    records.create(_job("a"))
    with pytest.raises(TypeError, match="nonsense"):
        records.update("a", nonsense=1)


def _write_sizes(path: Path, name: str, count: int) -> None:
    records = Records(path)
    for size in range(count):
        records.update(name, size_bytes=size + 1)
        records.add_tags(_arn(name), {f"k{size % 7}": str(size)})


def test_processes_write_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    records = Records(path)
    names = ["a", "b", "c"]
    for name in names:
        records.create(_job(name))
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_sizes, args=(path, name, 100)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [records.get(name).size_bytes for name in names] == [100, 100, 100]


def test_a_file_of_a_newer_version_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    Records(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(InputError, match="newer batchrl"):
        Records(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputError, match="cannot be used"):
        Records(path)


def test_records_of_the_first_schema_are_taken_over(tmp_path: Path) -> None:
    from launcher.local.records.database import MIGRATIONS

    path = tmp_path / "records.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(MIGRATIONS[0])
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO jobs (name, kind, arn, request, status, secondary_status, transitions, created_at, "
            "modified_at, shim_pid, size_bytes) VALUES "
            "('old', 'training', ?, '{\"a\": 1}', 'InProgress', 'Training', ?, 1000.0, 1001.0, 7, 12)",
            (_arn("old"), '[{"status": "Training", "started_at": 1000.0, "ended_at": null, "message": ""}]'),
        )
        connection.execute("INSERT INTO tags VALUES (?, 'team', 'blue')", (_arn("old"),))
    connection.close()
    records = Records(path)
    old = records.get("old")
    assert (old.request, old.shim_pid, old.size_bytes, old.servers) == ({"a": 1}, 7, 12, ())
    assert old.published_at is None  # nobody knows, so that `cloud gc` keeps what it left
    assert records.tags(_arn("old")) == {"team": "blue"}
    assert records.transition("old", states.UPLOADING).status == states.IN_PROGRESS


def test_an_endpoint_that_was_made_anew_by_the_same_name_is_not_forgotten(records: Records) -> None:
    def endpoint(at: float) -> JobRecord:
        return JobRecord.new("e", ENDPOINT, "arn:e", {}, at, "Creating")

    records.create(endpoint(1.0))
    records.forget_endpoint(endpoint(1.0))
    records.forget_endpoint(endpoint(1.0))
    assert records.find("e", ENDPOINT) is None
    records.create(endpoint(2.0))
    records.forget_endpoint(endpoint(1.0))
    assert records.find("e", ENDPOINT) is not None


def test_a_name_is_unique_within_its_kind(records: Records) -> None:
    records.create(_job("a"))
    transform = JobRecord.new("a", TRANSFORM, "arn:transform", {}, 1000.0, "Starting")
    records.create(transform)
    records.transition("a", states.TRANSFORMING, kind=TRANSFORM)
    assert records.get("a").secondary_status == states.STARTING
    assert {record.kind for record in records.running()} == {TRAINING, TRANSFORM}
    with pytest.raises(DuplicateJob, match="arn:transform"):
        records.create(transform)
    assert (records.get("a").key, transform.key) == ("a", "transform.a")


def test_a_second_look_in_one_process_takes_no_locks_from_the_first(tmp_path: Path) -> None:
    """Or another process that closes the file takes itself for its last user, and removes what the first one reads."""
    path = tmp_path / "records.sqlite"
    first = Records(path)
    Records(path).close()
    add = (
        "import sys\n"
        "from pathlib import Path\n"
        "from launcher.local.records.records import JobRecord, Records\n"
        "records = Records(Path(sys.argv[1]))\n"
        "records.create(JobRecord.new('theirs', 'training', 'arn:theirs', {}, 1.0, ''))\n"
        "records.close()\n"
    )
    subprocess.run([sys.executable, "-c", add, str(path)], check=True, timeout=60)
    assert first.find("theirs", "training") is not None
    assert path.with_name(f"{path.name}-wal").exists(), "the first one still uses it"
    first.close()
