"""Fewer copies of a large environment than are played: how many fit, and that turns change nothing."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scripts import script_module

import presets.schema
from batchrl.collect import copies
from batchrl.collect.copies import GIB, MIB, fitting
from batchrl.collect.environments import EnvId, Simulator, make_simulator
from batchrl.collect.evaluation import evaluate
from batchrl.collect.rollouts import Rollouts, collect
from batchrl.collect.table import to_frame, write_table
from batchrl.commandline.arguments import run_script
from batchrl.contract.limits import COPIES_GIB
from batchrl.contract.paths import JobPaths
from batchrl.policies import EpsilonGreedyPolicy, FixedPolicy, Floats32, Floats64, Policy, UniformPolicy

TABLE_MIB = 8


class Large(gym.Env[Any, Any]):
    """A random walk over five places that keeps a table of its own; an episode ends at either end."""

    observation_space = gym.spaces.Discrete(5)
    action_space = gym.spaces.Discrete(3, start=-1)

    def __init__(self) -> None:
        self.table = self.made_table()
        self.place = 2

    def made_table(self) -> Any:
        return np.ones((TABLE_MIB, MIB // 8))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(1, 4))
        return self.place, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place = int(np.clip(self.place + action + self.np_random.integers(-1, 2), 0, 4))
        return self.place, float(self.np_random.random() + self.place), self.place in (0, 4), False, {}


class Sharing(Large):
    """The same with one table for all copies."""

    shared = np.ones((TABLE_MIB, MIB // 8))

    def made_table(self) -> Any:
        return self.shared


gym.register("Large-v0", Large, disable_env_checker=True, max_episode_steps=40)
gym.register("Sharing-v0", Sharing, disable_env_checker=True, max_episode_steps=40)


class Homewards:
    """Goes to the middle, more or less."""

    def action_probabilities(self, states: Floats32) -> Floats64:
        leftwards = states @ np.array([0.1, 0.2, 0.3, 0.5, 0.6])
        return np.stack([leftwards, np.full(len(states), 0.2), 0.8 - leftwards], axis=1)


def simulator(n_envs: int, copies_of_it: float, name: str = "Large-v0") -> Simulator:
    return make_simulator(EnvId(name), n_envs, (copies_of_it + 0.5) * TABLE_MIB * MIB / GIB)


def test_as_many_copies_are_made_as_fit() -> None:
    found = simulator(20, 4)
    assert (found.copies, found.n_envs) == (4, 20)
    assert found.bytes_each is not None and TABLE_MIB * MIB <= found.bytes_each < 1.2 * TABLE_MIB * MIB
    assert found.notice() == (
        "one environment takes 8 MiB: 4 of 20 are in memory at a time and play in turns; the episodes are those of 20 "
        "at once"
    )


def test_one_copy_is_made_however_large_it_is() -> None:
    assert simulator(20, -0.4).copies == 1


def test_where_all_fit_nothing_is_said() -> None:
    found = simulator(3, 4)
    assert (found.copies, found.n_envs, found.notice()) == (3, 3, None)
    cartpole = make_simulator(EnvId("CartPole-v0"), 500, 1e-6)
    # Its vector form is one object: there are no copies.
    assert (cartpole.copies, cartpole.n_envs, cartpole.notice()) == (500, 500, None)


def test_a_table_that_copies_share_counts_once() -> None:
    assert simulator(50, 4, "Sharing-v0").copies == 50


def test_no_more_than_the_bound_is_ever_held() -> None:
    simulator(2, 4)  # what is imported and cached on the way
    tracemalloc.start()
    try:
        held = simulator(100, 4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held.copies == 4
    assert peak < 5 * TABLE_MIB * MIB


def test_what_the_process_holds_counts_where_python_does_not_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [0]
    monkeypatch.setattr(copies, "_anonymous_bytes", lambda: held[0])

    class InC:
        def __init__(self) -> None:
            # The first pays for its library as well.
            held[0] += 30 * MIB if held[0] == 0 else 10 * MIB

        def close(self) -> None:
            pass

    assert fitting(InC, 20, 100 * MIB) == copies.Fitting(10, 10 * MIB)


def test_memory_is_measured_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    assert copies._anonymous_bytes() > MIB
    monkeypatch.setattr(copies, "STATUS", tmp_path / "none")
    assert copies._anonymous_bytes() == 0
    assert simulator(20, 4).copies == 4


@pytest.mark.parametrize("shape", [{"episodes": 3}, {"steps": 7}], ids=str)
@pytest.mark.parametrize(
    "policy",
    [UniformPolicy(3), FixedPolicy(np.random.default_rng(0).dirichlet(np.ones(3), 11)), Homewards()],
    ids=["fixed", "a row each", "of the state"],
)
@pytest.mark.parametrize("fit", [1, 4, 10])
def test_turns_change_nothing(policy: Policy, shape: dict[str, int], fit: int) -> None:
    def played(n: int) -> tuple[Rollouts, list[tuple[int, int]]]:
        told: list[tuple[int, int]] = []
        found = simulator(11, n)
        assert found.copies == n
        return collect(found, policy, seed=5, progress=lambda done, of: told.append((done, of)), **shape), told

    (turns, told), (at_once, _) = played(fit), played(11)
    for field in dataclasses.fields(Rollouts):
        np.testing.assert_array_equal(getattr(turns, field.name), getattr(at_once, field.name), err_msg=field.name)
    everything = 11 * next(iter(shape.values()))
    assert told[-1] == (everything, everything) and told == sorted(told)


def test_an_evaluation_in_turns_is_the_same_and_says_so() -> None:
    def found(n: int) -> dict[str, Any]:
        options: dict[str, Any] = {"evaluate_steps": 600, "min_episodes": 22, "num_envs": 11, "seed": 3}
        policy = EpsilonGreedyPolicy(Homewards(), 0.0)
        return evaluate(policy, EnvId("Large-v0"), simulator=simulator(11, n), discount=0.9, **options).to_dict()

    turns, at_once = found(3), found(11)
    assert (turns.pop("copies"), at_once.pop("copies")) == (3, 11)
    assert turns == at_once and turns["num_envs"] == 11 and turns["episodes"] > 22


def test_the_collector_plays_in_turns_and_says_so(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    main = script_module("collect").main
    words = ["--env", "Large-v0", "--num-envs", "6", "--episodes", "2", "--json"]

    def collected(name: str, *options: str) -> tuple[bytes, str]:
        assert main([*words, "--output", str(tmp_path / name), *options]) == 0
        return (tmp_path / name).read_bytes(), capsys.readouterr().err

    at_once, said = collected("at_once.csv")
    assert "in turns" not in said
    turns, said = collected("turns.csv", "--env-memory", "0.02")
    assert "Large-v0: one environment takes 8 MiB: 2 of 6 are in memory at a time" in said
    assert "(--env-memory 0.02)" in said
    assert turns == at_once
    assert main([*words, "--output", str(tmp_path / "none.csv"), "--env-memory", "0"]) == 2
    assert "--env-memory got 0" in capsys.readouterr().err
    assert not (tmp_path / "none.csv").exists()


def test_the_script_evaluates_in_turns_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.csv"
    write_table(to_frame(collect(simulator(10, 10), UniformPolicy(3), episodes=5)), log)
    small = [
        "--epochs",
        "1",
        "--reward_model.epochs",
        "1",
        "--ope.bootstrap_resamples",
        "10",
        "--agent.embedder",
        "[8]",
    ]
    words = ["--preset", "cartpole-ddqn-bcq", "--training", str(log), "--output", str(tmp_path / "trained"), *small]
    assert run_script(script_module("train").train, words, "") == 0
    evaluate_script = script_module("evaluate")

    def evaluated(name: str, *options: str) -> dict[str, Any]:
        words = ["--preset", "cartpole-ddqn-bcq-env", "--env.id", "Large-v0", "--env.max_episode_steps", "null"]
        words += ["--num_envs", "8", "--min_episodes", "16", "--gif", "false", *options]
        words += ["--checkpoint", str(tmp_path / "trained" / "checkpoints"), "--output", str(tmp_path / name)]
        assert run_script(evaluate_script.main, words, "", evaluate_script.OPTIONS) == 0
        found: dict[str, Any] = json.loads((JobPaths(tmp_path / name).output_data / "evaluation.json").read_text())
        return found

    capsys.readouterr()
    at_once = evaluated("at_once")
    assert "in turns" not in capsys.readouterr().out
    turns = evaluated("turns", "--env_memory_gib", str(2.5 * TABLE_MIB * MIB / GIB))
    said = capsys.readouterr().out
    assert "Large-v0: one environment takes 8 MiB: 2 of 8 are in memory at a time and play in turns" in said
    assert (turns["copies"], turns["num_envs"], at_once["copies"]) == (2, 8, 8)
    assert turns["returns"] == at_once["returns"] and len(turns["returns"]) >= 16


def test_the_bound_has_one_value() -> None:
    assert presets.schema.EvaluatePreset(name="x").env_memory_gib == COPIES_GIB
