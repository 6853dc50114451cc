"""Percentile intervals from resampled episodes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from batchrl.contract.interval import Interval
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.threads import one_torch_thread

# Draws in a block of resamples: its counts take 8 bytes each. The blocks have seeds of their own, so this is part of
# what a seed means.
DRAWS_AT_ONCE = 8_000_000
# Bins that are counted in one go, so that they stay in the cache.
BINS_AT_ONCE = 65_536
# Arrays with at most so many columns are multiplied together.
NARROW = 16
MOST_THREADS = 8


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; ``nan`` where undefined or not asked for.

    Args:
        value: the estimate itself.
        lower: the interval's lower end.
        upper: its upper end.
        standard_error: the estimated standard deviation of the value.
    """

    value: float
    lower: float = float("nan")
    upper: float = float("nan")
    standard_error: float = float("nan")

    @property
    def interval(self) -> Interval:
        """The interval alone."""
        return Interval(self.lower, self.upper)

    @classmethod
    def of(cls, value: float, draws: Floats64, confidence: float) -> Estimate:
        """The percentile interval (Efron & Tibshirani 1993) of resampled values.

        Args:
            value: of the episodes themselves.
            draws: ``[B]``; where more than half of them are undefined, there is no interval.
            confidence: the share of resamples inside, e.g. 0.95.
        """
        defined = draws[np.isfinite(draws)]
        if 2 * len(defined) <= len(draws) or len(defined) < 2 or not np.isfinite(value):
            return cls(value)
        tail = (1 - confidence) / 2
        lower, upper = np.quantile(defined, [tail, 1 - tail])
        return cls(value, float(lower), float(upper), float(defined.std(ddof=1)))


def intervals(quotients: Sequence[Quotients], resamples: int, confidence: float, seed: int) -> list[Estimate]:
    """Percentile bootstrap over episodes, the same resamples for all estimators.

    Every quotient is renormalised in each resample. For the interval of a paired difference, subtract one estimator
    from the other.

    Args:
        quotients: k estimators of the same n episodes.
        resamples: B; 0 gives no interval.
        confidence: the share of resamples inside, e.g. 0.95.
        seed: of the resamples. The same seed in every epoch makes epochs comparable.
    """
    if resamples == 0 or not quotients:
        return [Estimate(quotient.value) for quotient in quotients]
    draws = resampled(quotients, resamples, seed)
    return [Estimate.of(q.value, column, confidence) for q, column in zip(quotients, draws.T, strict=True)]


def resampled(quotients: Sequence[Quotients], resamples: int, seed: int) -> Floats64:
    """``[B, k]``, the values of k estimators in B resamples of their n episodes; ``nan`` where undefined.

    A resample is a vector of counts, one an episode, so that all sums of all resamples are products of one matrix.
    Resamples of a single episode are all alike and say nothing: they are undefined.
    """
    sums = _Sums(quotients)
    n = sums.n_episodes
    if n < 2:
        return np.full((resamples, len(quotients)), np.nan)
    at_once = max(1, DRAWS_AT_ONCE // n)
    sizes = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    seeds = np.random.SeedSequence(seed).spawn(len(sizes))
    with one_torch_thread(), ThreadPoolExecutor(min(len(sizes), _cores())) as pool:
        return np.concatenate(list(pool.map(lambda size, own: sums.values(_counts(n, size, own)), sizes, seeds)))


class _Sums:
    """The arrays of several estimators, each once, and how estimates follow from their weighted sums."""

    def __init__(self, quotients: Sequence[Quotients]) -> None:
        self.n_episodes = quotients[0].n_episodes
        self._quotients = quotients
        arrays: dict[int, Floats64] = {}
        for quotient in quotients:
            for block in quotient.blocks:
                parts = (block.numerators,) if block.denominators is None else (block.numerators, block.denominators)
                arrays |= {id(part): part for part in parts}
        narrow = {key: array for key, array in arrays.items() if array.shape[1] <= NARROW}
        self._wide = {key: array for key, array in arrays.items() if key not in narrow}
        self._together = np.concatenate(list(narrow.values()), axis=1) if narrow else np.empty((self.n_episodes, 0))
        ends = np.cumsum([array.shape[1] for array in narrow.values()])
        self._places = {
            key: slice(end - array.shape[1], end) for (key, array), end in zip(narrow.items(), ends, strict=True)
        }

    def values(self, counts: Floats64) -> Floats64:
        """``[b, k]`` from counts ``[b, n]``."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            together = _product(counts, self._together)
            sums = {key: together[:, place] for key, place in self._places.items()}
            sums |= {key: _product(counts, array) for key, array in self._wide.items()}
            totals = np.zeros((len(counts), len(self._quotients)))
            for number, quotient in enumerate(self._quotients):
                for block in quotient.blocks:
                    below = self.n_episodes if block.denominators is None else sums[id(block.denominators)]
                    totals[:, number] += block.combine(sums[id(block.numerators)] / below)
        return np.where(np.isfinite(totals), totals, np.nan)


def _counts(n: int, resamples: int, seed: np.random.SeedSequence) -> Floats64:
    """``[b, n]``, how often each of n episodes is drawn."""
    rng = np.random.Generator(np.random.SFC64(seed))
    counts = np.empty((resamples, n))
    rows = max(1, BINS_AT_ONCE // n)
    for start in range(0, resamples, rows):
        part = counts[start : start + rows]
        drawn = rng.integers(0, n, size=part.shape)
        drawn += n * np.arange(len(part))[:, None]
        part[...] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
    return counts


def _product(left: Floats64, right: Floats64) -> Floats64:
    """``left @ right`` by PyTorch, whose threads can be told; numpy's would be as many for each of ours."""
    result: Floats64 = torch.mm(torch.from_numpy(left), torch.from_numpy(np.require(right, requirements="W"))).numpy()
    return result


def _cores() -> int:
    """Threads that resample: one a core of this process, of which each takes ``8 * DRAWS_AT_ONCE`` bytes."""
    return min(len(os.sched_getaffinity(0)), MOST_THREADS)
