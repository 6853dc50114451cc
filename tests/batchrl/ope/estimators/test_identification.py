"""The range of a value, where a policy does what no log shows, against dynamic programming and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.identification import identified

STATES, ACTIONS, STEPS, DISCOUNT = 3, 3, 4, 0.9
RANGE = (-1.0, 2.0)


class Chain:
    """States, of which each forbids one action to the logging policy; every reward lies in ``RANGE``."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.moves = rng.dirichlet(np.ones(STATES), (STATES, ACTIONS))
        self.pays = rng.uniform(*RANGE, (STATES, ACTIONS))
        self.never = np.zeros((STATES, ACTIONS), np.bool_)
        self.never[[0, 2], [1, 2]] = True
        self.logging = np.where(self.never, 0.0, rng.dirichlet(np.full(ACTIONS, 5.0), STATES))
        self.logging /= self.logging.sum(axis=1, keepdims=True)
        self.policy = rng.dirichlet(np.full(ACTIONS, 2.0), STATES)
        self.rng = rng

    def value(self, of_never: float | None, ending: bool) -> float:
        """Of the policy from state 0, by dynamic programming.

        Args:
            of_never: reward of a step from the first action that is never logged on; None: what it is.
            ending: whether the episode ends with that action.
        """
        inside, outside = np.zeros(STATES), np.zeros(STATES)
        for _ in range(STEPS):
            if of_never is None:
                inside = (self.policy * (self.pays + DISCOUNT * self.moves @ inside)).sum(axis=1)
                continue
            gone = np.full(STATES, of_never)
            outside_now = gone + DISCOUNT * outside
            after = self.pays + DISCOUNT * self.moves @ inside
            left = gone if ending else gone + DISCOUNT * outside
            inside = np.where(self.never, left[:, None], after)
            inside = (self.policy * inside).sum(axis=1)
            outside = outside_now
        return float(inside[0])

    def log(self, n: int) -> tuple[Floats64, Floats64, Floats64]:
        """Log ratios, the policy's chance of what is never logged, and rewards, all ``[n, STEPS]``."""
        state = np.zeros(n, np.int64)
        ratios, missing, rewards = (np.empty((n, STEPS)) for _ in range(3))
        for step in range(STEPS):
            actions = (self.rng.random(n)[:, None] > self.logging[state].cumsum(axis=1)).sum(axis=1).clip(0, 2)
            ratios[:, step] = np.log(self.policy[state, actions] / self.logging[state, actions])
            missing[:, step] = np.where(self.never[state], self.policy[state], 0.0).sum(axis=1)
            rewards[:, step] = self.pays[state, actions]
            after = self.moves[state, actions].cumsum(axis=1)
            state = (self.rng.random(n)[:, None] > after).sum(axis=1).clip(0, 2)
        return ratios, missing, rewards


@pytest.mark.parametrize("seed", range(3))
def test_with_many_episodes_the_range_is_what_dynamic_programming_says(seed: int) -> None:
    chain = Chain(seed)
    found = identified(*chain.log(200_000), DISCOUNT, RANGE)
    assert found.value.lower == pytest.approx(chain.value(RANGE[0], ending=False), abs=0.06)
    assert found.value.upper == pytest.approx(chain.value(RANGE[1], ending=False), abs=0.06)
    assert found.value.lower < chain.value(None, ending=False) < found.value.upper


def test_rewards_that_are_all_positive_are_paid_once_at_least() -> None:
    chain = Chain(5)
    chain.pays += 1.5
    found = identified(*chain.log(200_000), DISCOUNT, (0.5, 3.5))
    assert found.value.lower == pytest.approx(chain.value(0.5, ending=True), abs=0.06)
    assert found.value.upper == pytest.approx(chain.value(3.5, ending=False), abs=0.06)


def test_the_ends_are_beyond_their_error_by_chance() -> None:
    chain = Chain(7)
    low, high = (chain.value(end, ending=False) for end in RANGE)
    inside = 0
    for _ in range(200):
        found = identified(*chain.log(300), DISCOUNT, RANGE)
        inside += found.value.lower <= low and high <= found.value.upper
    assert inside >= 180


def test_the_share_that_leaves_is_that_of_all_paths() -> None:
    chain = Chain(1)
    stays = 0.0
    for path in itertools.product(range(STATES), range(ACTIONS), repeat=STEPS):
        states, actions = path[::2], path[1::2]
        if states[0] != 0:
            continue
        chance = 1.0
        for t in range(STEPS):
            chance *= chain.policy[states[t], actions[t]] * (not chain.never[states[t], actions[t]])
            chance *= chain.moves[states[t], actions[t], states[t + 1]] if t + 1 < STEPS else 1.0
        stays += chance
    assert identified(*chain.log(200_000), DISCOUNT, RANGE).leaving == pytest.approx(1 - stays, abs=0.01)


def test_without_any_weight_all_is_possible() -> None:
    shape = (5, 2)
    found = identified(np.full(shape, -np.inf), np.full(shape, 0.1), np.ones(shape), 1.0, (0.0, 1.0))
    assert found.leaving == 1.0 and found.unknown == 1.0
    assert (found.value.lower, found.value.upper) == (0.0, 2.0)


def test_one_episode_tells_nothing() -> None:
    found = identified(np.zeros((1, 1)), np.full((1, 1), 0.5), np.ones((1, 1)), 1.0, (0.0, 1.0))
    assert (found.value.lower, found.value.upper) == (0.0, 1.0)
