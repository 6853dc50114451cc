"""``batchrl tune``, and what other commands know of a tuning job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Ended, Run, shell

SCRIPT = """
import sys, time
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
time.sleep(float(given.get("--seconds", 0)))
print(f"score={-(float(given['--rate']) - 3) ** 2}")
"""


@pytest.fixture
def tune(cloud_home: Path, tmp_path: Path) -> Callable[..., Ended]:
    """Run command lines in the module's cloud, with a script ``my.py`` and a file of data."""
    (tmp_path / "my.py").write_text(SCRIPT)
    (tmp_path / "log.csv").write_text("a\n1\n")

    def run(command: str, *arguments: str) -> Ended:
        given = arguments
        if command == "tune":
            script = ("--entry-point", str(tmp_path / "my.py"), "--instance-type", "local_process")
            given = (str(tmp_path / "log.csv"), *script, *arguments)
        return shell(command, *given, environ={"BATCHRL_HOME": str(cloud_home)}, timeout_s=120)

    return run


def test_trainings_are_told_as_they_end_and_the_best_with_the_command_that_repeats_it(
    tune: Callable[..., Ended],
) -> None:
    ended = tune("tune", "--set", "rate=1,3.5,10", "--set", "kind=a", "--parallel", "2", "--job-name", "grid")
    assert ended.code == 0, ended.err
    rows = [line.split() for line in ended.out.splitlines() if line[:3].isdigit()]
    assert sorted((row[0], row[2], row[3]) for row in rows) == [
        ("001", "-4", "rate=1"),
        ("002", "-0.25", "rate=3.5"),
        ("003", "-49", "rate=10"),
    ]
    assert "Best of 3: grid-002-" in ended.out and ", -0.25\n" in ended.out
    assert "too high by chance" in ended.out
    assert "--set kind=a --set rate=3.5\n" in ended.out
    assert "grid" in tune("ps", "--kind", "tuning", "-q").out.split()
    shown = tune("show", "grid")
    assert "maximize score" in shown.out and "grid-002-" in shown.out
    assert tune("show", "grid", "--json").json()["TrainingJobStatusCounters"]["Completed"] == 3
    assert tune("wait", "grid").code == 0
    assert "is a tuning job" in tune("pull", "grid").err
    assert tune("doctor", "grid").code == 0
    assert "Deleted grid" in tune("rm", "grid").out
    assert "no" in tune("show", "grid").err


def test_a_tuning_job_may_be_left_and_stopped(tune: Callable[..., Ended]) -> None:
    left = ("--set", "rate=1,2", "--set", "seconds=60", "--no-wait", "--job-name", "long", "-q")
    assert tune("tune", *left).out == "long\n"
    assert "asked to stop" in tune("stop", "long", "--wait").out
    assert tune("wait", "long").code == 4
    assert tune("tune", *left).code == 2


def test_what_decides_and_the_results_as_json(tune: Callable[..., Ended]) -> None:
    asked = ("--set", "rate=1..9", "--jobs", "3", "--parallel", "3", "--minimize", "--random-seed", "4", "--json")
    found = tune("tune", *asked).json()
    assert found["status"] == "Completed" and len(found["jobs"]) == 3
    assert found["best"]["value"] == min(job["value"] for job in found["jobs"])
    assert all(job["settings"]["rate"] in map(str, range(1, 10)) for job in found["jobs"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("rate=1",), "there is nothing to tune"),
        (("rate=1..2",), "how many training jobs"),
        (("rate=3..2",), "holds nothing to choose from"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    run: Run, tmp_path: Path, settings: tuple[str, ...], message: str
) -> None:
    (tmp_path / "my.py").write_text(SCRIPT)
    (tmp_path / "log.csv").write_text("a\n1\n")
    given = [part for setting in settings for part in ("--set", setting)]
    ended = run("tune", str(tmp_path / "log.csv"), "--entry-point", str(tmp_path / "my.py"), *given)
    assert (ended.code, message in ended.err) == (2, True), ended.err
