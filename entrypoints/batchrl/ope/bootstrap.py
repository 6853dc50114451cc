"""Percentile intervals from resampled episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators import Quotients

COUNTS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; ``nan`` where undefined or not asked for."""

    value: float
    lower: float = float("nan")
    upper: float = float("nan")


def intervals(quotients: Sequence[Quotients], resamples: int, confidence: float, seed: int) -> list[Estimate]:
    """Percentile bootstrap over episodes (Efron & Tibshirani 1993), the same resamples for all estimators.

    A resample is a vector of counts, one an episode, so that all of them are one matrix product; a quotient is
    renormalised in each of them. Where more than half of the resamples are undefined there is no interval.

    Args:
        quotients: k estimators of the same n episodes.
        resamples: B; 0 gives no interval.
        confidence: the share of resamples inside, e.g. 0.95.
        seed: of the resamples. The same seed in every epoch makes epochs comparable.
    """
    if resamples == 0 or not quotients:
        return [Estimate(quotient.value) for quotient in quotients]
    numerators = np.concatenate([quotient.numerators for quotient in quotients], axis=1)
    denominators = np.concatenate([quotient.denominators for quotient in quotients], axis=1)
    factors = _block_columns([quotient.factors for quotient in quotients])
    values = _resampled(numerators, denominators, factors, resamples, np.random.default_rng(seed))
    tail = (1 - confidence) / 2
    estimates = []
    for quotient, column in zip(quotients, values.T, strict=True):
        defined = column[np.isfinite(column)]
        if 2 * len(defined) <= resamples or not np.isfinite(quotient.value):
            estimates.append(Estimate(quotient.value))
        else:
            lower, upper = np.quantile(defined, [tail, 1 - tail])
            estimates.append(Estimate(quotient.value, float(lower), float(upper)))
    return estimates


def _resampled(
    numerators: Floats64, denominators: Floats64, factors: Floats64, resamples: int, rng: np.random.Generator
) -> Floats64:
    """``[B, k]``, the estimates of every resample."""
    n = len(numerators)
    chances = np.full(n, 1 / n)
    step = max(1, COUNTS_AT_ONCE // n)
    blocks = []
    for start in range(0, resamples, step):
        counts = rng.multinomial(n, chances, size=min(step, resamples - start)).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            quotients = (counts @ numerators) / (counts @ denominators)
        # An undefined quotient must spoil its own estimate only: 0 * nan would spoil all of them.
        undefined = (~np.isfinite(quotients)).astype(np.float64) @ (factors != 0)
        blocks.append(np.where(undefined > 0, np.nan, np.where(np.isfinite(quotients), quotients, 0.0) @ factors))
    return np.concatenate(blocks)


def _block_columns(parts: Sequence[Floats64]) -> Floats64:
    """``[sum K, k]``: column j holds the factors of estimator j at its own quotients, 0 elsewhere."""
    result = np.zeros((sum(len(part) for part in parts), len(parts)))
    start = 0
    for number, part in enumerate(parts):
        result[start : start + len(part), number] = part
        start += len(part)
    return result
