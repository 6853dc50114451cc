"""Estimated probabilities that are surer than they are right are tempered, by what other episodes say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from preferences import softmax

from batchrl.data import storage
from batchrl.data.behaviour import with_estimated_behavior
from batchrl.data.calibration import EstimatedBehavior
from batchrl.data.dataset import Dataset, Flags, Floats64
from batchrl.data.temperature import calibrate, fitted_temperature, tempered


def log_of(chances: Floats64, steps: int, rng: np.random.Generator, states: Floats64 | None = None) -> Dataset:
    """Episodes whose actions follow ``[N, A]``; those of probability 0 were not eligible."""
    n, n_actions = chances.shape
    taken = np.minimum((chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), n_actions - 1)
    features = np.zeros((n, 1)) if states is None else states
    return Dataset(
        features.astype(np.float32),
        taken,
        np.zeros(n),
        features.astype(np.float32),
        np.ones(n, np.bool_),
        None,
        np.arange(n // steps + 1) * steps,
        tuple(map(str, range(n // steps))),
        tuple(f"f{number}" for number in range(features.shape[1])),
        tuple("abcdef"[:n_actions]),
        eligible=chances > 0,
    )


def masked(n: int, rng: np.random.Generator) -> Floats64:
    """``[n, 4]``, of which one action cannot be taken in each row."""
    logits = 1.5 * rng.normal(size=(n, 4))
    logits[np.arange(n), rng.integers(0, 4, n)] = -np.inf
    return softmax(logits)


def by_hand(chances: Floats64, temperature: float) -> Floats64:
    """Powers of probabilities, row by row, action by action."""
    result = np.zeros_like(chances)
    for row, one in enumerate(chances):
        powers = [chance ** (1 / temperature) if chance > 0 else 0.0 for chance in one]
        result[row] = [power / math.fsum(powers) for power in powers]
    return result


def golden(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a unimodal function is least, by golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        first, second = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, second) if function(first) < function(second) else (first, high)
    return (low + high) / 2


def best_temperature(chances: Floats64, data: Dataset, which: Flags) -> float:
    part, actions = chances[which], data.actions[which]
    rows = np.arange(len(actions))
    return golden(lambda one: -float(np.log(by_hand(part, one)[rows, actions]).sum()), 0.2, 8.0)


@pytest.mark.parametrize("chunk", [7, 10_000])
def test_the_temperature_is_that_of_the_least_log_loss_among_eligible_actions(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", chunk)
    rng = np.random.default_rng(1)
    right = masked(300, rng)
    data, sure = log_of(right, 1, rng), by_hand(right, 0.4)
    which = rng.random(300) < 0.7
    found = fitted_temperature(sure, data, which)
    assert found == pytest.approx(best_temperature(sure, data, which), rel=1e-5)
    assert 1.5 < found < 4.0
    np.testing.assert_allclose(tempered(sure, found), by_hand(sure, found), rtol=1e-12)
    assert (tempered(sure, found)[right == 0] == 0).all()


def test_nothing_is_made_surer_than_its_model_is() -> None:
    rng = np.random.default_rng(2)
    right = masked(400, rng)
    data, unsure = log_of(right, 1, rng), by_hand(right, 3.0)
    everywhere = np.ones(400, np.bool_)
    assert best_temperature(unsure, data, everywhere) < 0.6
    assert fitted_temperature(unsure, data, everywhere) == 1.0


def test_what_is_too_sure_is_tempered_by_the_other_parts_and_lowers_the_held_out_loss() -> None:
    rng = np.random.default_rng(3)
    right = masked(1000, rng)
    data, sure = log_of(right, 2, rng), by_hand(right, 0.5)
    fold = rng.permutation(500) % 5
    found = sure.copy()
    temperature, gain = calibrate(found, data, fold)
    rows, episodes = np.arange(1000), np.repeat(fold, 2)
    expected = np.empty_like(sure)
    for number in range(5):
        mine = episodes == number
        expected[mine] = by_hand(sure[mine], best_temperature(sure, data, ~mine))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert temperature == pytest.approx(best_temperature(sure, data, rows >= 0), rel=1e-5)
    assert temperature == pytest.approx(2.0, rel=0.2)
    before, after = (-np.log(each[rows, data.actions]) for each in (sure, expected))
    assert (gain.before, gain.after) == (pytest.approx(before.mean()), pytest.approx(after.mean(), rel=1e-5))
    of_episodes = (before - after).reshape(500, 2).mean(axis=1)
    assert gain.standard_error == pytest.approx(of_episodes.std(ddof=1) / math.sqrt(500), rel=1e-3)
    assert gain.beyond_chance


def test_right_probabilities_are_hardly_ever_touched() -> None:
    touched = 0
    for seed in range(40):
        rng = np.random.default_rng([4, seed])
        right = masked(100, rng)
        found = right.copy()
        temperature, _ = calibrate(found, log_of(right, 1, rng), rng.permutation(100) % 5)
        assert temperature != 1 or np.array_equal(found, right)
        touched += temperature != 1
    assert touched <= 4


def test_too_few_episodes_are_left_as_they_are() -> None:
    rng = np.random.default_rng(5)
    right = masked(190, rng)
    sure = by_hand(right, 0.3)
    temperature, gain = calibrate(found := sure.copy(), log_of(right, 10, rng), np.arange(19) % 5)
    assert temperature == 1.0 and gain.standard_error is None and np.array_equal(found, sure)


def test_a_model_with_much_to_fit_on_few_episodes_is_calibrated_and_says_so() -> None:
    rng = np.random.default_rng(6)
    states = rng.normal(size=(150, 25))
    data = replace(log_of(softmax(states[:, :3]), 1, rng, states), eligible=None)
    found, told = with_estimated_behavior(data)
    assert found.behavior_fit is not None and found.behavior_policy is not None
    (fit,) = found.behavior_fit.loggers
    behavior = EstimatedBehavior.of(found)
    assert behavior is not None and behavior.calibration_before is not None and behavior.loggers == (fit,)
    assert fit.temperature > 1.2 and f"temperature {fit.temperature:.3g}" in told
    assert behavior.log_loss == pytest.approx(fit.calibrated.after) and fit.calibrated.after < fit.calibrated.before
    assert sum(part.probabilities for part in behavior.calibration_before) == 450

    def miss(curve: tuple[object, ...]) -> float:
        gaps = [part.probabilities * abs(part.mean_probability - part.taken) for part in curve]  # type: ignore[attr-defined]
        return float(sum(gaps)) / 450

    assert miss(behavior.calibration) < miss(behavior.calibration_before)
