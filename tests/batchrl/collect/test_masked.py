"""Environments that say which actions can be taken: whoever acts there keeps to it, and the log has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from modelservers import policy_model

from batchrl.checkpoints.policy import LoadedPolicy
from batchrl.collect.environments import EnvId, make_simulator
from batchrl.collect.evaluation import evaluate, record_gif
from batchrl.collect.rollouts import Rollouts, collect
from batchrl.collect.table import to_frame, write_table
from batchrl.collect.vectored import VectoredGymEnvironment
from batchrl.contract.errors import InputError
from batchrl.data.loader import load_dataset
from batchrl.policies import EpsilonGreedyPolicy, FixedPolicy, Floats32, Floats64, GreedyPolicy, Policy, UniformPolicy
from presets.dataschema import DataSettings

N_ACTIONS = 4


class MaskedEnv(gym.Env[Any, Any]):
    """Counts to a number of its own; a step with an action that its last info did not allow is an error."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), dtype=np.float64)
    action_space = gym.spaces.Discrete(N_ACTIONS)
    always = True

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(2, 9))
        return self._told()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.mask[int(action)], f"action {action} of {self.mask}"
        self.left -= 1
        observed, info = self._told()
        if not self.always:
            info = {}
        return observed, float(action), self.left == 0, False, info

    def render(self) -> Any:
        return np.zeros((4, 4, 3), np.uint8)

    def _told(self) -> tuple[Any, dict[str, Any]]:
        self.mask = self.np_random.random(N_ACTIONS) < 0.5
        self.mask[int(self.np_random.integers(N_ACTIONS))] = True
        if self.left == 0:
            self.mask = np.zeros(N_ACTIONS, np.bool_)
        state = np.array([self.left, self.mask.sum(), self.np_random.normal()])
        return state, {"action_mask": self.mask.astype(np.int8)}


class ForgetfulEnv(MaskedEnv):
    always = False


class WrongEnv(MaskedEnv):
    def _told(self) -> tuple[Any, dict[str, Any]]:
        state, _ = super()._told()
        return state, {"action_mask": np.ones(N_ACTIONS + 1)}


for _name, _kind in (("Masked-v0", MaskedEnv), ("Forgetful-v0", ForgetfulEnv), ("WrongMask-v0", WrongEnv)):
    gym.register(_name, _kind, disable_env_checker=True)
MASKED = EnvId("Masked-v0")


class Leaning:
    """A policy that knows probabilities of all actions alone."""

    def action_probabilities(self, states: Floats32) -> Floats64:
        chances = np.tile([0.7, 0.2, 0.1, 0.0], (len(states), 1))
        return np.where(states[:, :1] % 2 == 1, np.roll(chances, 1, axis=1), chances)


def trained(needs: bool = False) -> LoadedPolicy:
    facts = {"source": "here"} | ({"eligible_actions": True} if needs else {})
    return LoadedPolicy(policy_model(n_actions=N_ACTIONS), facts)


POLICIES: dict[str, Policy] = {
    "uniform": UniformPolicy(N_ACTIONS),
    "constant": FixedPolicy.constant(2, N_ACTIONS),
    "a row each": FixedPolicy(np.random.default_rng(0).dirichlet(np.ones(N_ACTIONS), 7)),
    "leaning": Leaning(),
    "greedy": GreedyPolicy(Leaning()),
    "epsilon": EpsilonGreedyPolicy(Leaning(), 0.4),
    "trained": trained(),
    "trained on lists": trained(needs=True),
    "trained, greedy": GreedyPolicy(trained(needs=True)),
}


def check(played: Rollouts) -> None:
    assert played.eligible is not None
    assert played.eligible[np.arange(played.steps), played.actions].all()
    assert not played.probabilities[~played.eligible].any()
    np.testing.assert_allclose(played.probabilities.sum(axis=1), 1, rtol=1e-12)
    # What the state says of its mask is that of the row, not of another one.
    assert np.array_equal(played.eligible.sum(axis=1), played.states[:, 1].astype(int))


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_whoever_acts_keeps_to_the_masks(name: str) -> None:
    """The environment itself would fail otherwise."""
    played = collect(make_simulator(MASKED, 7), POLICIES[name], episodes=5, seed=3)
    assert len(played.starts) == 35
    check(played)
    check(collect(make_simulator(MASKED, 7), POLICIES[name], steps=11, seed=3))


def test_probabilities_are_shared_out_among_what_can_be_taken() -> None:
    played = collect(make_simulator(MASKED, 3), Leaning(), episodes=4, seed=0)
    assert played.eligible is not None
    for row in range(played.steps):
        wanted = np.where(played.eligible[row], Leaning().action_probabilities(played.states[row : row + 1])[0], 0)
        if wanted.sum() == 0:
            wanted = played.eligible[row].astype(float)
        np.testing.assert_allclose(played.probabilities[row], wanted / wanted.sum())


def test_copies_that_take_turns_play_the_same() -> None:
    whole = collect(make_simulator(MASKED, 6), Leaning(), episodes=3, seed=1)
    some = replace(make_simulator(MASKED, 4), wanted=6)
    turns = collect(some, Leaning(), episodes=3, seed=1)
    assert np.array_equal(whole.actions, turns.actions)
    assert whole.eligible is not None
    assert turns.eligible is not None
    assert np.array_equal(whole.eligible, turns.eligible)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_log_of_it_has_the_lists(tmp_path: Path, suffix: str) -> None:
    played = collect(make_simulator(MASKED, 3), Leaning(), episodes=6, seed=2)
    write_table(to_frame(played, with_ends=True), tmp_path / f"log{suffix}")
    data = load_dataset(tmp_path / f"log{suffix}", DataSettings()).dataset
    assert data.eligible is not None
    assert np.array_equal(data.eligible, played.eligible)


def test_evaluations_and_pictures_keep_to_the_masks_too() -> None:
    result = evaluate(trained(needs=True), MASKED, evaluate_steps=50, min_episodes=4, num_envs=2, seed=0)
    assert result.episodes >= 4
    assert record_gif(trained(needs=True), MASKED, 0)[:3] == b"GIF"


def test_a_policy_that_has_to_be_told_is_refused_where_nothing_is_said() -> None:
    with pytest.raises(InputError, match="was trained on rows that list the actions"):
        trained(needs=True).action_probabilities(np.zeros((1, 3), np.float32))


def test_masks_that_are_none_and_masks_that_are_left_out_are_told() -> None:
    with pytest.raises(InputError, match="no mask of its 4 actions"):
        collect(make_simulator(EnvId("WrongMask-v0"), 2), Leaning(), episodes=1)
    with pytest.raises(InputError, match="said at its reset which actions can be taken"):
        collect(make_simulator(EnvId("Forgetful-v0"), 2), Leaning(), episodes=1)


def test_environments_that_are_stepped_alone_are_refused() -> None:
    environments = VectoredGymEnvironment("Masked-v0", 2)
    environments.get_environment_states()
    with pytest.raises((InputError, AssertionError)):
        environments.collect_rollouts_with_given_action_probs(num_episodes=1, action_probs=[[0.25] * 4] * 2)
