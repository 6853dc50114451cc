"""``batchrl doctor JOB``: what is printed, in which form, and that nothing is started for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from command_line import Run

from launcher.api.constants import TRAINING, TRANSFORM
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import FolderPublished, InputDownloaded, ProgramEnded, ProgramStarted
from launcher.local.host.home import HomePaths
from launcher.local.logs.joblogs import StreamWriter
from launcher.local.records import states
from launcher.local.records.records import JobRecord, Records

REASON = "AlgorithmError: ValueError: bad \x1b[2K things, exit code: 1"


@pytest.fixture
def failed(home: Path) -> HomePaths:
    """A data folder with a training job that failed a minute after it began."""
    paths = HomePaths.of(home)
    paths.create()
    add(paths, "my-job", TRAINING)
    return paths


def add(paths: HomePaths, name: str, kind: str) -> None:
    began = time.time() - 60
    request: dict[str, Any] = {"ResourceConfig": {}}
    records = Records(paths.records)
    record = JobRecord.new(name, kind, f"arn:{kind}:{name}", request, began, "Starting")
    records.create(record)
    running = states.TRAINING if kind == TRAINING else states.TRANSFORMING
    records.transition(name, running, "running", began + 40, kind)
    records.transition(name, states.FAILED, "failed", began + 60, kind, failure_reason=REASON)
    records.close()
    folder = paths.job(record.key)
    events = EventFile(folder.events, clock=lambda: began + 59)
    events.add(InputDownloaded("training", 3, 10**9, 39.0))
    events.add(ProgramStarted("process", "999999999", 1))
    events.add(ProgramEnded(1, 1, 19.0, 10**8, 0))
    events.add(FolderPublished("model", 0, 0.1, None))
    writer = StreamWriter(folder.log_file("algo-1"))
    writer.write("epoch 3 \x1b]0;owned\x07")
    writer.close()


def test_it_says_why_by_which_evidence_and_what_to_do(run: Run, failed: HomePaths) -> None:
    ended = run("doctor", "my-job")
    assert ended.code == 0 and ended.err == ""
    lines = ended.out.splitlines()
    assert lines[0].split() == ["training", "my-job"]
    assert "what      The script failed (exit code 1): ValueError: bad \\x1b[2K things" in lines
    assert "log: epoch 3 \\x1b]0;owned\\x07" in ended.out
    assert any(line.startswith("do ") for line in lines)
    assert "phases    Starting 40 s, Training 20 s" in lines
    assert "also" in ended.out and "65 % of its time (39 s) went into downloading its inputs." in ended.out
    assert "\x1b" not in ended.out and "\x07" not in ended.out


def test_as_json_it_is_the_whole_report_and_quiet_the_verdicts_code(run: Run, failed: HomePaths) -> None:
    report = run("doctor", "my-job", "--json").json()
    assert report["code"] == report["verdict"]["code"] == "script_failed"
    assert [note["code"] for note in report["notes"]] == ["inputs_dominate", "start_dominates"]
    assert [phase["status"] for phase in report["phases"]] == ["Starting", "Training", "Failed"]
    assert run("doctor", "my-job", "--quiet").out == "script_failed\n"


def test_no_cloud_is_started_for_it(run: Run, failed: HomePaths) -> None:
    run("doctor", "my-job")
    assert not failed.server_process.exists() and not failed.cloud_file.exists()


def test_a_name_that_is_none_gets_the_nearest_and_two_kinds_are_told_apart(run: Run, failed: HomePaths) -> None:
    ended = run("doctor", "my-jub")
    assert ended.code == 2 and "Did you mean 'my-job'?" in ended.err
    add(failed, "my-job", TRANSFORM)
    assert run("doctor", "my-job").code == 2
    assert run("doctor", "my-job", "--kind", "transform", "--json").json()["kind"] == TRANSFORM


def test_where_there_is_no_data_folder_there_is_no_job(run: Run, home: Path) -> None:
    ended = run("doctor", "my-job")
    assert ended.code == 2 and "there is no job or endpoint named 'my-job'" in ended.err
    assert not home.exists()


def test_options_that_name_a_job_want_one(run: Run) -> None:
    assert run("doctor", "--aws").code == run("doctor", "--kind", "training").code == 2
