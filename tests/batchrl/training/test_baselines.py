"""The best constant action, beside every action scored one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchrl.data.dataset import Dataset
from batchrl.training.baselines import best_constant_action, constant_policy


def log(n: int, steps: int, n_actions: int, seed: int, pays: int) -> Dataset:
    """Uniform actions; one of them pays 1 more than the others, in the mean."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, steps + 1, n)
    rows = int(lengths.sum())
    actions = rng.integers(0, n_actions, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    terminal = np.zeros(rows, np.bool_)
    terminal[offsets[1:] - 1] = True
    states = np.zeros((rows, 1), np.float32)
    return Dataset(
        states=states,
        actions=actions,
        rewards=(actions == pays) + rng.normal(size=rows),
        next_states=states,
        terminal=terminal,
        behavior_policy=np.full((rows, n_actions), 1 / n_actions),
        offsets=offsets,
        episode_ids=tuple(map(str, range(n))),
        state_columns=("state_feature_0",),
    )


def estimate_of(action: int, data: Dataset, discount: float) -> tuple[float, float]:
    """PDWIS of a constant action, and its standard error by the delta method, in loops over all episodes."""
    n, longest = data.n_episodes, int(data.lengths.max())
    weights, rewards = np.zeros((n, longest)), np.zeros((n, longest))
    for episode in range(n):
        weight = 1.0
        for step in range(longest):
            row = data.offsets[episode] + step
            if row < data.offsets[episode + 1]:
                weight *= (data.actions[row] == action) / data.behavior_policy[row, data.actions[row]]
                rewards[episode, step] = data.rewards[row]
            weights[episode, step] = weight
    value, influence = 0.0, np.zeros(n)
    for step in range(longest):
        if not weights[:, step].any():
            return math.nan, math.nan
        mean = (weights[:, step] * rewards[:, step]).sum() / weights[:, step].sum()
        value += discount**step * mean
        influence += discount**step * weights[:, step] * (rewards[:, step] - mean) / weights[:, step].sum()
    return value, float(np.sqrt((influence**2).sum()))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("steps", "n_actions"), [(1, 5), (3, 2)])
def test_it_is_the_one_with_the_highest_estimate_less_its_error(seed: int, steps: int, n_actions: int) -> None:
    data = log(120, steps, n_actions, seed, pays=1)
    found = [estimate_of(action, data, 0.9) for action in range(n_actions)]
    cautious = [value - error if math.isfinite(value) else -math.inf for value, error in found]
    ordered = sorted(cautious, reverse=True)
    if ordered[0] - ordered[1] > 0.05:  # the two errors differ by a factor of n / (n - 1)
        assert best_constant_action(data, 0.9) == int(np.argmax(cautious))


def test_with_many_episodes_it_is_the_action_that_pays() -> None:
    assert all(best_constant_action(log(600, 2, 6, seed, pays=4), 0.9) == 4 for seed in range(10))


def test_a_single_lucky_episode_makes_no_action_the_best() -> None:
    """It has no standard error, and no estimate of its action counts without one."""
    data = log(200, 1, 3, 0, pays=1)
    data.actions[:] = np.where(np.arange(200) == 0, 2, data.actions % 2)
    data.rewards[0] = 100.0
    assert best_constant_action(data, 0.9) != 2


def test_the_policy_takes_its_action_and_no_other() -> None:
    data = log(10, 2, 3, 0, pays=1)
    policy = constant_policy(2, data)
    assert policy.probabilities.tolist() == [[0, 0, 1]] * data.n_transitions
    assert policy.label.startswith("always action 2")
