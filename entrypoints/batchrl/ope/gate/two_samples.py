"""The difference of two means, for samples of any sizes whose values may be rare or skewed.

Its error is never taken to be below that of two samples from one population (``_errors``): a small sample that has seen
none of the rare rewards hardly varies, and would pass for one whose mean is known, while the large sample beside it
shows that it is not. With equal sizes both errors are the same.
"""

from __future__ import annotations

import math

import numpy as np

from batchrl.contract.evidence import LEAST_INFORMATIVE
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.bootstrap import DRAWS_AT_ONCE, Estimate
from batchrl.ope.estimators.information import differing
from batchrl.ope.estimators.student import student_quantile, wider
from batchrl.ope.gate.level import Level

# Values that vary by less than this share of their size are all alike but for rounding.
NO_SPREAD = 1e-12


def difference_of_means(first: Floats64, second: Floats64, level: Level) -> Estimate:
    """``first`` minus ``second``, with the wider ends of Welch's t interval and of the studentised bootstrap.

    Args:
        first, second: ``[m]`` and ``[n]``; without interval where one has fewer than 2 values, or none vary.
        level: of each bound.
    """
    welch = welch_interval(first, second, level)
    if math.isnan(welch.standard_error):
        return welch
    value, error = welch.value, welch.standard_error
    low, high = np.quantile(_studentised(first, second, level), [level.alpha, 1 - level.alpha], method="nearest")
    return wider(Estimate(value, value - float(high) * error, value - float(low) * error, error), welch)


def welch_interval(first: Floats64, second: Floats64, level: Level) -> Estimate:
    """``first`` minus ``second``, with Welch's t interval for an error that is not below the pooled one.

    Args:
        first, second, level: as in ``difference_of_means``.
    """
    value = float(first.mean() - second.mean())
    if min(len(first), len(second)) < 2:
        return Estimate(value)
    variances = [sample.var(ddof=1) for sample in (first, second)]
    error = float(_errors(variances[0], variances[1], len(first), len(second)))
    if error <= _rounding(first, second):
        return Estimate(value)
    parts = [float(variances[0]) / len(first), float(variances[1]) / len(second)]
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(first) - 1) + parts[1] ** 2 / (len(second) - 1))
    half = student_quantile(1 - level.alpha, freedom) * error
    return Estimate(value, value - half, value + half, error)


def stays_above(first: Floats64, second: Floats64) -> bool:
    """Whether the mean of ``first`` is above that of ``second`` even if both missed what they hardly show by chance.

    A sample with fewer than ``LEAST_INFORMATIVE`` values away from its most common one gets as many of the worst value
    for the answer that either sample has. Rewards that nobody has seen cannot be bounded; those that the other side
    has seen can.

    Args:
        first, second: ``[m]`` and ``[n]``.
    """
    lowest, highest = min(first.min(), second.min()), max(first.max(), second.max())
    return bool(_filled(first, lowest).mean() > _filled(second, highest).mean())


def _filled(sample: Floats64, worst: float) -> Floats64:
    informative = differing(sample)
    missing = LEAST_INFORMATIVE - int(informative.sum())
    if missing <= 0:
        return sample
    result = sample.copy()
    result[np.flatnonzero(~informative)[:missing]] = worst
    return result


def _errors(first: Floats64, second: Floats64, m: int, n: int) -> Floats64:
    """Standard errors of differences of means: Welch's, and never below the pooled one, by which both are alike.

    Args:
        first, second: variances of samples of sizes m and n.
    """
    pooled = ((m - 1) * first + (n - 1) * second) / (m + n - 2)
    errors: Floats64 = np.sqrt(np.maximum(first / m + second / n, pooled * (1 / m + 1 / n)))
    return errors


def _rounding(first: Floats64, second: Floats64) -> float:
    """The largest error of samples whose values are all alike."""
    return NO_SPREAD * max(float(np.abs(first).max()), float(np.abs(second).max()), 1.0)


def _studentised(first: Floats64, second: Floats64, level: Level) -> Floats64:
    """Deviations of the difference in resamples of both samples, over their own errors (Efron & Tibshirani 1993, 12.5).

    A resample whose values are all alike deviates beyond all measure: where there are many, as when nearly all returns
    lie at a cap, there is no bound on that side.
    """
    rng = np.random.default_rng(level.seed)
    value, least = first.mean() - second.mean(), _rounding(first, second)
    rows = max(1, DRAWS_AT_ONCE // (len(first) + len(second)))
    found = []
    for start in range(0, level.resamples, rows):
        size = min(rows, level.resamples - start)
        drawn = [sample[rng.integers(0, len(sample), (size, len(sample)))] for sample in (first, second)]
        variances = [part.var(axis=1, ddof=1) for part in drawn]
        error = _errors(variances[0], variances[1], len(first), len(second))
        moved = drawn[0].mean(axis=1) - drawn[1].mean(axis=1) - value
        with np.errstate(divide="ignore", invalid="ignore"):
            deviations = np.where(error > least, moved / error, np.sign(moved) * np.inf)
        found.append(np.nan_to_num(deviations, nan=0.0, posinf=np.inf, neginf=-np.inf))
    return np.concatenate(found)
