"""``batchrl demo``: its choice of executor, its figures and words, and one real run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Run, shell
from quick import quick_preset

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from launcher.cli.demo import story
from launcher.cli.demo.report import DemoReport, LoggedData, Score, Selection
from launcher.local.engine.status import EngineStatus
from launcher.reports.evaluations import Evaluation

ANSWERS = EngineStatus(available=True, version="20.10")
SILENT = EngineStatus(available=False, reason="no Docker engine runs on this computer")


@pytest.fixture
def running_demo(home: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that would train for hours."""
    arguments = ("demo", "--executor", "process", "--epochs", "100000", "--output", str(tmp_path / "out"))
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "launcher.cli", *arguments],
        env=os.environ | {"BATCHRL_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()
    shell("cloud", "down", "--stop-jobs", environ={"BATCHRL_HOME": str(home)})


def engine(monkeypatch: pytest.MonkeyPatch, status: EngineStatus, image: bool) -> None:
    monkeypatch.setattr("launcher.local.engine.status.engine_status", lambda: status)
    monkeypatch.setattr("launcher.local.engine.image.present", lambda tag: image)


@pytest.mark.parametrize(
    ("wanted", "status", "image", "instance_type", "said"),
    [
        ("auto", ANSWERS, True, "local", "in containers: Docker 20.10 answers"),
        ("auto", ANSWERS, False, "local_process", "batchrl image build"),
        ("auto", SILENT, False, "local_process", "no Docker engine runs"),
        ("docker", ANSWERS, True, "local", "in containers"),
        ("process", ANSWERS, True, "local_process", "as processes"),
    ],
)
def test_containers_are_used_when_they_can_be_and_the_reason_is_said_in_a_line(
    wanted: str, status: EngineStatus, image: bool, instance_type: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, status, image)

    choice = story.choose_executor(wanted)

    assert choice.instance_type == instance_type
    assert said in choice.sentence
    assert "\n" not in choice.sentence


def test_containers_that_are_asked_for_and_cannot_be_had_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, SILENT, False)
    with pytest.raises(InputError, match="no Docker engine"):
        story.choose_executor("docker")
    engine(monkeypatch, ANSWERS, False)
    with pytest.raises(InputError, match="batchrl image build"):
        story.choose_executor("docker")


def test_the_returns_of_the_logged_episodes(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("episode_id,reward\n0,1\n0,1\n0,1\n1,1\n1,2\n")

    logged = story.logged_data(path, 0.5)

    assert logged.episodes == 2
    assert logged.mean_return == 3.0
    assert logged.standard_error == 0.0
    assert logged.discounted_return == pytest.approx((1.75 + 2.0) / 2)


def report(score: Score, discounted: float | None = 55.5) -> DemoReport:
    row = {columns.SDR: 34.1, columns.WIS: 37.6, columns.WIS_ESS: 11.4, columns.OPE_EPISODES: 293}
    row |= {columns.lower(columns.SDR): 29.7, columns.upper(columns.SDR): 39.3}
    reason = "latest epoch within one standard error of the best Window 3 Score (epoch 30)"
    discount, error = (None, None) if discounted is None else (0.99, 0.42)
    return DemoReport(
        executor="as processes",
        preset="generic-discrete",
        training_job="demo-train",
        evaluation_job="demo-evaluate",
        logged=LoggedData(500, 21.65, 0.5, 19.09),
        selection=Selection(36, 50, reason, "softmax of values at temperature 1", 0.99, row, score),
        evaluation=Evaluation(146.8, 3.23, 80, 200, 100, 14680, discount, discounted, error),
        folder=Path("out"),
        files={"logged data": Path("out/x.csv"), "curves": Path("out/ope.png")},
        objects={"model": "s3://b/m"},
        seconds=69,
    )


GOOD = Score(
    name=columns.window(3),
    value=3.2,
    lower=1.94,
    upper=4.41,
    confidence=0.95,
    meaning="gain in expected return, discount 0.99, when the target policy (greedy) decides 3 steps from a logged "
    "state on and the logging policy everything after; to the end of the episode",
    doubt=None,
    evidence="improves on the logging policy",
    episodes=52,
    unseen=True,
)


def test_the_report_gives_score_and_truth_in_one_estimand_with_their_doubts_and_fits_a_terminal() -> None:
    text = "\n".join(report(GOOD).lines())

    for part in (
        "21.65 +- 0.50",
        "3.20 [1.94, 4.41]: improves on the logging policy",
        "Window 3 Score: gain in expected return, discount 0.99, when the target policy (greedy)",
        "95% interval, nominally, from 52 episodes that neither training nor the choice saw",
        "the policy returns 55.50 with this discount, the logging policy 19.09; the score credits a few steps only",
        "146.80 +- 3.23 (s.e.) mean return, 100 episodes, 80 to 200",
        "34.10 [29.70, 39.30]",
        "both of softmax of values at temperature 1: 11.4 of 293 episodes are effective, not to be relied on",
        "36 of 50, from the log alone",
        "batchrl show demo-train",
        "batchrl ope out/x.csv --model demo-train",
        "Files in out: ope.png",
    ):
        assert part in re.sub(r"\n +", " ", text) or part in text, part
    assert max(map(len, text.splitlines())) <= 79


@pytest.mark.parametrize(
    ("score", "part"),
    [
        (
            replace(GOOD, lower=-0.2, evidence="no evidence of improvement over the logging policy"),
            "no evidence of improvement",
        ),
        (replace(GOOD, unseen=False), "the 52 episodes that chose the epoch, which flatters it"),
        (replace(GOOD, doubt="1.7 effective episodes, fewer than 30"), "not to be relied on: 1.7 effective episodes"),
        (replace(GOOD, name=None, value=None, lower=None, upper=None, doubt="too few"), "Nothing could be scored"),
        (replace(GOOD, name=columns.PAIRED), "the logging policy 19.09."),
    ],
)
def test_the_report_says_in_words_what_a_score_cannot_show(score: Score, part: str) -> None:
    text = "\n".join(report(score).lines())
    assert part in re.sub(r"\s+", " ", text)
    assert max(map(len, text.splitlines())) <= 79


def test_a_policy_that_does_not_say_its_discount_has_no_discounted_truth() -> None:
    text = "\n".join(report(GOOD, discounted=None).lines())
    assert "In the simulator" not in text


def test_a_preset_that_cannot_train_is_refused_before_anything_is_played(run: Run, tmp_path: Path) -> None:
    for preset, words in (("generic-discret", "generic-discrete"), ("cartpole-ddqn-bcq-env", "not of kind 'train'")):
        ended = run("demo", "--preset", preset, "--output", str(tmp_path / "out"))
        assert ended.code == 2
        assert words in ended.err
    assert not (tmp_path / "out").exists()


def test_the_whole_demo_for_real_and_once_more(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    arguments = ("demo", "--executor", "process", "--epochs", "2", "--output", str(folder))
    environ = {"BATCHRL_HOME": str(home)}
    try:
        first = shell(*arguments, environ=environ, timeout_s=240)
        quick = ("--preset", str(quick_preset(tmp_path)))
        again = shell(*arguments, *quick, "--json", environ=environ, timeout_s=240)
        (first_job,) = re.findall(r"batchrl show (\S+)", first.out)
        advised = [
            shell(*line.split(), environ=environ)
            for line in re.findall(r"batchrl ((?:show|metrics|logs) \S+)", first.out)
        ]
        generic = shell("evaluate", "--job", first_job, environ=environ)
    finally:
        shell("cloud", "down", "--stop-jobs", environ=environ)

    assert first.code == 0, first.err
    assert re.search(r"^ +1 .*\n +2 ", first.out, re.MULTILINE), "each epoch's estimates are shown"
    assert "Chosen policy" in first.out
    assert first.out.startswith("Starting the local cloud.\n") and len(first.out.splitlines()) <= 40
    assert [each.code for each in advised] == [0, 0, 0], [each.err for each in advised]
    assert len(first_job) > 32, "a longer name than a tuning job may have"
    assert (generic.code, generic.out) == (2, "")
    assert "trained with generic-discrete, to which no simulator belongs." in generic.err
    assert "--preset acrobot-env, cartpole-ddqn-bcq-env or mail-env, or --set env.id=ID." in generic.err
    assert again.code == 0, again.err
    report = again.json()
    assert report["logged"]["episodes"] == 500
    assert report["evaluation"]["steps"] >= 1000
    assert report["selection"]["epochs"] == 2
    assert report["selection"]["score"]["meaning"]
    assert 1 < report["evaluation"]["discounted_return"] < 86.7
    assert set(report["files"]) == {"logged data", "curves", "estimates", "evaluation", "an episode"}
    for path in report["files"].values():
        assert Path(path).stat().st_size > 0


def test_ctrl_c_stops_the_job_and_gives_130(running_demo: subprocess.Popen[str], run: Run) -> None:
    assert running_demo.stdout is not None
    for line in running_demo.stdout:
        if re.match(r" +1 ", line):
            break
    running_demo.send_signal(signal.SIGINT)
    _, err = running_demo.communicate(timeout=120)

    assert running_demo.returncode == 130
    assert "Traceback" not in err
    assert [row["status"] for row in run("ps", "--json").json()] == ["Stopped"]


def test_a_folder_that_cannot_be_made_is_wrong_input(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    ended = run("demo", "--executor", "process", "--output", str(tmp_path / "file" / "out"))

    assert ended.code == 2
    assert "cannot be made" in ended.err
