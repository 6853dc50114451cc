"""The three forms of output, and tables that fit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.base.units import duration, size
from launcher.cli import output
from launcher.cli.output import Column, Form, Output, fields, table, unbroken

COLUMNS = (Column("name", "JOB"), Column("status", "STATUS"), Column("size", "SIZE", right=True))
ROWS: list[dict[str, Any]] = [
    {"name": "cartpole-ddqn-bcq-2026-11-22-22-30-00-123", "status": "Completed", "size": "12 MB"},
    {"name": "short", "status": "InProgress", "size": ""},
]


def test_a_table_aligns_its_columns() -> None:
    assert list(table(ROWS, COLUMNS, 80)) == [
        "JOB                                        STATUS       SIZE",
        "cartpole-ddqn-bcq-2026-11-22-22-30-00-123  Completed   12 MB",
        "short                                      InProgress",
    ]


def test_a_table_that_does_not_fit_keeps_every_value_on_lines_that_do() -> None:
    lines = list(table(ROWS, COLUMNS, 44))

    assert max(map(len, lines)) <= 44
    assert lines == [ROWS[0]["name"], "  status Completed, size 12 MB", "short", "  status InProgress"]


def test_a_figure_is_not_parted_from_its_unit() -> None:
    phases = ", ".join(map(unbroken, ("Training 3 s", "Uploading 10 min")))
    assert list(fields({"phases": phases}, 30)) == ["phases  Training 3 s,", "        Uploading 10 min"]
    assert list(fields({"phases": phases}, 80)) == ["phases  Training 3 s, Uploading 10 min"]


def test_fields_wrap_and_long_words_stay_whole() -> None:
    url = "s3://" + "x" * 70
    lines = list(fields({"status": "Completed", "url": url, "reason": "one two three four five six seven"}, 30))

    assert lines[0] == "status  Completed"
    assert f"  {url}" in "\n".join(lines)
    assert all(len(line) <= 30 for line in lines if url not in line)


def test_json_holds_whole_rows_and_knows_times_paths_and_not_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 11, 22, 22, 30, tzinfo=UTC)
    row = {"at": moment, "for": timedelta(seconds=2), "path": Path("/x"), "wis": float("nan"), "more": (1, "a", None)}

    Output(Form.JSON).rows([row], [Column("path", "PATH")], "none")

    assert json.loads(capsys.readouterr().out) == [
        {"at": "2026-11-22T22:30:00.000+00:00", "for": 2.0, "path": "/x", "wis": None, "more": [1, "a", None]}
    ]


def test_quiet_gives_names_alone(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(Form.QUIET)
    out.text("hello")
    out.note("hello")
    out.rows(ROWS, COLUMNS, "none")
    out.record(ROWS[1], "name")

    captured = capsys.readouterr()
    assert captured.out.splitlines() == [ROWS[0]["name"], "short", "short"]
    assert not captured.err


def test_an_empty_table_says_so_beside_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    Output().rows([], COLUMNS, "There are no jobs.")

    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err == "There are no jobs.\n"


def test_progress_without_a_terminal_is_plain_lines_on_stderr_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(output, "time", SimpleNamespace(monotonic=lambda: now))

    with Output().progress("upload", 50) as advance:
        for now in (1, 4, 6, 7, 12):
            advance(now, f"{now} MB")

    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.splitlines() == ["upload: 12% 6 MB", "upload: 24% 12 MB"]


def test_short_work_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().byte_progress("upload", 3) as on_bytes:
        on_bytes(3)

    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min"), (80, "1 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min"), (90000, "1 d 1 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_960, "100 kB"),
        (3_400_000, "3.4 MB"),
        (2e12, "2.0 TB"),
    ],
)
def test_sizes(count: float | None, text: str) -> None:
    assert size(count) == text
