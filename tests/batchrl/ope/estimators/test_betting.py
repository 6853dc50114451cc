"""Bounds by bets: against the definition term by term, their validity, and what they are for."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.betting import (
    MOST_SHARE,
    SHARES,
    betting_lower_bound,
    importance_sampling_bounds,
    paired_lower_bound,
    per_decision_bounds,
    return_range,
)
from batchrl.ope.estimators.weights import CumulativeWeights

sys.path.insert(0, str(Path(__file__).parents[4] / "bench"))
from betting import Bandit
from peers.thomas import high_confidence_lower_bound


def by_definition(summands: Floats64, confidence: float) -> float:
    """The first of many values, from the least on, against which the bets do not bring ``1 / alpha``."""
    alpha, n = 1 - confidence, len(summands)
    shares = [min(share * math.sqrt(2 * math.log(1 / alpha) / n), MOST_SHARE) for share in SHARES]
    for value in np.geomspace(1e-4, 1, 2_001) * summands.mean():
        owned = [math.prod(1 + share * (one / value - 1) for one in summands) for share in shares]
        if sum(owned) / len(owned) < 1 / alpha:
            return float(value)
    raise AssertionError("the mean itself is rejected")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_bound_is_what_its_definition_says(seed: int, confidence: float) -> None:
    rng = np.random.default_rng(seed)
    summands = rng.exponential(size=60) * (rng.random(60) < 0.4)
    expected = by_definition(summands, confidence)
    assert betting_lower_bound(summands, confidence) == pytest.approx(expected, rel=5e-3)


def test_the_order_of_the_episodes_does_not_matter() -> None:
    summands = np.random.default_rng(1).exponential(size=500)
    assert betting_lower_bound(summands[::-1], 0.95) == pytest.approx(betting_lower_bound(summands, 0.95), rel=1e-9)


def test_it_grows_with_every_summand_and_with_less_confidence() -> None:
    summands = np.random.default_rng(2).exponential(size=200)
    more = summands.copy()
    more[7] += 5
    assert betting_lower_bound(more, 0.95) > betting_lower_bound(summands, 0.95) > betting_lower_bound(summands, 0.99)


def test_it_follows_the_scale() -> None:
    summands = np.random.default_rng(3).exponential(size=200)
    assert betting_lower_bound(1e-9 * summands, 0.95) == pytest.approx(1e-9 * betting_lower_bound(summands, 0.95))


def test_nothing_and_too_much() -> None:
    assert math.isnan(betting_lower_bound(np.empty(0), 0.95))
    assert betting_lower_bound(np.zeros(50), 0.95) == 0
    assert 0 < betting_lower_bound(np.ones(1), 0.95) < 1
    log_weights = np.array([800.0, 0.0, 0.0])
    found = importance_sampling_bounds(log_weights, np.array([1.0, 0.5, 0.5]), (0.0, 1.0), 0.95)
    assert found.lower == 1.0, "a weight beyond all floats proves no more than the greatest return"


def test_in_pieces_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    summands = np.random.default_rng(4).exponential(size=1000)
    whole = betting_lower_bound(summands, 0.95)
    monkeypatch.setattr("batchrl.ope.estimators.betting.CELLS_AT_ONCE", 64)
    assert betting_lower_bound(summands, 0.95) == pytest.approx(whole, rel=1e-9)


def test_bounds_follow_a_shift_of_rewards_and_change_sides_with_their_sign() -> None:
    rng = np.random.default_rng(2)
    log_ratios, rewards = rng.normal(0, 0.05, size=(3000, 3)), rng.uniform(-1, 1, size=(3000, 3))
    returns, log_weights = rewards.sum(axis=1), log_ratios.sum(axis=1)
    found = importance_sampling_bounds(log_weights, returns, (-3.0, 3.0), 0.95)
    shifted = importance_sampling_bounds(log_weights, returns + 3, (0.0, 6.0), 0.95)
    assert (shifted.lower, shifted.upper) == (pytest.approx(found.lower + 3), pytest.approx(found.upper + 3))
    weights = CumulativeWeights.of(log_ratios)
    straight = per_decision_bounds(weights, rewards, (-1.0, 1.0), 1.0, 0.95)
    turned = per_decision_bounds(weights, -rewards, (-1.0, 1.0), 1.0, 0.95)
    assert (turned.lower, turned.upper) == (pytest.approx(-straight.upper), pytest.approx(-straight.lower))
    assert straight.lower is not None and straight.upper is not None
    assert -0.2 < straight.lower < returns.mean() < straight.upper < 0.2


def test_the_range_of_returns_counts_steps_after_an_end_as_0() -> None:
    assert return_range(3, (1.0, 2.0), 0.5) == (0.0, 3.5)
    assert return_range(2, (-1.0, -0.5), 1.0) == (-2.0, 0.0)


@pytest.mark.parametrize("rate", [0.01, 0.04, 0.5])
def test_bounds_hold_and_say_far_more_than_truncation_where_rewards_are_rare(rate: float) -> None:
    bandit = Bandit(actions=5, rate=rate, share=0.6)
    rng = np.random.default_rng(0)
    above, below, ours, theirs = 0, 0, 0.0, 0.0
    for _ in range(300):
        log_weights, rewards = bandit.log(500, rng)
        found = importance_sampling_bounds(log_weights, rewards, (0.0, 1.0), 0.95)
        assert found.lower is not None and found.upper is not None
        above += found.lower <= bandit.value
        below += bandit.value <= found.upper
        ours += found.lower
        theirs += high_confidence_lower_bound(np.exp(log_weights) * rewards, 0.95, seed=0)
    assert min(above, below) >= 285
    assert ours > 1.05 * theirs
    if rate < 0.1:
        assert ours > 10 * theirs


def paired_cases(seed: int, n: int, gain: float) -> tuple[CumulativeWeights, Floats64]:
    """Two steps of two even actions; the policy takes the first with 0.8, which pays more by the gain."""
    rng = np.random.default_rng(seed)
    first = rng.random((n, 2)) < 0.5
    weights = CumulativeWeights.of(np.log(np.where(first, 0.8, 0.2) / 0.5))
    return weights, (rng.random((n, 2)) < np.where(first, 0.5 + gain, 0.5 - gain)).astype(float)


@pytest.mark.parametrize("reward_range", [(0.0, 1.0), (-0.5, 2.0)])
def test_the_paired_bound_is_the_bet_on_both_sides_at_once(reward_range: tuple[float, float]) -> None:
    weights, rewards = paired_cases(3, 80, 0.3)
    ratios = np.exp(weights.log_peaks) * weights.scaled
    low, high = reward_range
    least, most = min(0.0, low) * 1.9, max(0.0, high) * 1.9
    summands = np.array(
        [
            sum(0.9**t * (ratios[i, t] * (rewards[i, t] - min(0.0, low)) - rewards[i, t]) for t in range(2)) + most
            for i in range(80)
        ]
    )
    expected = by_definition(summands, 0.9) - (most - least)
    found = paired_lower_bound(weights, rewards, reward_range, 0.9, 0.9)
    assert found == pytest.approx(expected, abs=5e-3 * (most - least))


def test_the_paired_bound_fails_no_more_often_than_it_may_and_finds_a_gain() -> None:
    def bound(seed: int, n: int, gain: float) -> float:
        return paired_lower_bound(*paired_cases(seed, n, gain), (0.0, 1.0), 1.0, 0.9)

    assert sum(bound(seed, 100, 0.0) > 0 for seed in range(300)) <= 0.1 * 300
    # 2 (0.8 - 0.5) 2 gain = 0.48
    found = [bound(seed, 400, 0.4) for seed in range(100)]
    assert sum(one > 0.48 for one in found) <= 10
    assert np.mean([one > 0 for one in found]) > 0.9
