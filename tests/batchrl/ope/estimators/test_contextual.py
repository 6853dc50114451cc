"""Estimators of single decisions, against loops written from the papers, and how SLOPE chooses their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators import contextual
from batchrl.ope.estimators.contextual import ModelledRewards
from batchrl.ope.estimators.shrinkage import (
    Shrunk,
    optimistically_shrunk,
    shrunk_doubly_robust,
    slope,
    switch_doubly_robust,
    switched,
)

N, A = 400, 7


class Log:
    """Decisions of a random problem, and what a loop needs to estimate by the papers' formulas."""

    def __init__(self, seed: int = 3, spread: float = 1.5) -> None:
        rng = np.random.default_rng(seed)
        self.target = np.exp(rng.normal(scale=spread, size=(N, A)))
        self.target /= self.target.sum(axis=1, keepdims=True)
        logging = np.exp(rng.normal(scale=spread, size=(N, A)))
        logging /= logging.sum(axis=1, keepdims=True)
        self.actions = np.array([rng.choice(A, p=row) for row in logging])
        self.propensities = logging[np.arange(N), self.actions]
        self.truth = rng.uniform(0.1, 0.9, size=(N, A))
        self.rewards = rng.binomial(1, self.truth[np.arange(N), self.actions]).astype(np.float64)
        self.model = np.clip(self.truth + rng.normal(scale=0.2, size=(N, A)), 0, 1)

    @property
    def weights(self) -> Floats64:
        return self.target[np.arange(N), self.actions] / self.propensities

    @property
    def modelled(self) -> ModelledRewards:
        return ModelledRewards(self.model[np.arange(N), self.actions], (self.target * self.model).sum(axis=1))

    def loop(self, summand: Callable[[int, float], float]) -> float:
        """The mean of a summand of each decision and its weight."""
        total = 0.0
        for i in range(N):
            total += summand(i, self.target[i, self.actions[i]] / self.propensities[i])
        return total / N

    def averaged(self, i: int) -> float:
        return sum(self.target[i, a] * self.model[i, a] for a in range(A))

    def residual(self, i: int) -> float:
        return float(self.rewards[i] - self.model[i, self.actions[i]])


@pytest.fixture(scope="module")
def log() -> Log:
    return Log()


def test_ips_snips_and_the_direct_method_are_their_formulas(log: Log) -> None:
    ips = log.loop(lambda i, w: w * log.rewards[i])
    snips = ips / log.loop(lambda i, w: w)

    assert contextual.inverse_propensity_score(log.weights, log.rewards).value == pytest.approx(ips, abs=1e-12)
    assert contextual.self_normalised(log.weights, log.rewards).value == pytest.approx(snips, abs=1e-12)
    direct = log.loop(lambda i, w: log.averaged(i))
    assert contextual.direct_method(log.modelled).value == pytest.approx(direct, abs=1e-12)


def test_doubly_robust_is_its_formula_plain_and_self_normalised(log: Log) -> None:
    direct, correction = log.loop(lambda i, w: log.averaged(i)), log.loop(lambda i, w: w * log.residual(i))

    plain = contextual.doubly_robust(log.weights, log.rewards, log.modelled)
    normalised = contextual.self_normalised_doubly_robust(log.weights, log.rewards, log.modelled)

    assert plain.value == pytest.approx(direct + correction, abs=1e-12)
    assert normalised.value == pytest.approx(direct + correction / log.loop(lambda i, w: w), abs=1e-12)


def test_doubly_robust_is_exact_where_the_model_is_exact_and_unbiased_where_it_is_not() -> None:
    values, truths = [], []
    for seed in range(300):
        log = Log(seed, spread=0.7)
        values.append(contextual.doubly_robust(log.weights, log.rewards, log.modelled).value)
        truths.append(float((log.target * log.truth).sum(axis=1).mean()))
    errors = np.subtract(values, truths)
    assert abs(errors.mean()) < 3 * errors.std() / math.sqrt(len(errors))

    exact = ModelledRewards(log.rewards, (log.target * log.truth).sum(axis=1))
    assert contextual.doubly_robust(log.weights, log.rewards, exact).value == pytest.approx(truths[-1], abs=1e-12)


@pytest.mark.parametrize("tau", [0.0, 0.3, 2.0, math.inf])
def test_switch_uses_the_model_alone_above_the_threshold(log: Log, tau: float) -> None:
    # Wang, Agarwal & Dudik (2017), equation 8, with DR in place of IPS below the threshold: where the weight is above
    # tau, the model stands for the reward.
    def summand(i: int, w: float) -> float:
        below = log.averaged(i) + w * log.residual(i)
        return below if w <= tau else log.averaged(i)

    found = contextual.doubly_robust(switched(log.weights, tau), log.rewards, log.modelled)

    assert found.value == pytest.approx(log.loop(summand), abs=1e-12)


@pytest.mark.parametrize("strength", [0.0, 0.3, 20.0, math.inf])
def test_optimistic_shrinkage_is_its_formula(log: Log, strength: float) -> None:
    def shrunk(w: float) -> float:
        return w if math.isinf(strength) else strength * w / (w * w + strength)

    expected = log.loop(lambda i, w: log.averaged(i) + shrunk(w) * log.residual(i))
    found = contextual.doubly_robust(optimistically_shrunk(log.weights, strength), log.rewards, log.modelled)

    assert found.value == pytest.approx(expected, abs=1e-12)


def test_huge_weights_shrink_to_nothing_and_do_not_overflow() -> None:
    weights = np.array([0.0, 1.0, 1e200, 1e308])
    assert optimistically_shrunk(weights, 4.0).tolist() == pytest.approx([0.0, 0.8, 0.0, 0.0], abs=1e-100)


def slope_by_sets(values: list[float], widths: list[float]) -> int:
    """Theorem 3 of Su, Srinath & Krishnamurthy (2020), to the letter: intersections of intervals."""
    best = 0
    for k in range(len(values)):
        low = max(values[j] - 2 * widths[j] for j in range(k + 1))
        high = min(values[j] + 2 * widths[j] for j in range(k + 1))
        if low > high:
            break
        best = k
    return best


def test_slope_takes_the_last_candidate_whose_interval_meets_all_before_it() -> None:
    rng = np.random.default_rng(5)
    chosen = set()
    for _ in range(200):
        values, widths = rng.normal(size=8), np.sort(rng.exponential(size=8))[::-1]
        found = slope(values, widths)
        assert found == slope_by_sets(values.tolist(), widths.tolist())
        chosen.add(found)
    assert len(chosen) > 4
    assert slope(np.array([1.0, np.nan, 1.0]), np.ones(3)) == 0


ESTIMATORS = [(switch_doubly_robust, switched), (shrunk_doubly_robust, optimistically_shrunk)]


@pytest.mark.parametrize(("estimator", "shrink"), ESTIMATORS)
def test_the_estimate_is_that_of_its_parameter_and_says_what_was_taken_away(
    log: Log, estimator: Callable[..., Shrunk], shrink: Callable[[Floats64, float], Floats64]
) -> None:
    found = estimator(log.weights, log.rewards, log.modelled)
    used = shrink(log.weights, found.parameter)

    assert found.estimate.value == contextual.doubly_robust(used, log.rewards, log.modelled).value
    assert found.changed == pytest.approx(1 - used.sum() / log.weights.sum())
    assert 0 < found.changed <= 1


@pytest.mark.parametrize(("estimator", "shrink"), ESTIMATORS)
def test_a_model_that_the_rewards_contradict_is_not_shrunk_to(estimator: Callable[..., Shrunk], shrink: object) -> None:
    log = Log(spread=0.7)
    far = ModelledRewards(log.modelled.taken + 5, log.modelled.averaged + 5)

    found = estimator(log.weights, log.rewards, far)

    corrected = contextual.doubly_robust(log.weights, log.rewards, far).value
    assert abs(found.estimate.value - corrected) < 0.3 * abs(found.estimate.value - contextual.direct_method(far).value)
    assert found.changed < 0.2


@pytest.mark.parametrize(("estimator", "shrink"), ESTIMATORS)
def test_few_heavy_weights_and_a_good_model_are_worth_a_bias(estimator: Callable[..., Shrunk], shrink: object) -> None:
    squares: dict[str, list[float]] = {"plain": [], "shrunk": []}
    for seed in range(60):
        log = Log(seed, spread=3.0)
        truth = float((log.target * log.truth).sum(axis=1).mean())
        plain = contextual.doubly_robust(log.weights, log.rewards, log.modelled).value
        shrunk = estimator(log.weights, log.rewards, log.modelled).estimate.value
        squares["plain"].append((plain - truth) ** 2)
        squares["shrunk"].append((shrunk - truth) ** 2)
    assert np.mean(squares["shrunk"]) < 0.5 * np.mean(squares["plain"])


@pytest.mark.parametrize(("estimator", "shrink"), ESTIMATORS)
def test_where_nothing_has_a_weight_the_model_is_all_there_is(
    log: Log, estimator: Callable[..., Shrunk], shrink: object
) -> None:
    found = estimator(np.zeros(N), log.rewards, log.modelled)
    assert found.estimate.value == contextual.direct_method(log.modelled).value
    assert found.changed == 0
