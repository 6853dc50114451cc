"""How much episodes say: of a tail that is hardly seen, of rewards that are rare, of the error of an estimate."""

from __future__ import annotations

import math

import numpy as np

from batchrl.data.dataset import Flags, Floats64

# A tail is fitted to so many values at least; and a share, or a multiple of the root, of them at most.
FEWEST_IN_TAIL = 5
TAIL_SHARE, TAIL_ROOTS = 0.2, 3.0
# The prior of its shape: so many values of shape 0.5.
PRIOR_VALUES, PRIOR_SHAPE = 10, 0.5
# An influence below this share of the other one is rounding, of networks in single precision as well.
ROUNDING = 1e-6
# Weights that differ by a smaller share are one weight, computed in several ways: no tail is fitted to rounding.
SAME_WEIGHT = 1e-9


def effective_number(weights: Floats64) -> float:
    """``(sum w)^2 / sum w^2`` of weights that are not negative, from 0 to their number (Kish 1965)."""
    largest = weights.max(initial=0.0)
    if largest == 0:
        return 0.0
    scaled = weights / largest
    return float(scaled.sum() ** 2 / (scaled**2).sum())


def differing(sample: Floats64) -> Flags:
    """``[n]``, which values of a sample are not its most common one."""
    values, counts = np.unique(sample, return_counts=True)
    which: Flags = sample != values[counts.argmax()]
    return which


def carrying_episodes(influence: Floats64, beside: float = 0.0) -> float:
    """``(sum psi^2)^2 / sum psi^4``: as many episodes with influences of one size would tell the error as well.

    It is n over the kurtosis, by which the coverage of an interval falls short (Hall 1992, 2.6): few where rewards are
    rare or weights uneven, whatever the estimator.

    Args:
        influence: ``[n]``, see ``student.influence``.
        beside: a root mean square that an influence must exceed but for rounding.

    Returns:
        ``nan`` where there is no influence, so that there is no error to be known.
    """
    squares = influence**2
    if not math.sqrt(float(squares.mean())) > ROUNDING * beside:
        return math.nan
    return effective_number(squares)


def tail_shape(weights: Floats64) -> float:
    """The shape k of the generalised Pareto distribution that the largest weights follow above their threshold.

    By the estimator of Zhang & Stephens (2009), drawn a little to 0.5, as Vehtari et al. (2024, Pareto smoothed
    importance sampling) do: moments of order 1/k and more are infinite, and above 0.7 no number of episodes helps.

    Args:
        weights: ``[n]``, not negative.

    Returns:
        ``nan`` where no tail is seen: few episodes, or weights with no more than one value above the threshold.
    """
    n = len(weights)
    size = int(min(TAIL_SHARE * n, TAIL_ROOTS * math.sqrt(n)))
    if size < FEWEST_IN_TAIL:
        return math.nan
    largest = np.sort(np.partition(weights, n - size - 1)[n - size - 1 :])
    above = largest[1:] - largest[0]
    above = above[above > SAME_WEIGHT * largest[0]]
    if len(above) < FEWEST_IN_TAIL or above[-1] - above[0] <= SAME_WEIGHT * largest[-1]:
        return math.nan
    m = len(above)
    quartile = above[int(m / 4 + 0.5) - 1]
    candidates = 30 + int(math.sqrt(m))
    ranks = np.arange(1, candidates + 1) - 0.5
    rates = 1 / above[-1] + (1 - np.sqrt(candidates / ranks)) / (3 * quartile)
    rates = rates[rates != 0]
    shapes = np.log1p(-rates[:, None] * above).mean(axis=1)
    likelihoods = m * (np.log(-rates / shapes) - shapes - 1)
    chances = np.exp(likelihoods - likelihoods.max())
    rate = float(rates @ chances / chances.sum())
    shape = float(np.log1p(-rate * above).mean()) if rate != 0 else 0.0
    return (m * shape + PRIOR_VALUES * PRIOR_SHAPE) / (m + PRIOR_VALUES)
