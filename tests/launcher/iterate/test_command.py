"""``batchrl iterate``: what is refused before anything starts, and real loops of tiny rounds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jobs import run_command

from batchrl.contract import columns
from launcher.iterate.settings import LoopSettings
from launcher.iterate.state import TRAINED, LoopFolder
from launcher.iterate.step_files import Trained
from launcher.iterate.steps import Actor, Play
from launcher.iterate.work import Work

TINY = (
    *("--preset", "cartpole-iterate", "--instance-type", "local_process"),
    *("--set", "collect.episodes=100", "--set", "collect.num_envs=50"),
    *("--set", "train.epochs=2", "--set", "train.agent.updates_per_epoch=400", "--set", "train.agent.ensemble=1"),
    *("--set", "train.agent.batch_size=64", "--set", "train.data.test_ratio=0"),
    *("--set", "train.tensorboard=false", "--set", "gate.canary_episodes=50"),
)
QUICK_EVALUATION = (
    *("--set", "evaluate.min_episodes=20", "--set", "evaluate.num_envs=20", "--set", "evaluate.gif=false"),
    *("--set", "evaluate.evaluate_steps=1"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a cloud that all loops share."""
    folder = tmp_path_factory.mktemp("cloud")
    yield folder
    run_command(folder, "cloud", "down", "--stop-jobs")


@pytest.fixture(scope="module")
def whole(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loop of two rounds that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "loop"
    run_command(home, "iterate", *TINY, *QUICK_EVALUATION, "--rounds", "2", "--output", str(folder))
    return folder


@dataclass
class Running:
    """A loop in a process of its own."""

    process: subprocess.Popen[str]

    def until(self, text: str) -> None:
        """Wait for a line that holds a text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return
        pytest.fail(f"it ended before it said '{text}': {self.ended()}")

    def ended(self) -> tuple[int, str]:
        """Exit code and stderr."""
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@pytest.fixture
def start(home: Path) -> Iterator[Any]:
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> Running:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "launcher.cli", "iterate", *arguments],
            env=os.environ | {"BATCHRL_HOME": str(home), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return Running(process)

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_loop_keeps_data_models_and_decisions_of_every_round(home: Path, whole: Path) -> None:
    shown = run_command(home, "iterate", "--show", str(whole), "--json")
    values = json.loads(shown.stdout)
    assert [record["number"] for record in values["rounds"]] == [1, 2]
    for record in values["rounds"]:
        folder = LoopFolder(whole).round(record["number"])
        assert record["collected"]["everything"]["episodes"] == 100
        assert record["collected"]["held_out"]["episodes"] == 30
        assert folder.episodes.is_file() and folder.held_out.is_file()
        assert (folder.model / "model.safetensors").is_file() and (folder.training / "training_summary.json").is_file()
        assert record["decision"]["alpha_of_a_look"] == pytest.approx(0.05 / 4)
        assert record["decision"]["looks"][0]["episodes"] == 30
        assert record["evaluated"]["episodes"] >= 20 and record["evaluated"]["job"].endswith("-evaluate")
    # Nothing of the log alone tells of episodes ten times as long; what the canary says, the next round does.
    first, second = values["rounds"]
    assert [look["look"] for look in first["decision"]["looks"]] == ["log", "canary"]
    promoted = first["decision"]["outcome"] == "promoted"
    assert second["collected"]["policy"] == ("round 1's policy" if promoted else "uniform")
    assert first["decision"]["looks"][1]["difference"]["lower"] > 0 or not promoted
    assert (whole / "rounds.png").read_bytes().startswith(b"\x89PNG")
    again = run_command(home, "iterate", "--output", str(whole))
    assert "DIFFERENCE is of discounted returns" in again.stdout and " in discounted return, " in again.stdout
    assert "* by a canary" in again.stdout and "Round 1. " in again.stdout
    assert (
        max(
            len(line) for line in again.stdout.splitlines() if not line.startswith(("job", "model", "serve", "picture"))
        )
        <= 80
    )


def content_of(folder: Path) -> dict[str, bytes]:
    """Episodes and decisions of a loop."""
    names = [*folder.rglob("*.parquet"), *folder.rglob("decision.json"), *folder.rglob("model.safetensors")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


def test_a_loop_that_is_killed_and_interrupted_ends_as_one_that_was_not(
    home: Path, whole: Path, start: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "loop"
    options = (*TINY, "--set", "evaluate.preset=null", "--rounds", "2", "--output", str(folder))

    # 1. Killed in the middle of its first job.
    running = start(*options)
    running.until("-r01-train")
    running.process.kill()
    assert running.ended()[0] == -signal.SIGKILL

    # 2. Started again it attaches to the job, and nobody else may run it meanwhile. Ctrl-C says how to go on.
    running = start(*options)
    running.until("plays a canary")
    refused = run_command(home, "iterate", "--output", str(folder), check=False)
    assert refused.returncode == 2 and f"(process {running.process.pid})" in refused.stderr
    running.process.send_signal(signal.SIGINT)
    code, err = running.ended()
    assert code == 130
    assert f"Go on with: batchrl iterate --output {folder}" in err and "Traceback" not in err

    # 3. Terminated in the second training, whose job is then stopped.
    running = start("--output", str(folder))
    running.until("job cartpole-iterate")
    running.process.send_signal(signal.SIGTERM)
    assert running.ended()[0] == 130
    name = LoopSettings.of_folder(LoopFolder(folder)).jobs_name
    states = {job["name"]: job["status"] for job in json.loads(run_command(home, "ps", "--json").stdout)}
    assert states[f"{name}-r01-train"] == "Completed" and f"{name}-r01-train-2" not in states
    assert states[f"{name}-r02-train"] in ("Stopped", "Completed")

    # 4. To the end.
    ended = run_command(home, "iterate", "--output", str(folder), "--json")
    assert [record["evaluated"]["mean_return"] for record in json.loads(ended.stdout)["rounds"]] == [None, None]
    assert content_of(folder) == content_of(whole)
    assert not list(folder.rglob(".work-*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--rounds", "1"), "2 rounds are done already, and --rounds says 1"),
        ((*TINY, *QUICK_EVALUATION, "--set", "gate.alpha=0.1"), "loop.gate.alpha is 0.1, there 0.05"),
        ((*TINY, *QUICK_EVALUATION, "--name", "another"), "name is 'another', there"),
    ],
)
def test_a_loop_is_not_gone_on_with_as_another_one(
    home: Path, whole: Path, arguments: tuple[str, ...], says: str
) -> None:
    before = content_of(whole)
    refused = run_command(home, "iterate", "--output", str(whole), *arguments, check=False)
    assert refused.returncode == 2 and says in refused.stderr
    assert content_of(whole) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "env.id=Nope-v0"), "there is no environment 'Nope-v0'"),
        (("--set", "collect.behavior=nobody"), "nobody"),
        (("--set", "collect.behavior=batchrl.problems.logging:MailRules"), "written for another environment"),
        (("--set", "gate.alhpa=1"), "gate.alpha"),
        (("--set", "gate.q_function=fqe", "--set", "gate.fqe_updates=400"), "gate.fqe_updates is 400"),
        (("--set", "collect.episodes=10", "--set", "gate.holdout=0.9"), "gate.holdout=0.9 leaves 1 to learn from"),
        (("--set", "train.data.max_transitions=2"), "train.data.max_transitions is 2"),
        (("--preset", "generic-discrete"), "not of kind 'iterate'"),
        (("--instance-type", "locl"), "'locl' is unknown"),
        (("--instance-type", "local_debug"), "runs a job in the terminal"),
        (("--instance-type", "ml.m5.xlarge"), "no credentials found"),
        (("--tag", "novalue"), "--tag 'novalue'"),
        (("--rounds", "0"), "range"),
        (("--name", "a_b"), "cannot be the name"),
        (("--data", "nowhere.csv"), "there is no such file"),
        (("--show", "nowhere"), "--show only looks at a loop, and --instance-type, --output would change nothing"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_started(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    home, folder = tmp_path / "home", tmp_path / "loop"
    given = ("--instance-type", "local_process", "--output", str(folder), *arguments)
    refused = run_command(home, "iterate", *given, check=False)
    assert refused.returncode == 2 and says in refused.stderr and "Traceback" not in refused.stderr
    assert not folder.exists() and not home.exists()


def test_looking_at_a_loop_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    for given, says in ((("--rounds", "9"), "--show only looks"), ((), "there is no loop in")):
        refused = run_command(tmp_path / "home", "iterate", "--show", str(tmp_path), *given, check=False)
        assert refused.returncode == 2 and says in refused.stderr and "Traceback" not in refused.stderr


def test_data_must_be_of_the_environment_and_of_the_policy_in_place(tmp_path: Path) -> None:
    home, data, folder = tmp_path / "home", tmp_path / "data.csv", tmp_path / "loop"
    collect = ("collect", "--env", "CartPole-v0", "--num-envs", "5", "--episodes", "2", "--output", str(data))
    run_command(home, *collect, "--policy", "[0.3, 0.7]")
    begin = ("iterate", "--instance-type", "local_process", "--output", str(folder), "--data", str(data))
    refused = run_command(home, *begin, check=False)
    assert refused.returncode == 2 and "logged with probabilities [0.3, 0.7]" in refused.stderr
    mail = ("--preset", "mail-iterate", "--set", "collect.behavior=[0.3, 0.7, 0, 0]")
    refused = run_command(home, *begin, *mail, check=False)
    assert refused.returncode == 2 and not folder.exists()


# CartPole whose pole may lean so little that many episodes are over after a step or two.
SHORT = """
import gymnasium as gym
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

class Short(CartPoleEnv):
    def __init__(self, **options):
        super().__init__(**options)
        self.theta_threshold_radians = 0.02

gym.register("Short-v0", Short)
"""
CAP = 5


def test_all_collectors_play_the_same_episodes(
    home: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In process, at an endpoint, and by a transform job a time step: the probabilities are those of one policy."""
    monkeypatch.setenv("BATCHRL_HOME", str(home))
    (tmp_path / "short_cartpole.py").write_text(SHORT)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    known = LoopSettings.of_folder(LoopFolder(whole))
    env = known.preset.env.model_copy(update={"id": "short_cartpole:Short-v0", "max_episode_steps": CAP})
    model = LoopFolder(whole).round(1)
    trained = model.read(TRAINED, Trained)
    assert trained is not None
    actor = Actor("round 1's policy", str(model.model), True, trained.model_uri)
    tables = []
    for collector in ("policy", "endpoint", "transform"):
        collect = known.preset.collect.model_copy(update={"collector": collector})
        preset = known.preset.model_copy(update={"env": env, "collect": collect})
        said: list[str] = []
        work = Work(replace(known, preset=preset), whole, said.append)
        play = Play(f"{known.name}-{collector}", actor, episodes=8, seed=3)
        for attempt in range(2):  # a run that was killed asks again, and finds what is there
            work.collect(play, tmp_path / f"{collector}-{attempt}.parquet")
        work.tidy(play)
        work.tidy(play)
        assert len(said) == {"policy": 0, "endpoint": 1, "transform": 2}[collector]
        first, again = (pd.read_parquet(tmp_path / f"{collector}-{attempt}.parquet") for attempt in range(2))
        pd.testing.assert_frame_equal(first, again)
        tables.append(first)
    lengths = set(tables[0].groupby(columns.EPISODE_ID).size())
    assert len(lengths) > 1 and max(lengths) == CAP
    deployed = json.loads(run_command(home, "ps", "--kind", "endpoint", "--json").stdout)
    assert deployed == []
    for table in tables[1:]:
        for column in tables[0].columns.drop(columns.ALL_ACTION_PROBABILITIES):
            assert table[column].tolist() == tables[0][column].tolist(), column
        found, expected = (
            [json.loads(text) for text in each[columns.ALL_ACTION_PROBABILITIES]] for each in (table, tables[0])
        )
        np.testing.assert_allclose(found, expected, atol=1e-6)
    jobs = json.loads(run_command(home, "ps", "--kind", "transform", "--json").stdout)
    assert sorted(job["name"].rpartition("-")[2] for job in jobs) == [f"{step:05d}" for step in range(CAP)]
