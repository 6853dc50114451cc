"""``batchrl report`` as a command: jobs of every kind and state on a real local cloud, formats, files and mistakes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run, shell

from launcher.documents import pdf
from launcher.jobs.training import Job
from launcher.session.session import Session

# What it leaves bears the name of a file of train.py's, and says something else.
FAILING = """
import os, pathlib
checkpoints = pathlib.Path(os.environ["SM_MODEL_DIR"]).parent / "checkpoints"
checkpoints.mkdir(exist_ok=True)
(checkpoints / "best.json").write_text("[1]")
raise ValueError('the discount is 1.5')
"""
SLEEPING = "import time\nprint('sleeping', flush=True)\ntime.sleep(600)\n"


@pytest.fixture(autouse=True)
def place(cloud_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHRL_HOME", str(cloud_home))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def home(cloud_home: Path) -> Path:
    return cloud_home


@pytest.fixture(scope="module")
def jobs(cloud_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A training, its evaluation, a failed job and a running one; gives the log."""
    folder = tmp_path_factory.mktemp("jobs")
    log = folder / "log.csv"
    environ = {"BATCHRL_HOME": str(cloud_home)}
    small = ("epochs=2", "ope.bootstrap_resamples=50", "agent.embedder=[8]", "agent.middleware=[8]")
    settings = tuple(part for setting in small for part in ("--set", setting))
    process = ("--instance-type", "local_process")
    for name, text in (("failing", FAILING), ("sleeping", SLEEPING)):
        (folder / name).mkdir()
        (folder / name / "main.py").write_text(text)
    own = ("--entry-point", "main.py", *process)
    tiny = ("--set", "min_episodes=2", "--set", "evaluate_steps=1", "--set", "num_envs=2", "--set", "gif=false")
    commands = (
        (0, "collect", "--env", "CartPole-v0", "--num-envs", "20", "--episodes", "4", "--output", str(log)),
        (0, "train", "--training", str(log), "--preset", "cartpole-bc", *process, "--job-name", "trained", *settings),
        (0, "evaluate", "--job", "trained", *process, "--job-name", "played", "--quiet", *tiny),
        (1, "train", "--source-dir", str(folder / "failing"), *own, "--job-name", "failed"),
        (0, "train", "--source-dir", str(folder / "sleeping"), *own, "--job-name", "running", "--no-wait"),
    )
    for expected, *command in commands:
        ended = shell(*command, environ=environ, timeout_s=240)
        assert ended.code == expected, ended.err
    yield log
    shell("stop", "running", environ=environ)


def test_a_report_is_one_file_in_the_format_that_is_asked_for(jobs: Path, run: Run, tmp_path: Path) -> None:
    ended = run("report", "trained")
    assert ended.code == 0, ended.err
    page = (tmp_path / "report-trained.html").read_text()
    assert "Wrote report-trained.html" in ended.out and page.startswith("<!DOCTYPE html>")
    told = run("report", "trained", "--out", "deep/er/card.md", "--json").json()
    assert told == {"name": "trained", "path": str(tmp_path / "deep" / "er" / "card.md"), "format": "md"}
    written = (tmp_path / "deep" / "er" / "card.md").read_text()
    assert written.startswith('---\nlibrary_name: "batchrl"') and "# Policy report: trained" in written
    stored = json.loads(run("report", "trained", "--format", "json", "--out", "-").out)
    assert stored["title"] == "Policy report: trained"
    assert [one["name"] for one in stored["sections"]][:2] == ["log", "doubts"]


def test_the_newest_training_is_meant_where_none_is_named_and_its_evaluation_is_told(jobs: Path, run: Run) -> None:
    # The jobs of scripts of one's own are newer trainings to the API: they are reported as what they are.
    stored = json.loads(run("report", "trained", "--format", "json", "--out", "-").out)
    labels = {figure["label"]: figure["value"] for figure in stored["figures"]}
    assert labels["Logged episodes"] == "80" and "+-" in labels["In a simulator"]
    newest = json.loads(run("report", "--format", "json", "--out", "-").out)
    assert newest["title"] == "Job report: running"


def test_a_folder_of_results_does_not_hide_the_job_of_its_name(jobs: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "trained").mkdir()
    assert json.loads(run("report", "trained", "--format", "json", "--out", "-").out)["title"].endswith("trained")
    ended = run("report", "trained/")
    assert ended.code == 2 and "there is no loop in trained" in ended.err


def test_what_the_report_says_is_what_the_job_left(jobs: Path, run: Run, tmp_path: Path) -> None:
    Job.attach("trained", Session.local()).pull(tmp_path / "left", what="output", unpack=True)
    data = tmp_path / "left" / "output" / "data"
    inputs = json.loads((data / "training_inputs.json").read_text())
    summary = json.loads((data / "training_summary.json").read_text())
    text = run("report", "trained", "--format", "md", "--out", "-").out
    assert inputs["code"]["sha256"] in text and summary["data_sha256"] in text
    assert f"{inputs['data']['transitions']:,} decisions" in text
    assert summary["best"]["reason"] in text.replace("\\", "")


def test_an_evaluation_a_failed_and_a_running_job_are_told_as_what_they_are(jobs: Path, run: Run) -> None:
    def verdict(name: str) -> str:
        ended = run("report", name, "--format", "json", "--out", "-")
        assert ended.code == 0, ended.err
        return str(json.loads(ended.out)["verdict"]["text"])

    assert verdict("played").startswith("In the simulator CartPole-v0 the policy returns ")
    assert verdict("failed").startswith("The job failed: ") and "the discount is 1.5" in verdict("failed")
    assert verdict("running").startswith("The job still runs")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "there is no job or endpoint named 'nobody'"),
        (("traine",), "Did you mean 'trained'?"),
        (("trained", "--out", "a.docx"), "the format '.docx' is unknown"),
        (("trained", "--out", "a.md", "--format", "pdf"), "has the suffix of md"),
        (("trained", "--out", "/proc/nope/a.html"), "cannot be written"),
        ((".",), "there is no loop in ."),
        (("played", "--intended-use", "games"), "has no model card"),
        (("failed", "--intended-use", "games"), "has no model card"),
        (("trained", "--format", "doc"), "'doc' is not one of"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    jobs: Path, run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ended = run("report", *arguments)
    assert ended.code == 2 and said in ended.err, ended.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_a_browser_a_pdf_is_refused_in_words(jobs: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "find_browser", lambda: None)
    ended = run("report", "trained", "--format", "pdf")
    assert ended.code == 2 and "printed by Chromium" in ended.err and "--format html" in ended.err


def test_a_browser_that_fails_is_told(jobs: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    browser.chmod(0o755)
    monkeypatch.setattr(pdf, "find_browser", lambda: str(browser))
    ended = run("report", "trained", "-o", "a.pdf")
    assert ended.code == 2 and "did not print: no display" in ended.err and not (tmp_path / "a.pdf").exists()


@pytest.mark.skipif(pdf.find_browser() is None, reason="there is no Chromium on the path")
def test_a_real_browser_prints_the_page(jobs: Path, run: Run, tmp_path: Path) -> None:
    ended = run("report", "trained", "-o", "a.pdf")
    assert ended.code == 0, ended.err
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", str(tmp_path / "a.pdf"), "-"], capture_output=True, text=True).stdout
        assert "Policy report: trained" in text


def test_an_evaluation_whose_output_is_gone_is_left_out_and_named(jobs: Path, run: Run, home: Path) -> None:
    played = Job.attach("played", Session.local(home))
    key = f"{played.layout.job.key}/output/output.tar.gz"
    place = {"Bucket": played.layout.job.bucket, "Key": key}
    content = played.session.s3.get_object(**place)["Body"].read()
    played.session.s3.delete_object(**place)
    try:
        told = run("report", "trained", "--format", "md", "--out", "-")
    finally:
        played.session.s3.put_object(**place, Body=content)
    assert told.code == 0, told.err
    assert "The evaluation played is left out: " in told.err and "In a simulator" not in told.out
