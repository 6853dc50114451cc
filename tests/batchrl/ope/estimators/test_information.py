"""How much episodes say: counted by hand, fitted a second time, and against what is known of the distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.information import carrying_episodes, differing, effective_number, tail_shape


def test_the_effective_number_is_kishs() -> None:
    assert effective_number(np.array([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3)
    assert effective_number(np.array([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_number(np.array([1e300, 1e300])) == pytest.approx(2)
    assert effective_number(np.zeros(3)) == 0
    assert effective_number(np.empty(0)) == 0


def test_what_differs_from_the_most_common_value() -> None:
    assert differing(np.array([1.0, 0.0, 0.0, 5.0])).tolist() == [True, False, False, True]
    assert differing(np.array([1.0, 1.0, 0.0])).tolist() == [False, False, True]


def test_the_episodes_that_tell_the_error_are_n_over_the_kurtosis() -> None:
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(200_000)
    assert carrying_episodes(normal) == pytest.approx(200_000 / 3, rel=0.03)
    # Of rewards that pay in one of 50 episodes, about those that pay.
    rare = (np.arange(5000) % 50 == 0).astype(np.float64)
    assert carrying_episodes(rare - rare.mean()) == pytest.approx(100, rel=0.1)


def test_no_influence_but_rounding_says_nothing() -> None:
    assert math.isnan(carrying_episodes(np.zeros(5)))
    assert math.isnan(carrying_episodes(np.full(5, np.nan)))
    tiny = np.full(5, 1e-9)
    assert math.isnan(carrying_episodes(tiny, beside=1.0))
    assert carrying_episodes(tiny) == pytest.approx(5)


def second_fit(weights: Floats64) -> float:
    """Zhang & Stephens (2009), candidate by candidate, with the prior of Vehtari et al. (2024)."""
    ordered = sorted(weights)
    size = int(min(0.2 * len(ordered), 3 * math.sqrt(len(ordered))))
    above = [value - ordered[-size - 1] for value in ordered[-size:]]
    m, quartile = size, above[int(size / 4 + 0.5) - 1]

    def shape_of(rate: float) -> float:
        return sum(math.log1p(-rate * value) for value in above) / m

    count = 30 + int(math.sqrt(m))
    rates = [1 / above[-1] + (1 - math.sqrt(count / (j - 0.5))) / (3 * quartile) for j in range(1, count + 1)]
    likelihoods = [m * (math.log(-rate / shape_of(rate)) - shape_of(rate) - 1) for rate in rates]
    chances = [1 / sum(math.exp(other - own) for other in likelihoods) for own in likelihoods]
    rate = sum(chance * value for chance, value in zip(chances, rates, strict=True))
    return (m * shape_of(rate) + 5) / (m + 10)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_the_tail_of_a_pareto_distribution_has_its_shape(shape: float) -> None:
    rng = np.random.default_rng(1)
    small = rng.random(400) ** -shape
    assert tail_shape(small) == pytest.approx(second_fit(small))
    assert tail_shape(7 * small) == pytest.approx(tail_shape(small))
    assert tail_shape(rng.random(200_000) ** -shape) == pytest.approx(shape, abs=0.08)


def test_a_tail_that_is_not_seen_has_no_shape() -> None:
    assert math.isnan(tail_shape(np.arange(10.0)))
    assert math.isnan(tail_shape(np.ones(1000)))
    assert math.isnan(tail_shape(np.repeat([0.0, 34.0], [970, 30])))
    # One weight that was computed in several ways is one weight.
    rounded = np.repeat([0.0, 2.0, 34.0], [900, 70, 30]) * (1 + 1e-15 * np.arange(1000))
    assert math.isnan(tail_shape(rounded))
    assert tail_shape(np.random.default_rng(0).random(1000)) < 0.2
