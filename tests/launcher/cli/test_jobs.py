"""Commands about jobs, on a real local cloud with jobs that run as processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from command_line import Run

from batchrl.contract.errors import JobFailed
from launcher.cli.commands.train import after_training
from launcher.cli.output import Form, Output
from launcher.cli.running import tell
from launcher.jobs.training import JobStatus
from launcher.local.host.home import HomePaths
from launcher.local.records.records import Records

HELLO = """
import pathlib, os
print("hello from the script")
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
(model / "answer.txt").write_text("42")
"""
FAILING = "raise ValueError('the discount is 1.5')\n"
SLEEPING = "import time\nprint('sleeping', flush=True)\ntime.sleep(600)\n"


@pytest.fixture
def home(cloud_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCHRL_HOME", str(cloud_home))
    return cloud_home


@pytest.fixture
def start(run: Run, tmp_path: Path) -> Callable[..., object]:
    """Run a script of one's own as a job."""

    def start(text: str, name: str, *options: str) -> object:
        source = tmp_path / name
        source.mkdir()
        (source / "main.py").write_text(text)
        return run(
            *("train", "--source-dir", str(source), "--entry-point", "main.py", "--instance-type", "local_process"),
            *("--job-name", name, *options),
        )

    return start


def test_a_job_runs_shows_its_log_and_can_be_looked_at_pulled_and_deleted(
    start: Callable[..., object], run: Run, tmp_path: Path
) -> None:
    ended = start(HELLO, "hello")
    assert ended.code == 0, ended.err
    assert "hello from the script" in ended.out
    assert "batchrl pull hello" in ended.out

    (row,) = run("ps", "--name", "hello", "--json").json()
    assert row["name"] == "hello"
    assert row["status"] == "Completed"
    assert row["size_bytes"] > 0
    assert row["created_at"] <= row["ended_at"]
    assert "hello" in run("ps", "--status", "completed").out

    shown = run("show", "hello")
    assert "status        Completed" in shown.out
    assert "Uploading: " in shown.out
    facts = run("show", "hello", "--json").json()
    assert facts["TrainingJobStatus"] == "Completed"
    assert facts["Places"]["model"].endswith("/hello/output/model.tar.gz")
    assert "ResponseMetadata" not in facts

    assert run("logs", "hello").out.splitlines()[-1] == "hello from the script"
    assert run("logs", "-f", "hello").out == run("logs", "hello").out
    assert run("logs", "hello", "--tail", "0").out == ""
    assert run("wait", "hello").out == "hello: Completed\n"
    assert "had ended" in run("stop", "hello").out

    target = tmp_path / "results"
    pulled = run("pull", "hello", str(target), "--unpack", "--json").json()
    assert pulled["downloaded"] == len(pulled["files"]) > 0
    assert (target / "output" / "model" / "answer.txt").read_text() == "42"
    assert run("pull", "hello", str(target), "--json").json()["downloaded"] == 0

    gone = run("rm", "hello", "--results")
    assert gone.code == 0
    assert run("show", "hello").code == 2
    assert run("rm", "hello").code == 2


def test_jobs_are_told_apart_by_the_script_that_they_run(run: Run, tmp_path: Path) -> None:
    for name, script in (("kinds-one", "train.py"), ("kinds-two", "evaluate.py"), ("kinds-three", "evaluate.py")):
        (tmp_path / name).mkdir()
        (tmp_path / name / script).write_text("print('done')")
        source = ("--source-dir", str(tmp_path / name), "--entry-point", script)
        ended = run("train", *source, "--instance-type", "local_process", "--job-name", name)
        assert ended.code == 0, ended.err
    listed = ("ps", "--name", "kinds-", "-q")

    assert run(*listed, "--kind", "training", "-n", "1").out == "kinds-one\n"
    assert run(*listed, "--kind", "evaluation").out == "kinds-three\nkinds-two\n"
    assert run(*listed).out == "kinds-three\nkinds-two\nkinds-one\n"
    kinds = {row["name"]: row["kind"] for row in run("ps", "--name", "kinds-", "--json").json()}
    assert kinds == {"kinds-one": "training", "kinds-two": "evaluation", "kinds-three": "evaluation"}

    assert run("logs", "--kind", "evaluation", "kinds-two").out.endswith("done\n")
    assert run("show", "--kind", "training").out.startswith("job           kinds-one\n")
    for command in ("show", "doctor"):
        refused = run(command, "--kind", "training", "kinds-two")
        assert (refused.code, refused.out) == (2, "")
        assert "'kinds-two' is of kind evaluation, and not training." in refused.err
    assert "image" not in run("show", "kinds-one").out
    assert run("rm", "kinds-one", "kinds-two", "kinds-three", "--results").code == 0


def test_a_failing_script_shows_its_own_exception_and_exit_code_1(start: Callable[..., object], run: Run) -> None:
    ended = start(FAILING, "failing")

    assert ended.code == 1
    assert "the discount is 1.5" in ended.err
    assert "Traceback (most recent call last):\n  File" not in ended.err.partition("Error:")[0]
    assert run("wait", "failing").code == 1
    assert "ValueError: the discount is 1.5" in run("show", "failing").out

    gone = run("rm", "failing").out
    assert gone.count("\n") == 1
    assert "results and checkpoints stay in s3://" in gone
    assert "a job of the same name would go on from them" in gone


def test_a_job_whose_results_are_on_disk_alone_is_deleted_by_force_only(
    start: Callable[..., object], run: Run, home: Path
) -> None:
    paths = HomePaths.of(home)
    for name in ("saved", "unsaved"):
        assert start(HELLO, name).code == 0
    with closing(Records(paths.records)) as records:
        records.update("unsaved", published_at=None)
    model = paths.job("unsaved").ml / "model"
    model.mkdir(parents=True)
    (model / "weights").write_text("w")

    refused = run("rm", "saved", "unsaved")
    assert refused.code == 2
    assert f"not in the bucket: unsaved (in {model.parent}). Nothing was deleted." in refused.err
    assert "batchrl recover unsaved publishes them; batchrl rm unsaved --force deletes them." in refused.err
    assert run("show", "saved").code == run("show", "unsaved").code == 0 and (model / "weights").exists()

    assert run("rm", "saved", "unsaved", "--force").code == 0
    assert run("show", "unsaved").code == 2
    assert not paths.job("unsaved").folder.exists()


def test_a_running_job_is_listed_refuses_to_be_deleted_stops_and_waits_with_exit_code_4(
    start: Callable[..., object], run: Run
) -> None:
    started = start(SLEEPING, "sleeping", "--no-wait", "--quiet")
    assert (started.code, started.out) == (0, "sleeping\n")
    assert run("wait", "sleeping", "--timeout", "0.1").code == 124

    refused = run("rm", "sleeping")
    assert refused.code == 2
    assert "batchrl stop sleeping" in refused.err

    stopped = run("stop", "sleeping", "--wait", "--json").json()
    assert stopped == [{"name": "sleeping", "asked": True, "status": "Stopped"}]
    assert run("wait", "sleeping").code == 4
    assert run("logs", "-f", "sleeping").code == 0


def test_ctrl_c_without_a_terminal_stops_the_job_and_gives_130(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SLEEPING)
    arguments = ("train", "--source-dir", str(tmp_path), "--entry-point", "main.py", "--job-name", "interrupted")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "launcher.cli", *arguments, "--instance-type", "local_process"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "sleeping\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in err
    assert run("wait", "interrupted").code == 4


def test_several_jobs_are_waited_for_and_the_worst_end_gives_the_code(start: Callable[..., object], run: Run) -> None:
    start("print('well')\n", "well", "--quiet")
    start(FAILING, "badly", "--quiet")
    both = run("wait", "badly", "well")
    assert (both.code, both.out) == (1, "well: Completed\n")
    assert "the discount is 1.5" in both.err
    assert (
        run("wait", "well", "well", "--json").json()
        == [{"name": "well", "status": "Completed", "secondary_status": "Completed"}] * 2
    )
    assert run("wait", "well", "nobody").code == 2


def test_the_newest_job_is_meant_where_none_is_named(start: Callable[..., object], run: Run) -> None:
    start("print('the newest')\n", "newest", "--quiet")

    assert run("show", "-q").out == "newest\n"
    assert run("logs").out.endswith("the newest\n")
    assert run("wait").code == 0


def test_a_name_that_is_taken_is_wrong_input(start: Callable[..., object], run: Run, tmp_path: Path) -> None:
    assert start("print(1)\n", "taken", "--quiet").code == 0
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "main.py").write_text("print(1)\n")

    ended = run(
        *("train", "--source-dir", str(tmp_path / "again"), "--entry-point", "main.py"),
        *("--instance-type", "local_process", "--job-name", "taken"),
    )

    assert ended.code == 2
    assert "exists already" in ended.err


def test_the_nearest_job_is_suggested(start: Callable[..., object], run: Run) -> None:
    start("print(1)\n", "cartpole-first", "--quiet")

    ended = run("show", "cartpole-frist")

    assert ended.code == 2
    assert "Did you mean 'cartpole-first'?" in ended.err


def test_training_is_watched_drawn_and_written_as_csv_and_json(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    collected = run("collect", "--env", "CartPole-v0", "--num-envs", "10", "--episodes", "5", "--output", str(data))
    assert collected.code == 0, collected.err
    trained = run(
        *("train", "--training", str(data), "--instance-type", "local_process", "--no-wait", "--json"),
        *("--set", "epochs=2", "--set", "reward_model.epochs=1", "--set", "ope.bootstrap_resamples=20"),
    )
    name = trained.json()["name"]

    followed = run("metrics", "-f", name)
    assert followed.code == 0, followed.err
    assert [line.split()[0] for line in followed.out.splitlines()] == ["EPOCH", "1", "2", "Chosen"]
    assert [row["Epoch"] for row in run("metrics", name, "--json").json()] == [1, 2]
    lines = run("metrics", "-f", name, "--json").out.splitlines()
    assert [json.loads(line)["Epoch"] for line in lines] == [1, 2]
    assert run("metrics", name, "--csv").out.startswith("Epoch,")
    assert run("metrics", name, "--csv", "--json").code == 2

    chosen = run("show", name, "--json").json()["Chosen"]
    assert chosen["epoch"] in (1, 2)
    assert f"chosen        epoch {chosen['epoch']}: " in run("show", name).out

    picture = tmp_path / "ope.png"
    assert run("plot", name, "-o", str(picture)).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run("plot", name, "-o", str(tmp_path / "ope.txt")).code == 2

    going_on = run(
        *("train", "--training", str(data), "--instance-type", "local_process", "--checkpoint-from", name, "--json"),
        *("--set", "epochs=3", "--set", "reward_model.epochs=1", "--set", "ope.bootstrap_resamples=20"),
    )
    assert going_on.code == 0, going_on.err
    assert [row["Epoch"] for row in run("metrics", going_on.json()["name"], "--json").json()] == [1, 2, 3]


def test_a_job_without_estimates_says_so(start: Callable[..., object], run: Run) -> None:
    start("print(1)\n", "no-estimates", "--quiet")

    ended = run("metrics", "no-estimates")

    assert ended.code == 2
    assert "no estimates" in ended.err


def test_jobs_and_presets_complete_in_a_shell(start: Callable[..., object], in_shell: Run, home: Path) -> None:
    start("print(1)\n", "completed-by-tab", "--quiet")
    environ = {"BATCHRL_HOME": str(home), "_BATCHRL_COMPLETE": "bash_complete", "COMP_CWORD": "2"}

    jobs = in_shell(environ=environ | {"COMP_WORDS": "batchrl show completed-"})
    presets = in_shell(environ=environ | {"COMP_WORDS": "batchrl train --preset cart", "COMP_CWORD": "3"})

    assert "plain,completed-by-tab" in jobs.out
    assert "plain,cartpole-ddqn-bcq" in presets.out


def test_what_has_ended_badly_is_never_told_as_well() -> None:
    class FailedJob:
        name = "failed"

        def status(self) -> JobStatus:
            return JobStatus("Failed", "Failed", failure_reason="ClientError: no image")

        def wait(self) -> None:
            raise JobFailed("the job 'failed' failed: ClientError: no image")

    with pytest.raises(JobFailed, match="no image"):
        tell(FailedJob(), Output(Form.HUMAN), ("show",))


def test_a_training_on_a_log_of_ones_own_is_not_followed_by_a_simulator() -> None:
    """No environment of the product is the one that the log came from."""
    assert after_training("my log.csv", {"data.columns.action": "treatment"}, "mail-iql") == (
        "metrics",
        "plot",
        "report",
        "ope 'my log.csv' --model",
    )
    estimate = ("metrics", "plot", "report", "ope cartpole.csv --model")
    assert after_training("cartpole.csv", {}, "cartpole-ddqn-bcq") == (*estimate, "evaluate --job")
    assert after_training("cartpole.csv", {}, "mail-iql") == (*estimate, "evaluate --job")
    for of_any_log in ("generic-discrete", "decisions-dr", "my.yaml"):
        assert after_training("cartpole.csv", {}, of_any_log) == estimate
    assert after_training(None, {}, "cartpole-best") == ("metrics", "plot", "report", "evaluate --job")


def test_a_crash_that_was_followed_is_told_once(start: Callable[..., object], run: Run) -> None:
    ended = start("print('begun', flush=True)\nraise RuntimeError('it broke here')", "crash")
    assert ended.code == 1
    assert (ended.out + ended.err).count("Traceback") == 1
    assert "Error: the job 'crash' failed: AlgorithmError: RuntimeError: it broke here, exit code: 1\n" in ended.err
    assert "batchrl doctor crash" in ended.err
    # Who comes later has not read it.
    assert "Traceback" in run("wait", "crash").err
