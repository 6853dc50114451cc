"""Paired differences, Student's interval, and what is said about weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchrl.ope.estimators import bootstrap
from batchrl.ope.estimators.bootstrap import intervals, resampled
from batchrl.ope.estimators.magic import MagicSettings, simplex_minimum
from batchrl.ope.estimators.quotients import Block, Quotients
from batchrl.ope.estimators.student import influence, student_interval, student_quantile
from batchrl.ope.estimators.weights import WeightDiagnostics, clipped


def ratio(seed: int, n: int = 60) -> Quotients:
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=n)
    return Quotients.one(weights * rng.normal(2, 1, size=n), weights)


def test_a_paired_difference_is_made_of_the_differences_within_each_resample() -> None:
    first, second = ratio(0), ratio(1)
    draws = resampled([first, second, first - second], 400, seed=5)
    np.testing.assert_allclose(draws[:, 2], draws[:, 0] - draws[:, 1], atol=1e-12)
    assert (first - second).value == pytest.approx(first.value - second.value)
    assert (first + second).value == pytest.approx(first.value + second.value)


def test_a_difference_to_itself_is_certain() -> None:
    [estimate] = intervals([ratio(0) - ratio(0)], 200, 0.95, seed=1)
    assert [estimate.value, estimate.lower, estimate.upper] == pytest.approx([0, 0, 0], abs=1e-12)


def test_every_resample_is_the_estimate_of_the_drawn_episodes() -> None:
    rng = np.random.default_rng(3)
    weights, rewards = rng.exponential(size=(9, 20)), rng.normal(size=(9, 20))
    quotients = Quotients((Block(weights * rewards, weights, 0.9 ** np.arange(20)),)) + ratio(2, 9)
    draws = resampled([Quotients.mean(np.eye(9)[i]) for i in range(9)] + [quotients], 300, seed=4)
    counts = np.rint(draws[:, :9] * 9).astype(np.int64)
    assert (counts.sum(axis=1) == 9).all()
    for drawn, value in zip(counts, draws[:, 9], strict=True):
        rows = np.repeat(np.arange(9), drawn)
        blocks = tuple(
            Block(b.numerators[rows], None if b.denominators is None else b.denominators[rows], b.factors)
            for b in quotients.blocks
        )
        assert value == pytest.approx(Quotients(blocks).value, nan_ok=True)


def test_episodes_are_drawn_evenly_and_independently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", 70_000)
    monkeypatch.setattr(bootstrap, "BINS_AT_ONCE", 900)
    n = 50
    draws = n * resampled([Quotients.mean(np.eye(n)[i]) for i in range(n)], 20_000, seed=8)
    np.testing.assert_allclose(draws.mean(axis=0), 1, atol=0.04)
    np.testing.assert_allclose(draws.var(axis=0), 1 - 1 / n, atol=0.06)
    assert abs(np.cov(draws[:, 0], draws[:, 1])[0, 1] + 1 / n) < 0.03


def test_the_standard_error_is_that_of_the_mean() -> None:
    values = np.random.default_rng(5).normal(3, 2, size=400)
    [estimate] = intervals([Quotients.mean(values)], 4000, 0.95, seed=6)
    assert estimate.standard_error == pytest.approx(values.std() / 20, rel=0.05)


@pytest.mark.parametrize(
    ("probability", "freedom", "tabulated"),
    [(0.975, 1, 12.7062), (0.975, 4, 2.776445), (0.95, 10, 1.812461), (0.975, 99, 1.984217), (0.995, 30, 2.749996)],
)
def test_quantiles_of_t_are_those_of_the_tables(probability: float, freedom: int, tabulated: float) -> None:
    assert student_quantile(probability, freedom) == pytest.approx(tabulated, rel=1e-6)
    assert student_quantile(1 - probability, freedom) == pytest.approx(-tabulated, rel=1e-6)


def test_with_many_degrees_of_freedom_t_is_normal() -> None:
    assert student_quantile(0.975, 1e6) == pytest.approx(1.959966, rel=1e-5)


def test_students_interval_of_a_mean_is_the_textbooks() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0])
    estimate = student_interval(Quotients.mean(values), 0.95)
    half = 3.182446 * values.std(ddof=1) / 2
    assert [estimate.value, estimate.lower, estimate.upper] == pytest.approx([3.5, 3.5 - half, 3.5 + half])


def test_the_influence_of_an_episode_is_the_derivative_of_the_estimate() -> None:
    rng = np.random.default_rng(1)
    numerators, denominators = rng.normal(size=(12, 3)), rng.exponential(size=(12, 3))
    quotients = Quotients((Block(numerators, denominators, np.array([1.0, -0.5, 0.0])),))
    small = 1e-6
    for i in range(12):
        weights = np.full(12, 1 / 12) * (1 - small)
        weights[i] += small
        moved = float((weights @ numerators / (weights @ denominators)) @ quotients.blocks[0].factors)
        assert influence(quotients)[i] == pytest.approx((moved - quotients.value) / small, rel=1e-3, abs=1e-5)


def test_one_episode_has_no_students_interval() -> None:
    estimate = student_interval(Quotients.mean(np.array([3.0])), 0.95)
    assert estimate.value == 3
    assert math.isnan(estimate.lower)


def test_one_episode_has_no_percentile_interval() -> None:
    [estimate] = intervals([Quotients.mean(np.array([3.0]))], 100, 0.95, 0)
    assert estimate.value == 3
    assert math.isnan(estimate.lower)
    assert math.isnan(estimate.standard_error)


def test_the_mean_weight_has_an_interval() -> None:
    log_weights = np.random.default_rng(0).normal(-0.02, 0.2, size=500)
    weights = WeightDiagnostics.of(log_weights)
    assert weights.mean_weight == pytest.approx(np.exp(log_weights).mean())
    assert weights.mean_weight_interval.value == pytest.approx(weights.mean_weight)
    assert weights.mean_weight_interval.lower < weights.mean_weight < weights.mean_weight_interval.upper
    assert weights.averages_to_one
    assert not WeightDiagnostics.of(log_weights - 1).averages_to_one


def test_weights_that_differ_from_one_by_rounding_average_to_one() -> None:
    assert WeightDiagnostics.of(np.full(50, 1e-7)).averages_to_one
    assert not WeightDiagnostics.of(np.full(50, 0.01)).averages_to_one


def test_clipping_bounds_every_ratio() -> None:
    np.testing.assert_allclose(np.exp(clipped(np.log([0.5, 1.0, 8.0]), 2.0)), [0.5, 1.0, 2.0])
    assert clipped(np.array([-np.inf]), 2.0)[0] == -np.inf


def test_the_minimum_on_the_simplex_is_found() -> None:
    np.testing.assert_allclose(simplex_minimum(np.diag([1.0, 2.0, 4.0])), [4 / 7, 2 / 7, 1 / 7], atol=1e-6)
    np.testing.assert_allclose(simplex_minimum(np.zeros((3, 3))), [0, 0, 1])
    # Where two move together, the better of them takes all of both.
    np.testing.assert_allclose(simplex_minimum(np.array([[1.0, 2.0], [2.0, 8.0]])), [1, 0], atol=1e-6)
    rng = np.random.default_rng(0)
    for size in (2, 5, 20):
        for _ in range(20):
            root = rng.normal(size=(size, max(2, size // 2)))
            matrix = root @ root.T
            found = simplex_minimum(matrix)
            assert found.sum() == pytest.approx(1)
            assert (found >= 0).all()
            others = rng.dirichlet(np.ones(size) * 0.3, size=500)
            near = 0.99 * found + 0.01 * others
            for other in (others, near, np.eye(size)):
                assert found @ matrix @ found <= np.einsum("ki,ij,kj->k", other, matrix, other).min() + 1e-6


def test_MAGICs_horizons_always_hold_both_ends() -> None:
    assert MagicSettings().chosen(3).tolist() == [-1, 0, 1, 2]
    assert MagicSettings(horizons=[1, 99]).chosen(3).tolist() == [-1, 1, 2]
    many = MagicSettings().chosen(500)
    assert (many[0], many[-1], len(many)) == (-1, 499, MagicSettings.MOST_HORIZONS)
