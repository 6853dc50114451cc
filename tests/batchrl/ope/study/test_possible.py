"""Which values a log allows, by logs whose answer is plain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrl.data.dataset import Dataset
from batchrl.ope.study.possible import PossibleValues


def log(episodes: Sequence[Sequence[float]], terminal: bool = True) -> Dataset:
    """Episodes that are given by their rewards."""
    lengths = np.array([len(rewards) for rewards in episodes])
    n = int(lengths.sum())
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ends = np.zeros(n, np.bool_)
    ends[offsets[1:] - 1] = terminal
    states = np.zeros((n, 1), np.float32)
    return Dataset(
        states=states,
        actions=np.zeros(n, np.int64),
        rewards=np.concatenate([np.asarray(rewards, np.float64) for rewards in episodes]),
        next_states=states,
        terminal=ends,
        behavior_policy=np.full((n, 2), 0.5),
        offsets=offsets,
        episode_ids=tuple(map(str, range(len(lengths)))),
        state_columns=("state_feature_0",),
    )


def limits(data: Dataset, discount: float) -> tuple[float, float]:
    found = PossibleValues.of([data], discount)
    return found.least.value, found.greatest.value


RNG = np.random.default_rng(0)
GEOMETRIC = RNG.geometric(0.05, 300)
# A reward of 1 at the goal, which ends the episode; half of the episodes end elsewhere.
GOAL = log([[0.0] * (length - 1) + [float(i % 2)] for i, length in enumerate(GEOMETRIC)])


@pytest.mark.parametrize("discount", [0.9, 0.99, 1.0])
def test_a_reward_that_ends_an_episode_is_paid_once(discount: float) -> None:
    """The sequential DR of 79.5 where no logged return exceeds 1."""
    found = PossibleValues.of([GOAL], discount)
    assert GOAL.returns.max() == 1
    assert 1.0 in found and 0.0 in found and 79.5 not in found and 1.3 not in found and -0.3 not in found
    doubt = found.doubt(79.5)
    assert doubt is not None and "79.5 lies above 1.1" in doubt
    assert "a step pays at most 0, one that ends an episode at most 1" in doubt
    assert found.doubt(0.7) is None and found.doubt(math.nan) is None and math.nan not in found


def test_a_reward_for_every_step_may_be_paid_for_longer_than_was_logged() -> None:
    """As on CartPole: random episodes are short, and good ones last."""
    least, greatest = limits(log([[1.0] * length for length in GEOMETRIC]), 0.99)
    assert greatest == pytest.approx(99) and least == pytest.approx(-1)


def test_values_that_press_against_the_bound_need_a_log_that_reaches_it() -> None:
    short, endless = log([[1.0] * length for length in GEOMETRIC]), log([[1.0] * 50] * 20, terminal=False)
    for data, possible in ((short, False), (endless, True)):
        found = PossibleValues.of([data], 0.99)
        assert (99.8 in found) is possible and 103.0 not in found and 95.0 in found
    doubt = PossibleValues.of([short], 0.99).doubt(99.8)
    assert (
        doubt is not None
        and "the best reward in every step for ever comes to 100, and no logged return is near" in doubt
    )


def test_episodes_that_all_end_after_as_many_steps_end_there_whatever_is_done() -> None:
    fixed = log([[1.0] * 12] * 40)
    assert limits(fixed, 1.0) == pytest.approx((-1.2, 13.2))
    assert limits(fixed, 0.9)[1] == pytest.approx(1.1 * (1 - 0.9**12) / 0.1)
    doubt = PossibleValues.of([fixed], 1.0).doubt(20.0)
    assert doubt is not None and "all of the longest episodes end after 12 steps" in doubt
    # The longest of episodes that end by chance are few.
    assert limits(log([[1.0] * length for length in GEOMETRIC]), 1.0)[1] > 2 * GEOMETRIC.max()
    # Nor does a time limit count, after which an episode would have gone on.
    assert limits(log([[1.0] * 12] * 40, terminal=False), 1.0) == (-math.inf, math.inf)


def test_one_step_is_worth_one_reward() -> None:
    clicks = log([[float(i % 50 == 0)] for i in range(500)])
    assert limits(clicks, 0.99) == pytest.approx((-0.1, 1.1))
    doubt = PossibleValues.of([clicks], 0.99).doubt(1.5)
    assert doubt is not None and "every episode has one step" in doubt and "after 1 step" in doubt


def test_values_far_beyond_every_logged_return_are_no_evidence() -> None:
    """A conversion may be paid at any step, but no episode has more than one."""
    data = log([[0.0] * 5 + [float(i % 3 == 0)] + [0.0] * int(length) for i, length in enumerate(GEOMETRIC)])
    found = PossibleValues.of([data], 0.99)
    best = data.discounted_returns(0.99).max()
    assert best in found and 2.5 in found and 14.0 not in found
    doubt = found.doubt(40.0)
    assert doubt is not None and "3 times the best logged return, 0.951" in doubt


def test_costs_are_limited_as_gains_are() -> None:
    for data in (GOAL, log([[1.0] * length for length in GEOMETRIC]), log([[1.0, 2.0]] * 30)):
        turned = Dataset(**{**vars(data), "rewards": -data.rewards})
        least, greatest = limits(data, 0.95)
        assert limits(turned, 0.95) == pytest.approx((-greatest, -least))


def test_without_any_reward_values_are_nearly_nothing() -> None:
    found = PossibleValues.of([log([[0.0] * 4] * 30)], 0.99)
    assert 0.0 in found and 0.005 in found and 0.1 not in found and -0.1 not in found


def test_parts_of_a_log_set_their_limits_together() -> None:
    low, high = log([[0.0, 1.0]] * 30), log([[0.0, 3.0]] * 30)
    assert PossibleValues.of([low, high], 0.9) == PossibleValues.of([log([[0.0, 1.0]] * 30 + [[0.0, 3.0]] * 30)], 0.9)
    assert 2.7 in PossibleValues.of([low, high], 0.9) and 2.7 not in PossibleValues.of([low], 0.9)


@given(
    st.lists(st.lists(st.floats(-5, 5), min_size=1, max_size=8), min_size=1, max_size=30),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.booleans(),
)
def test_every_logged_return_and_nothing_are_always_possible(
    episodes: list[list[float]], discount: float, terminal: bool
) -> None:
    data = log(episodes, terminal)
    found = PossibleValues.of([data], discount)
    assert 0.0 in found and all(value in found for value in data.discounted_returns(discount))
