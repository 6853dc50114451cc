"""Doubly robust estimates with smaller weights: a bias for less variance, as much of it as the log advises.

::

    switch      w if w <= tau, else 0           (Wang, Agarwal & Dudik 2017: above tau the model alone is believed)
    optimistic  lambda w / (w^2 + lambda)       (Su, Dimakopoulou, Krishnamurthy & Dudik 2020)

Both are the doubly robust estimate itself where tau or lambda is infinite, and the direct method where it is 0. The
parameter is chosen by SLOPE (Su, Srinath & Krishnamurthy 2020): candidates in the order of growing bias, each with
Student's interval; the last one whose interval still meets those of all before it is taken. Its bias is then at most of
the size of the noise that a less biased candidate would have. In their notation the intervals are ``+- 2 CNF``, so that
CNF is half of Student's ``t s / sqrt(n)``: over 18 problems root mean square errors were 7 % smaller than with all of
it, and 40 % smaller than where an estimate of the mean square error chooses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.contextual import ModelledRewards, doubly_robust_summands
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.student import student_quantile

CANDIDATES = 30
# Candidates lie between these quantiles of the weights that are not 0; of lambda, a factor of 100 beyond their squares.
QUANTILES = (0.05, 0.95)
# Of the intervals that SLOPE compares.
CONFIDENCE = 0.95

Shrinkage = Callable[[Floats64, float], Floats64]


@dataclass(frozen=True)
class Shrunk:
    """A doubly robust estimate with weights that were made smaller.

    Args:
        estimate: with the parameter as it was chosen; resamples do not choose again.
        parameter: tau or lambda; infinite where the weights are as they were.
        changed: share of the total weight that was taken away.
    """

    estimate: Quotients
    parameter: float
    changed: float


def switched(weights: Floats64, threshold: float) -> Floats64:
    """``w if w <= tau, else 0``, of weights ``[...]``."""
    return np.where(weights <= threshold, weights, 0.0)


def optimistically_shrunk(weights: Floats64, strength: float) -> Floats64:
    """``lambda w / (w^2 + lambda)``, of weights ``[...]``; the weights themselves for an infinite lambda."""
    if math.isinf(strength):
        return weights
    if strength == 0:
        return np.zeros_like(weights)
    with np.errstate(over="ignore"):
        shrunk: Floats64 = weights / (weights * (weights / strength) + 1)
    return shrunk


def switch_doubly_robust(weights: Floats64, rewards: Floats64, modelled: ModelledRewards) -> Shrunk:
    """Switch-DR with its threshold chosen from the data.

    Args:
        weights: ``[n]``, finite.
        rewards: ``[n]``.
        modelled: the reward model on the same decisions.
    """
    low, high = _quantiles(weights)
    candidates = np.geomspace(low, max(high, low), CANDIDATES)[::-1] if low > 0 else np.empty(0)
    return _chosen(weights, rewards, modelled, switched, candidates)


def shrunk_doubly_robust(weights: Floats64, rewards: Floats64, modelled: ModelledRewards) -> Shrunk:
    """DR with optimistic shrinkage, lambda chosen from the data; arguments as in ``switch_doubly_robust``."""
    low, high = _quantiles(weights)
    candidates = np.geomspace(0.01 * low**2, 100 * high**2, CANDIDATES)[::-1] if low > 0 else np.empty(0)
    return _chosen(weights, rewards, modelled, optimistically_shrunk, candidates)


def slope(values: Floats64, half_widths: Floats64) -> int:
    """Which of k estimates to take (Su, Srinath & Krishnamurthy 2020, theorem 3).

    Args:
        values: ``[k]``, in the order of growing bias; undefined ones end the search.
        half_widths: ``[k]``, of their intervals: value +- half width holds the estimate's own expectation.

    Returns:
        The last k whose interval ``value +- 2 half width`` meets those of all before it.
    """
    lower = np.maximum.accumulate(values - 2 * half_widths)
    upper = np.minimum.accumulate(values + 2 * half_widths)
    apart = ~(lower <= upper)
    return int(apart.argmax()) - 1 if apart.any() else len(values) - 1


def _quantiles(weights: Floats64) -> tuple[float, float]:
    used = weights[weights > 0]
    if not len(used):
        return 0.0, 0.0
    low, high = np.quantile(used, QUANTILES)
    return float(low), float(high)


def _chosen(
    weights: Floats64, rewards: Floats64, modelled: ModelledRewards, shrink: Shrinkage, candidates: Floats64
) -> Shrunk:
    """SLOPE over an infinite parameter, the candidates from the largest on, and 0."""
    parameters = [math.inf, *candidates.tolist(), 0.0]
    n = len(weights)
    values, errors = np.empty(len(parameters)), np.empty(len(parameters))
    for number, parameter in enumerate(parameters):
        values[number], errors[number] = _mean_and_error(weights, rewards, modelled, shrink, parameter)
    widths = student_quantile((1 + CONFIDENCE) / 2, n - 1) * errors / 2 if n > 1 else np.full(len(errors), np.inf)
    parameter = parameters[max(0, slope(values, widths))]
    used = shrink(weights, parameter)
    total = float(weights.sum())
    return Shrunk(
        Quotients.mean(doubly_robust_summands(used, rewards, modelled)),
        parameter,
        1 - float(used.sum()) / total if total > 0 else 0.0,
    )


def _mean_and_error(
    weights: Floats64, rewards: Floats64, modelled: ModelledRewards, shrink: Shrinkage, parameter: float
) -> tuple[float, float]:
    summands = doubly_robust_summands(shrink(weights, parameter), rewards, modelled)
    if len(summands) < 2:
        return float(summands.mean()), math.inf
    return float(summands.mean()), float(summands.std(ddof=1)) / math.sqrt(len(summands))
