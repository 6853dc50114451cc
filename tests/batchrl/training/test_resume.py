"""A run that was killed anywhere and started again ends as if nothing had happened."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from batchrl.checkpoints import files
from batchrl.checkpoints.files import Published, read_state
from batchrl.contract import columns
from batchrl.contract.errors import InputError

SCRIPT = Path(__file__).parents[3] / "entrypoints" / "train.py"
DEADLINE_S = 60
# Epochs of about a fifth of a second, so that a kill falls into the middle of one.
SLOW = {"epochs": "8", "agent.batch_size": "1", "agent.embedder": "[64]", "reward_model.epochs": "1"}

Train = Callable[..., Path]
CommandLine = Callable[[dict[str, str], Path, Path], list[str]]


def rows_without_times(output: Path) -> list[dict[str, str]]:
    with (output / "output" / "intermediate" / columns.INTERMEDIATE_CSV).open() as file:
        rows = list(csv.DictReader(file))
    return [{name: cell for name, cell in row.items() if name not in columns.TIME_COLUMNS} for row in rows]


def tensors(state: Any, path: str = "") -> dict[str, torch.Tensor]:
    """All tensors of nested dicts, by their path."""
    if isinstance(state, torch.Tensor):
        return {path: state}
    if not isinstance(state, dict):
        return {}
    return {name: found for key, value in state.items() for name, found in tensors(value, f"{path}/{key}").items()}


def assert_same_end(resumed: Path, straight: Path, epochs: int) -> None:
    assert rows_without_times(resumed) == rows_without_times(straight)
    mine, its = (read_state(output / "checkpoints" / f"epoch_{epochs:04d}.pt") for output in (resumed, straight))
    assert tensors(mine).keys() == tensors(its).keys()
    assert {name for name in tensors(mine) if name.startswith("/agent")}
    different = [name for name, tensor in tensors(mine).items() if not tensor.equal(tensors(its)[name])]
    assert different == []
    assert (mine["rng"], mine["epoch"], mine["agent"]["updates"]) == (its["rng"], its["epoch"], its["agent"]["updates"])
    results = ("model/model.safetensors", "model/model.json", "output/data/training_summary.json")
    for name in (*results, "output/data/training_inputs.json"):
        assert (resumed / name).read_bytes() == (straight / name).read_bytes(), name


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_line(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return
    raise AssertionError(f"the run ended before it printed '{beginning}'")


def wait_for_file(process: subprocess.Popen[str], *paths: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not any(path.exists() for path in paths):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    assert process.wait(DEADLINE_S) == -signal.SIGKILL
    assert process.stdout is not None
    process.stdout.close()


def kill_on_the_way(arguments: list[str], output: Path) -> None:
    """Kill a run anywhere after its first epoch; one that was too quick is begun anew and killed earlier."""
    delay = random.random() * 0.3
    for _ in range(6):
        process = start(arguments)
        wait_for_line(process, "epoch=2 ")
        time.sleep(delay)
        process.kill()
        process.communicate(timeout=DEADLINE_S)
        if not (output / "model").exists():
            return
        shutil.rmtree(output)
        delay /= 4
    raise AssertionError("every kill came too late to tell anything")


def test_a_run_killed_again_and_again_ends_as_if_it_never_was(
    train: Train, command_line: CommandLine, data_file: Path, tmp_path: Path
) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    train(straight, **{key.replace(".", "__"): value for key, value in SLOW.items()})
    arguments = command_line(SLOW, data_file, killed)
    checkpoints = killed / "checkpoints"

    process = start(arguments)
    wait_for_line(process, "split:")
    kill(process)  # before the first epoch is complete

    process = start(arguments)
    wait_for_line(process, "epoch=2 ")
    time.sleep(random.random() * 0.2)  # anywhere in an epoch
    kill(process)

    process = start(arguments)
    wait_for_line(process, "resumed after epoch")
    wait_for_file(process, checkpoints / "epoch_0006.pt.tmp", checkpoints / "epoch_0006.pt")
    kill(process)  # while a checkpoint is written, or just after

    process = start(arguments)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, output
    assert "resumed after epoch" in output
    assert_same_end(killed, straight, 8)
    assert not list(killed.rglob("*.tmp"))


# Each way to learn with other settings: together they cover what an epoch may depend on.
VARIANTS: dict[str, dict[str, str]] = {
    "bc": {"agent.updates_per_epoch": "300", "agent.standardise_inputs": "true"},
    "dqn": {"epochs": "16", "agent.target_update_every": "1000", "agent.loss": "huber", "bcq.mode": "none"},
    "ddqn": {"agent.n_step": "3", "agent.l2": "0.001", "agent.lr_schedule": "cosine"},
    "ddqn-bcq, nearest": {"agent.algorithm": "ddqn-bcq", "bcq.fallback": "random", "bcq.knn_threshold": "quantile"},
    "ddqn-bcq, classifier": {
        "agent.algorithm": "ddqn-bcq",
        "bcq.mode": "coach_nn",
        "bcq.imitation_epochs": "3",
        "bcq.mask_out_threshold": "0.55",
        "bcq.fallback": "random",
        "bcq.mask_at_action_time": "true",
    },
    "cql": {"agent.embedder": "[256]", "agent.middleware": "[512]", "agent.batch_size": "128", "epochs": "40"},
    "iql": {"agent.ensemble": "2", "agent.target_update": "soft", "agent.value_scale": "5"},
    "one-step": {"agent.ensemble": "3", "agent.target_update": "soft", "agent.lr_schedule": "cosine"},
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_algorithm_survives_a_kill_to_the_bit(
    train: Train, command_line: CommandLine, data_file: Path, tmp_path: Path, variant: str
) -> None:
    """Killed in a process of its own, anywhere after its first epoch; ended in this one."""
    settings = {**SLOW, "agent.algorithm": variant, **VARIANTS[variant]}
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    kill_on_the_way(command_line(settings, data_file, killed), killed)
    assert list((killed / "checkpoints").glob("epoch_*.pt"))
    for output in (straight, killed):
        train(output, **{key.replace(".", "__"): value for key, value in settings.items()})
    assert_same_end(killed, straight, int(settings["epochs"]))


class Crash(BaseException):
    """Stands for a kill; nothing catches it."""


@pytest.mark.parametrize("nth", [2, 4, 7, 8, 9, 10, 11, 12, 13, 26, 30])
def test_a_crash_at_any_publication_loses_nothing(
    train: Train, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    replace, count = Path.replace, 0

    def crash_at_nth(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == nth:
            raise Crash
        return replace(self, target)

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(Path, "replace", crash_at_nth)
        train(tmp_path)
    train(tmp_path)
    assert_same_end(tmp_path, trained, 5)


def test_a_damaged_newest_checkpoint_is_passed_over(
    train: Train, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, epochs="4")
    newest = tmp_path / "checkpoints" / "epoch_0004.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    train(tmp_path)
    out = capsys.readouterr().out
    assert "warning" in out
    assert "epoch_0004.pt" in out
    assert "resumed after epoch 3" in out
    assert_same_end(tmp_path, trained, 5)


def test_when_every_checkpoint_is_damaged_the_run_starts_over(train: Train, trained: Path, tmp_path: Path) -> None:
    train(tmp_path, epochs="2")
    for path in (tmp_path / "checkpoints").glob("*.pt"):
        path.write_bytes(b"")
    train(tmp_path)
    assert_same_end(tmp_path, trained, 5)


def test_A64_a_complete_run_started_again_publishes_its_results_again(
    train: Train, trained: Path, tmp_path: Path
) -> None:
    """Only the checkpoints survive an interruption: model and output are empty again."""
    source = trained / "checkpoints"
    (tmp_path / "checkpoints").mkdir()
    for path in source.iterdir():
        (tmp_path / "checkpoints" / path.name).write_bytes(path.read_bytes())
    train(tmp_path)
    assert_same_end(tmp_path, trained, 5)


def test_A61_stale_checkpoints_that_a_sync_brought_back_do_no_harm(train: Train, trained: Path, tmp_path: Path) -> None:
    train(tmp_path, epochs="2", keep_checkpoints="9")
    train(tmp_path, keep_checkpoints="1")
    best = json.loads((tmp_path / "checkpoints" / "best.json").read_text())["epoch"]
    assert {path.name for path in (tmp_path / "checkpoints").glob("*.pt")} == {
        f"epoch_{epoch:04d}.pt" for epoch in {5, best}
    }
    assert rows_without_times(tmp_path) == rows_without_times(trained)


def test_a_finished_run_can_be_extended(train: Train, trained: Path, tmp_path: Path) -> None:
    train(tmp_path, epochs="3")
    train(tmp_path, epochs="5")
    assert rows_without_times(tmp_path) == rows_without_times(trained)


def test_a_checkpoint_of_another_run_is_refused_with_what_differs(
    train: Train, tmp_path: Path, frame: Callable[..., object]
) -> None:
    train(tmp_path / "out", epochs="2")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"agent\.discount is 0\.9, there 0\.99; seed is 3, there 0"):
        train(tmp_path / "out", agent__discount="0.9", seed="3")
    other = tmp_path / "other.csv"
    frame(seed=5).to_csv(other, index=False)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="made from other data"):
        train(tmp_path / "out", data=other, epochs="2")
    with pytest.raises(InputError, match="has 2 epochs, but the preset asks for 1"):
        train(tmp_path / "out", epochs="1")
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_A88_SIGTERM_publishes_the_last_complete_epoch_and_exits_143(
    command_line: CommandLine, data_file: Path, tmp_path: Path
) -> None:
    process = start(command_line({**SLOW, "epochs": "1000", "ope.q_function": "fqe"}, data_file, tmp_path))
    wait_for_line(process, "epoch=2 ")
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 143, output
    assert time.monotonic() - asked < 10
    rows = rows_without_times(tmp_path)
    latest = json.loads((tmp_path / "checkpoints" / "latest.json").read_text())
    assert latest["epoch"] == len(rows) >= 2
    assert (tmp_path / "model" / "model.json").exists()
    assert f"stopped on request after epoch {len(rows)}" in output


def test_wrong_input_exits_2_with_a_message_and_no_traceback(
    command_line: CommandLine, data_file: Path, tmp_path: Path
) -> None:
    process = start(command_line({"preset": "cartpole"}, data_file, tmp_path / "out"))
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert "there is no preset 'cartpole'" in output
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()


def test_BATCHRL_ML_ROOT_says_where_the_tree_of_the_job_lies(
    data_file: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    channel = tmp_path / "input" / "data" / "training"
    channel.mkdir(parents=True)
    (channel / "log.csv").write_bytes(data_file.read_bytes())
    given = command_line({"epochs": "1"}, data_file, tmp_path)
    arguments = given[: given.index("--training")]
    environment = {**os.environ, "BATCHRL_ML_ROOT": str(tmp_path), "TRAINING_JOB_NAME": "my-job"}

    def run() -> str:
        words = [sys.executable, str(SCRIPT), *arguments]
        done = subprocess.run(words, env=environment, timeout=DEADLINE_S, check=True, capture_output=True, text=True)
        return done.stdout

    said = run()
    assert len(rows_without_times(tmp_path)) == 1
    assert json.loads((tmp_path / "model" / "model.json").read_text())["job_name"] == "my-job"
    # Nothing syncs a folder of checkpoints: they go where Coach put them.
    assert "checkpoints go into output.tar.gz (checkpoint/)" in said
    kept = tmp_path / "output" / "data" / "checkpoint"
    assert {"best.json", "latest.json", "epoch_0001.pt"} <= {path.name for path in kept.iterdir()}
    assert not (tmp_path / "checkpoints").exists()
    # The platform makes the folder that it syncs.
    (tmp_path / "checkpoints").mkdir()
    shutil.rmtree(kept)
    assert "output.tar.gz" not in run()
    assert (tmp_path / "checkpoints" / "epoch_0001.pt").is_file() and not kept.exists()


def test_published_bytes_reach_the_disk_before_they_get_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (order.append("sync"), sync(number))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append("rename"), replace(self, target))[1])
    assert files.publish(tmp_path / "a", b"x") == Published(tmp_path / "a", 1, files.hashlib.sha256(b"x").hexdigest())
    assert order == ["sync", "rename"]


def test_a_run_of_a_version_that_cut_at_transitions_goes_on_with_its_split(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its checkpoints and models lack the settings of today's division."""
    straight, old = tmp_path / "straight", tmp_path / "old"
    train(straight, data__split_by="transitions", data__test_ratio="0.2")
    train(old, data__split_by="transitions", data__test_ratio="0.2", epochs="3")
    newest = old / "checkpoints" / "epoch_0003.pt"
    state = read_state(newest)
    preset = json.loads(state["preset"])
    del preset["data"]["split_by"], preset["data"]["stratify"]
    preset["ope"]["target_policy"] = "softmax"  # the default then, though the greedy policy was scored
    state["preset"] = json.dumps(preset)
    files.publish_state(newest, state)

    with pytest.raises(InputError, match=r"data.stratify is 'length', there 'none'"):
        train(old, data__test_ratio="0.2", data__stratify="length")
    train(old, data__test_ratio="0.2")
    assert "resumed after epoch 3 of 5" in capsys.readouterr().out
    assert_same_end(old, straight, 5)
    resolved = json.loads((old / "model" / "resolved_preset.json").read_text())
    assert resolved["data"]["split_by"] == "transitions"


def test_the_division_of_a_run_cannot_change_while_it_resumes(train: Train, tmp_path: Path) -> None:
    train(tmp_path, epochs="2")
    with pytest.raises(InputError, match=r"data.split_by is 'transitions', there 'episodes'"):
        train(tmp_path, data__split_by="transitions")
