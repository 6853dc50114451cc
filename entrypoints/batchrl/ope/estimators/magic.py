"""MAGIC: between the value function alone and weighted doubly robust, as the data advise (Thomas & Brunskill 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Floats64, Integers
from batchrl.ope.estimators.bootstrap import resampled
from batchrl.ope.estimators.quotients import Block, Quotients

# What keeps the quadratic form definite where partial estimates coincide, as a share of its mean diagonal entry.
RIDGE = 1e-9


@dataclass(frozen=True)
class MagicSettings:
    """How MAGIC judges its parts.

    Args:
        resamples: of episodes; one set gives both the bias and the covariance.
        confidence: of the interval of the whole estimate, by whose distance a partial estimate counts as biased.
        horizons: the set J of steps after which the value function takes over, from -1 (at once) to T - 1 (never);
            -1 and T - 1 are always among them. None: all, or ``MOST_HORIZONS`` of them, evenly spaced.
        seed: of the resamples.
    """

    resamples: int = 200
    confidence: float = 0.9
    horizons: Sequence[int] | None = None
    seed: int = 0

    # Many more than this and a few hundred resamples would not give a covariance.
    MOST_HORIZONS = 33

    def chosen(self, steps: int) -> Integers:
        """J for episodes of T steps, ascending and without repetition."""
        if self.horizons is None:
            spaced = np.linspace(-1, steps - 1, min(steps + 1, self.MOST_HORIZONS)).round().astype(np.int64)
            return np.unique(spaced)
        inside = [horizon for horizon in self.horizons if -1 <= horizon < steps]
        return np.unique(np.array([-1, *inside, steps - 1], dtype=np.int64))


def magic(robust: Quotients, settings: MagicSettings) -> Quotients:
    """``sum_j x_j g_j`` with ``x`` on the simplex the minimum of ``x' (Omega + b b') x`` (Thomas & Brunskill 2016).

    ``g_j`` uses weighted rewards up to step j and the value function from there on:
    ``g_j = (1/n) sum_i V(s_i0) + sum_t<=j discount^t sum_i omega_it delta_it``, so that ``g_-1`` is the direct method
    and ``g_T-1`` weighted doubly robust. Omega is the covariance of the g over resamples; ``b_j`` is the distance of
    ``g_j`` from the percentile interval of ``g_T-1`` in the same resamples, widened to contain ``g_T-1`` itself; the
    outer product of b is what is added.

    Args:
        robust: from ``weighted_doubly_robust``.
        settings: resamples, interval and J.

    Returns:
        The mixture, of the same arrays; intervals take its weights x as given. Where weighted doubly robust is
        undefined, so is this.
    """
    corrections = robust.blocks[1]
    horizons = settings.chosen(len(corrections.factors))
    steps = np.arange(len(corrections.factors))
    partial = [_weighted(robust, (steps <= horizon).astype(np.float64)) for horizon in horizons]
    values = np.array([part.value for part in partial])
    draws = resampled(partial, settings.resamples, settings.seed)
    draws = draws[np.isfinite(draws).all(axis=1)]
    if not np.isfinite(values).all() or len(draws) < 2:
        return robust
    tail = (1 - settings.confidence) / 2
    lower, upper = np.quantile(draws[:, -1], [tail, 1 - tail])
    bias = values - np.clip(values, min(lower, values[-1]), max(upper, values[-1]))
    covariance = np.atleast_2d(np.cov(draws, rowvar=False))
    mixture = simplex_minimum(covariance + np.outer(bias, bias))
    return _weighted(robust, np.array([mixture[horizons >= step].sum() for step in steps]))


def simplex_minimum(matrix: Floats64) -> Floats64:
    """``[k]``, the x with ``x >= 0`` and ``sum x = 1`` that minimises ``x' A x`` for a positive semidefinite A.

    ``x = y / sum y`` with y the minimum of ``y' A y / 2 - sum y`` over ``y >= 0``, found by the active set method of
    Lawson & Hanson (1974). Where A is 0, the last coordinate takes all.
    """
    size = len(matrix)
    scale = np.trace(matrix) / size
    if not scale > 0:
        return np.array([0.0] * (size - 1) + [1.0])
    scaled = matrix / scale + RIDGE * np.eye(size)
    point = np.zeros(size)
    free = np.zeros(size, dtype=np.bool_)
    for _ in range(10 * size):
        slope = np.where(free, -np.inf, 1 - scaled @ point)
        if slope.max() <= 1e-9:
            break
        free[slope.argmax()] = True
        while True:
            target = np.zeros(size)
            target[free] = np.linalg.solve(scaled[np.ix_(free, free)], np.ones(free.sum()))
            negative = free & (target <= 0)
            if not negative.any():
                break
            shares = point[negative] / (point[negative] - target[negative])
            point = point + shares.min() * (target - point)
            free[np.flatnonzero(negative)[shares == shares.min()]] = False
            point[~free] = 0.0
        point = target
    mixture: Floats64 = point / point.sum()
    return mixture


def _weighted(robust: Quotients, shares: Floats64) -> Quotients:
    """The estimator with a share of each step's correction."""
    start, corrections = robust.blocks
    return Quotients((start, Block(corrections.numerators, corrections.denominators, corrections.factors * shares)))
