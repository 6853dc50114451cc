"""The collector: what it keeps, in what order, from whom, and how it can be repeated."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from batchrl.collect.environments import EnvId, Simulator, make_simulator
from batchrl.collect.rollouts import Rollouts, collect
from batchrl.contract.errors import InputError
from batchrl.policies import EpsilonGreedyPolicy, FixedPolicy, Floats32, Floats64, GreedyPolicy, UniformPolicy

CARTPOLE = EnvId("CartPole-v0")


class CountingEnv(gym.Env[Any, Any]):
    """Observes ``[episodes begun, steps done, sum of actions]``; an episode has as many steps as its number says.

    Each reset is counted, so that a row of a reset, or of another episode, cannot be taken for a step.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), dtype=np.float64)
    action_space = gym.spaces.Discrete(3, start=-1)

    def __init__(self) -> None:
        self.episode = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode = 1 if seed is not None else self.episode + 1
        self.done_steps = 0
        self.total = 0
        return self._observed(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action in (-1, 0, 1)
        self.done_steps += 1
        self.total += int(action)
        return self._observed(), float(10 * self.episode + self.done_steps), self.done_steps >= self.episode, False, {}

    def _observed(self) -> Any:
        return np.array([self.episode, self.done_steps, self.total], dtype=np.float64)


class DiscreteEnv(CountingEnv):
    """Observes its number of steps as one of five."""

    observation_space = gym.spaces.Discrete(5, start=2)  # type: ignore[assignment]

    def _observed(self) -> Any:
        return np.int64(2 + min(self.done_steps, 4))


gym.register("Counting-v0", CountingEnv, disable_env_checker=True)
gym.register("Steps-v0", DiscreteEnv, disable_env_checker=True)


def cartpole(n_envs: int = 10, **options: int) -> Simulator:
    return make_simulator(EnvId("CartPole-v0", **options), n_envs)


def uniform_rollouts(n_envs: int = 10, **options: Any) -> Rollouts:
    return collect(cartpole(n_envs), UniformPolicy(2), **options)


class Leaning:
    """Pushes to the side that the pole leans to, mostly."""

    def action_probabilities(self, states: Floats32) -> Floats64:
        right = np.where(states[:, 2] > 0, 0.9, 0.1)
        return np.stack([1 - right, right], axis=1)


def test_every_environment_plays_the_same_number_of_whole_episodes() -> None:
    rollouts = uniform_rollouts(7, episodes=3)
    ids = rollouts.episode_ids[rollouts.starts]
    assert sorted(ids) == list(range(21))
    assert rollouts.terminal[rollouts.lasts].all() and rollouts.terminal.sum() == 21
    assert not rollouts.unfinished.any()


def test_rows_of_resets_and_of_idling_are_dropped() -> None:
    simulator = make_simulator(EnvId("Counting-v0"), 4)
    rollouts = collect(simulator, UniformPolicy(3), episodes=3)
    # Episodes of 1, 2 and 3 steps, four times, each step with the reward that only it can have.
    assert rollouts.rewards.tolist() == [11, 21, 22, 31, 32, 33] * 4
    assert rollouts.states[:, 0].tolist() == [1, 2, 2, 3, 3, 3] * 4
    assert rollouts.states[:, 1].tolist() == [0, 0, 1, 0, 1, 2] * 4
    assert rollouts.episode_ids.tolist() == [e + 4 * k for e in range(4) for k in (0, 1, 1, 2, 2, 2)]
    assert rollouts.returns.tolist() == [11, 43, 96] * 4


def test_actions_and_next_states_belong_to_their_row() -> None:
    rollouts = collect(make_simulator(EnvId("Counting-v0"), 5), UniformPolicy(3), episodes=6)
    assert set(np.unique(rollouts.actions)) == {0, 1, 2}
    moved = rollouts.next_states[:, 2] - rollouts.states[:, 2]
    np.testing.assert_array_equal(moved, rollouts.actions - 1)
    np.testing.assert_array_equal(rollouts.next_states[:, 1], rollouts.states[:, 1] + 1)
    inner = np.setdiff1d(np.arange(rollouts.steps), rollouts.lasts)
    np.testing.assert_array_equal(rollouts.next_states[inner], rollouts.states[inner + 1])


def test_native_and_separate_environments_give_the_same_distribution() -> None:
    native = uniform_rollouts(50, episodes=20).returns
    vector = gym.make_vec("CartPole-v1", 50, vectorization_mode="sync", max_episode_steps=200)
    separate = collect(Simulator(vector, 2, 4), UniformPolicy(2), episodes=20).returns
    error = np.hypot(native.std(), separate.std()) / np.sqrt(1000)
    assert abs(native.mean() - separate.mean()) < 4 * error


def test_random_cartpole_episodes_return_22_2() -> None:
    # 20,000 episodes: the standard error is 0.083, so that 0.4 is almost five of them.
    returns = uniform_rollouts(100, episodes=200, seed=1).returns
    assert len(returns) == 20_000
    assert abs(returns.mean() - 22.2) < 0.4


def test_the_same_seed_repeats_everything_and_another_does_not() -> None:
    first, again, other = (collect(cartpole(), Leaning(), episodes=2, seed=seed) for seed in (3, 3, 4))
    for name in Rollouts.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.states[0], other.states[0])


def test_a_simulator_may_be_used_again() -> None:
    simulator = cartpole()
    first = collect(simulator, UniformPolicy(2), episodes=2, seed=5)
    collect(simulator, Leaning(), steps=7, seed=6)
    again = collect(simulator, UniformPolicy(2), episodes=2, seed=5)
    np.testing.assert_array_equal(first.states, again.states)


def test_steps_mode_plays_exactly_so_many_steps_and_marks_the_cuts() -> None:
    rollouts = collect(make_simulator(EnvId("Counting-v0"), 3), UniformPolicy(3), steps=8)
    # 1 + 2 + 3 steps, then two of the fourth episode.
    assert rollouts.rewards.tolist() == [11, 21, 22, 31, 32, 33, 41, 42] * 3
    assert np.flatnonzero(rollouts.truncated).tolist() == [7, 15, 23]
    assert np.flatnonzero(rollouts.unfinished).tolist() == [7, 15, 23]
    assert not (rollouts.terminal & rollouts.truncated).any()


def test_steps_mode_that_ends_with_an_episode_cuts_nothing() -> None:
    rollouts = collect(make_simulator(EnvId("Counting-v0"), 2), UniformPolicy(3), steps=6)
    assert not rollouts.truncated.any() and rollouts.terminal.sum() == 6


def test_the_episode_cap_truncates() -> None:
    rollouts = collect(cartpole(20, max_episode_steps=12), UniformPolicy(2), episodes=5)
    assert rollouts.returns.max() == 12
    assert rollouts.truncated.any() and not rollouts.unfinished.any()
    assert (rollouts.terminal ^ rollouts.truncated)[rollouts.lasts].all()


def test_cartpole_v0_is_version_1_with_a_cap_of_200_steps() -> None:
    balance = collect(cartpole(4), Balance(), episodes=1)
    assert balance.returns.tolist() == [200] * 4
    assert balance.truncated[balance.lasts].all()


class Balance:
    """A controller that keeps the pole up."""

    def action_probabilities(self, states: Floats32) -> Floats64:
        right = states @ np.array([0.1, 0.5, 10.0, 2.0]) > 0
        return np.stack([~right, right], axis=1).astype(np.float64)


def test_actions_follow_the_probabilities_that_are_written_down() -> None:
    rollouts = collect(cartpole(50), Leaning(), episodes=40)
    leans_right = rollouts.states[:, 2] > 0
    np.testing.assert_allclose(rollouts.probabilities[leans_right], [[0.1, 0.9]] * leans_right.sum())
    taken = rollouts.probabilities[np.arange(rollouts.steps), rollouts.actions]
    expected = 0.9 * 0.9 + 0.1 * 0.1
    assert abs(taken.mean() - expected) < 5 * taken.std() / np.sqrt(rollouts.steps)


def test_an_action_of_probability_zero_is_never_drawn() -> None:
    simulator = make_simulator(EnvId("Counting-v0"), 50)
    rollouts = collect(simulator, FixedPolicy([0.3, 0.7, 0.0]), steps=400)
    assert set(np.unique(rollouts.actions)) == {0, 1}
    rollouts = collect(simulator, FixedPolicy([0.0, 0.1 + 0.2, 0.7]), steps=400)
    assert set(np.unique(rollouts.actions)) == {1, 2}
    assert abs((rollouts.actions == 1).mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / rollouts.steps)


def test_each_environment_may_have_probabilities_of_its_own() -> None:
    rollouts = collect(cartpole(2), FixedPolicy([[1, 0], [0, 1]]), episodes=3)
    np.testing.assert_array_equal(rollouts.actions, rollouts.episode_ids % 2)


def test_progress_counts_up_to_the_whole() -> None:
    told: list[tuple[int, int]] = []
    uniform_rollouts(20, episodes=10, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told) and told[-1] == (200, 200) and len(told) > 1


def test_discrete_observations_become_one_hot() -> None:
    rollouts = collect(make_simulator(EnvId("Steps-v0"), 2), UniformPolicy(3), episodes=3)
    assert rollouts.states.shape[1] == 5
    assert rollouts.states.argmax(axis=1).tolist() == [0, 0, 1, 0, 1, 2] * 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Nothing-v0", "there is no environment 'Nothing-v0'"),
        ("no_such_module:CartPole-v1", "there is no environment 'no_such_module:CartPole-v1'"),
        ("Pendulum-v1", "only Discrete actions"),
    ],
)
def test_an_environment_that_does_not_fit_is_named(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_simulator(EnvId(name), 2)


def test_a_module_that_registers_environments_may_be_named(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    text = "import gymnasium as gym\ngym.register('Mine-v0', 'gymnasium.envs.classic_control.cartpole:CartPoleEnv')\n"
    (tmp_path / "my_simulators.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert make_simulator(EnvId("my_simulators:Mine-v0"), 2).n_features == 4


@pytest.mark.parametrize("options", [{}, {"episodes": 1, "steps": 1}, {"episodes": 0}, {"steps": -1}])
def test_an_amount_that_makes_no_sense_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(InputError):
        uniform_rollouts(2, **options)


class Odd:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def action_probabilities(self, states: Floats32) -> Any:
        return np.tile(self.answer, (len(states), 1))


@pytest.mark.parametrize("answer", [[0.5, 0.4], [np.nan, 1], [-0.5, 1.5], [0.2, 0.3, 0.5]])
def test_a_policy_that_answers_no_probabilities_is_refused(answer: list[float]) -> None:
    with pytest.raises(InputError, match="the policy answered"):
        collect(cartpole(2), Odd(answer), episodes=1)


def test_policies_by_their_definition() -> None:
    states = np.zeros((2, 4), dtype=np.float32)
    base = Odd([0.2, 0.5, 0.3])
    np.testing.assert_allclose(UniformPolicy(4).action_probabilities(states), np.full((2, 4), 0.25))
    np.testing.assert_allclose(FixedPolicy([2, 6]).action_probabilities(states), [[0.25, 0.75]] * 2)
    np.testing.assert_allclose(GreedyPolicy(base).action_probabilities(states), [[0, 1, 0]] * 2)
    np.testing.assert_allclose(GreedyPolicy(Odd([0.4, 0.2, 0.4])).action_probabilities(states), [[0.5, 0, 0.5]] * 2)
    np.testing.assert_allclose(
        EpsilonGreedyPolicy(base, 0.3).action_probabilities(states), [[0.1, 0.8, 0.1]] * 2, rtol=1e-12
    )


@pytest.mark.parametrize("probabilities", [[], [0, 0], [-1, 2], [float("nan"), 1], [[0.5, 0.5], [1]], "ab", [[[1.0]]]])
def test_probabilities_that_are_none_are_refused(probabilities: Any) -> None:
    with pytest.raises(InputError):
        FixedPolicy(probabilities)


def test_epsilon_is_a_probability() -> None:
    with pytest.raises(InputError, match="from 0 to 1"):
        EpsilonGreedyPolicy(UniformPolicy(2), 1.5)
