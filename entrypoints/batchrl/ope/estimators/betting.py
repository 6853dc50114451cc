"""Bounds of a policy's value that hold for few episodes, heavy weights and rare rewards: bets against a lower value.

Whoever bets the share c of what is owned on ``X_i > v``, at odds that are fair for ``E[X] = v``, owns in the end ::

    prod_i (1 + c (X_i / v - 1))

With independent ``X_i >= 0`` whose means are v or less on average that is 1 at most in expectation, and so is its mean
over shares c that were chosen without a look at the X. It reaches ``1 / alpha`` with a probability of alpha at most
(Markov): values v against which the bets bring so much are rejected, and the true one is above them with confidence
``1 - alpha`` (Waudby-Smith & Ramdas 2024; for importance weights, which have no bound, Waudby-Smith, Wu, Ramdas,
Karampatziakis & Mineiro 2022). Nothing is assumed of the tail; no weight is cut; the order of the episodes does not
matter.

Weights times what is above the least possible reward bound the value from below, weights times what is below the
greatest possible one, from above. Where the policy does what the logging policy never does, both sums only become
smaller: the bounds hold all the same. They are for sums that are unbiased (importance sampling), not for quotients.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from batchrl.contract.interval import Interval
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.trajectories import absolute_sums, discounted_returns, discounts
from batchrl.ope.estimators.weights import CumulativeWeights

# Shares that are bet, in units of ``sqrt(2 log(1 / alpha) / n)``: the best one is that unit times the value over the
# deviation of the X, if that is known, and is among these up to a deviation of 50 times the value.
SHARES = np.geomspace(0.02, 2.0, 8)
MOST_SHARE = 0.95
# Cells that are worked on in one go.
CELLS_AT_ONCE = 1 << 20
# Larger weights count as this.
MOST = 1e200
# How exactly the bound is found, as a share of it.
TOLERANCE = 1e-6


def betting_lower_bound(summands: Floats64, confidence: float) -> float:
    """A lower bound of ``E[X]`` from independent ``X_i >= 0``, see the module.

    Args:
        summands: ``[n]``, not negative, infinite ones allowed.
        confidence: probability that ``E[X]`` is above the bound.

    Returns:
        At least 0, which is always true; ``nan`` without summands.
    """
    if not len(summands):
        return float("nan")
    finite = np.minimum(summands, MOST)
    positive = finite[finite > 0]
    if not len(positive):
        return 0.0
    alpha = 1 - confidence
    unit = math.sqrt(2 * math.log(1 / alpha) / len(finite))
    shares = np.unique(np.minimum(unit * SHARES, MOST_SHARE))
    wanted = math.log(1 / alpha)

    def short(log_value: float) -> float:
        """How far the capital against a value stays below what rejects it; it grows with the value."""
        return wanted - _log_capital(positive, len(finite), shares, log_value)

    # No mixture wins against the mean of what was seen, and all win in the end against what is near 0.
    above = math.log(positive.mean() * (len(positive) / len(finite)))
    below, step = above - 1.0, 1.0
    while short(below) > 0:
        step *= 2
        below -= step
    return math.exp(_root(short, below, above))


def _root(function: Callable[[float], float], below: float, above: float) -> float:
    """Where a function that grows becomes positive, not beyond it: regula falsi, as the Illinois method mends it."""
    low, high = function(below), function(above)
    last = 0
    while above - below > TOLERANCE:
        middle = above - high * (above - below) / (high - low)
        middle = min(max(middle, below + TOLERANCE / 2), above - TOLERANCE / 2)
        found = function(middle)
        if found > 0:
            above, high = middle, found
            low, last = (low / 2 if last > 0 else low), 1
        else:
            below, low = middle, found
            high, last = (high / 2 if last < 0 else high), -1
    return below


def importance_sampling_bounds(
    log_weights: Floats64, returns: Floats64, return_range: tuple[float, float], confidence: float
) -> Interval:
    """A lower and an upper bound of the value by whole trajectories; each holds with the confidence.

    Args:
        log_weights: ``[n]``, see ``trajectory_log_weights``.
        returns: ``[n]``, see ``discounted_returns``.
        return_range: of an episode; known beforehand, since a range that was logged voids the guarantee.
        confidence: probability that the value is on the right side of a bound.
    """
    low, high = return_range
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.exp(log_weights)
        above, below = (_filled(weights * part) for part in (returns - low, high - returns))
    return _bounds(above, below, return_range, confidence)


def per_decision_bounds(
    weights: CumulativeWeights,
    rewards: Floats64,
    reward_range: tuple[float, float],
    discount: float,
    confidence: float,
) -> Interval:
    """The same step by step.

    Args:
        weights: of ``[n, T]`` steps.
        rewards: ``[n, T]``, 0 in the padding.
        reward_range: of a step, known beforehand; 0 belongs to it, as steps after an end pay 0.
        discount: of one step.
        confidence: probability that the value is on the right side of a bound.
    """
    low, high = min(0.0, reward_range[0]), max(0.0, reward_range[1])
    above, below = (_filled(absolute_sums(weights, part, discount)) for part in (rewards - low, high - rewards))
    return _bounds(above, below, return_range(rewards.shape[1], reward_range, discount), confidence)


def paired_lower_bound(
    weights: CumulativeWeights,
    rewards: Floats64,
    reward_range: tuple[float, float],
    discount: float,
    confidence: float,
) -> float:
    """A lower bound of a policy's value minus the logging policy's, both from the same episodes.

    Of ``R_i``, the discounted return, and ``S_i``, the per-decision sum of weights times what is above the least
    reward, ``S_i + high - R_i >= 0`` has the mean ``difference + high - low``, with low and high the ends of the
    return: one bet against it bounds the difference, without an interval for either side.

    Args:
        weights: of ``[n, T]`` steps.
        rewards: ``[n, T]``, 0 in the padding.
        reward_range: of a step, known beforehand; 0 belongs to it.
        discount: of one step.
        confidence: probability that the difference is above the bound.
    """
    low, high = return_range(rewards.shape[1], reward_range, discount)
    above = absolute_sums(weights, rewards - min(0.0, reward_range[0]), discount)
    summands = _filled(above) + (high - discounted_returns(rewards, discount))
    return betting_lower_bound(np.maximum(summands, 0.0), confidence) - (high - low)


def return_range(steps: int, reward_range: tuple[float, float], discount: float) -> tuple[float, float]:
    """The least and the greatest discounted return of an episode of at most ``steps`` steps."""
    whole = float(discounts(steps, discount).sum())
    return min(0.0, reward_range[0]) * whole, max(0.0, reward_range[1]) * whole


def _bounds(above: Floats64, below: Floats64, values: tuple[float, float], confidence: float) -> Interval:
    """From sums ``[n]`` of what is above the least value and of what is below the greatest one."""
    low, high = values
    lower = low + betting_lower_bound(above, confidence)
    upper = high - betting_lower_bound(below, confidence)
    return Interval(min(lower, high), max(upper, low))


def _filled(summands: Floats64) -> Floats64:
    """Without what is no number: 0 times a weight that is too large for a float."""
    return np.nan_to_num(np.maximum(summands, 0.0), nan=0.0, posinf=np.inf)


def _log_capital(positive: Floats64, n: int, shares: Floats64, log_value: float) -> float:
    """The log of the mean over the shares of what is owned after n bets against a value.

    Args:
        positive: the X that are not 0.
        n: all of them.
        shares: ``[k]``, below 1.
        log_value: of the value that is bet against.
    """
    logs = (n - len(positive)) * np.log1p(-shares)
    scaled = positive * math.exp(-log_value)
    for start in range(0, len(scaled), CELLS_AT_ONCE // len(shares)):
        part = scaled[start : start + CELLS_AT_ONCE // len(shares)]
        logs += np.log1p(shares[:, None] * (part - 1)).sum(axis=1)
    most = logs.max()
    return float(most + math.log(np.exp(logs - most).mean()))
