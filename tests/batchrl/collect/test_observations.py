"""Observations of every space that has a fixed size, against Gymnasium's own flattening, and what has none."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten
from modelservers import policy_model
from PIL import Image

from batchrl.checkpoints.policy import LoadedPolicy
from batchrl.collect.environments import EnvId, make_simulator
from batchrl.collect.evaluation import evaluate, record_gif
from batchrl.collect.observations import flat_size, flat_states
from batchrl.collect.rollouts import collect
from batchrl.collect.table import to_frame, write_table
from batchrl.collect.vectored import VectoredGymEnvironment
from batchrl.contract.errors import InputError
from batchrl.data.loader import load_dataset
from batchrl.policies import FixedPolicy, UniformPolicy
from presets.dataschema import DataSettings

NESTED = spaces.Dict(
    {
        "visits": spaces.Discrete(4, start=-1),
        "arm": spaces.Tuple([spaces.Box(-1, 1, (2, 3)), spaces.MultiBinary([2, 2])]),
        "cards": spaces.MultiDiscrete([[2, 3], [4, 2]], start=[[0, 1], [-2, 5]]),
        "inner": spaces.Dict({"b": spaces.Box(0, 255, (3,), np.uint8), "a": spaces.Discrete(2)}),
    }
)
SPACES: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-5, 5, (2, 2), np.float64),
    "number": spaces.Box(-5, 5, ()),
    "discrete": spaces.Discrete(5, start=2),
    "multi-discrete": spaces.MultiDiscrete([3, 1, 4]),
    "multi-binary": spaces.MultiBinary(3),
    "tuple": spaces.Tuple([spaces.Discrete(32), spaces.Discrete(11), spaces.Discrete(2)]),
    "nested": NESTED,
}


class WalkEnv(gym.Env[Any, Any]):
    """Observes what its space samples, for a few steps; it keeps what it showed."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    action_space = spaces.Discrete(2)

    def __init__(self, space: str = "nested", render_mode: str | None = None) -> None:
        self.observation_space = SPACES[space]
        self.render_mode = render_mode
        self.shown: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.left = int(self.np_random.integers(2, 6))
        return self._observed(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return self._observed(), float(action), self.left == 0, False, {}

    def render(self) -> Any:
        return np.zeros((4, 4, 3), np.uint8)

    def _observed(self) -> Any:
        self.shown.append(self.observation_space.sample())
        return self.shown[-1]


class OutsideEnv(WalkEnv):
    """Observes what is not in its space."""

    def _observed(self) -> Any:
        return {**super()._observed(), "visits": np.int64(3)}


for _name in SPACES:
    gym.register(f"Walk-{_name}-v0", WalkEnv, kwargs={"space": _name}, disable_env_checker=True)
gym.register("Outside-v0", OutsideEnv, disable_env_checker=True)
WALK = EnvId("Walk-nested-v0")


@pytest.mark.parametrize("kind", SPACES)
def test_states_are_those_of_gymnasiums_flattening_in_every_copy(kind: str) -> None:
    space = SPACES[kind]
    simulator = make_simulator(EnvId(f"Walk-{kind}-v0"), 3)
    rollouts = collect(simulator, UniformPolicy(2), episodes=4, seed=0)
    assert simulator.n_features == flat_size(space, "it") == flatdim(space)
    expected = []
    for copy in simulator.vector.envs:  # type: ignore[attr-defined]
        shown = copy.unwrapped.shown
        expected.append(np.array([flatten(space, observation) for observation in shown], np.float32))
    for environment in range(3):
        mine = rollouts.episode_ids % 3 == environment
        whole = np.concatenate([rollouts.states[mine], rollouts.next_states[mine]])
        rows = {row.tobytes() for row in expected[environment]}
        assert len(whole) and all(row.tobytes() in rows for row in whole)
        np.testing.assert_array_equal(rollouts.states[mine][0], expected[environment][0])


@pytest.mark.parametrize("kind", SPACES)
def test_a_batch_is_flattened_as_each_alone(kind: str) -> None:
    space = SPACES[kind]
    space.seed(1)
    batch = gym.vector.utils.create_empty_array(space, 7)
    seen = [space.sample() for _ in range(7)]
    together = gym.vector.utils.concatenate(space, seen, batch)
    expected = np.array([flatten(space, each) for each in seen], np.float32)
    found = flat_states(space, together, 7)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_such_an_environment_is_collected_read_and_evaluated(tmp_path: Path) -> None:
    width = flatdim(NESTED)
    rollouts = collect(make_simulator(WALK, 4), UniformPolicy(2), episodes=5, seed=3)
    write_table(to_frame(rollouts, with_ends=True), tmp_path / "log.csv")
    read = load_dataset(tmp_path / "log.csv", DataSettings()).dataset
    assert read.n_features == width and read.n_episodes == 20
    np.testing.assert_array_equal(read.states, rollouts.states)
    policy = LoadedPolicy(policy_model(n_features=width, n_actions=2), {})
    found = evaluate(policy, WALK, evaluate_steps=20, num_envs=3, min_episodes=6, seed=1)
    assert found.episodes >= 6 and np.isfinite(found.mean_return)
    assert Image.open(io.BytesIO(record_gif(policy, WALK, 0))).format == "GIF"
    alone = VectoredGymEnvironment(WALK.name, 2)
    assert alone.state_dims == width
    assert alone.reset(alone.get_environment_ids()[0]).shape == (width,)


def test_blackjack_is_three_one_hot_vectors() -> None:
    rollouts = collect(make_simulator(EnvId("Blackjack-v1"), 5), FixedPolicy([0.5, 0.5]), episodes=10, seed=0)
    assert rollouts.states.shape[1] == 32 + 11 + 2
    assert (rollouts.states.sum(axis=1) == 3).all()
    cards = rollouts.states[:, :32].argmax(axis=1)
    assert cards.min() >= 4 and cards.max() <= 21


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (spaces.Sequence(spaces.Discrete(2)), "environment it observes Sequence, which is no fixed number"),
        (spaces.Dict({"a": spaces.Discrete(2), "text": spaces.Text(5)}), "in its part ['text'] Text"),
        (spaces.Tuple([spaces.Dict({"g": spaces.Graph(spaces.Box(0, 1), None)})]), "in its part [0]['g'] Graph"),
        (spaces.OneOf([spaces.Discrete(2), spaces.Box(0, 1)]), "OneOf"),
    ],
)
def test_what_has_no_fixed_size_is_named_with_its_place(space: spaces.Space[Any], says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)) as refused:
        flat_size(space, "it")
    assert "MultiDiscrete" in str(refused.value.hint)


def test_an_observation_outside_of_its_space_is_told() -> None:
    with pytest.raises(InputError, match=r"outside of its own space Discrete\(4, start=-1\): \[4\]"):
        collect(make_simulator(EnvId("Outside-v0"), 2), UniformPolicy(2), episodes=1)
