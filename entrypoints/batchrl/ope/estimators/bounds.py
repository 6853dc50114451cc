"""A lower bound of a policy's value that holds for few episodes and heavy weights (Thomas et al. 2015)."""

from __future__ import annotations

import math

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.trajectories import absolute_sums, discounts
from batchrl.ope.estimators.weights import CumulativeWeights

# Of the episodes, the share that chooses where to truncate; the bound is that of the others.
SHARE_THAT_CHOOSES = 1 / 20
CANDIDATES = 400


def importance_sampling_bound(
    log_weights: Floats64, returns: Floats64, least_return: float, confidence: float, seed: int
) -> float:
    """``high_confidence_lower_bound`` of ``w_i (G_i - least)``, plus ``least``: a bound of the value.

    Args:
        log_weights: ``[n]``, see ``trajectory_log_weights``.
        returns: ``[n]``, see ``discounted_returns``.
        least_return: no return can be lower; known beforehand, since the least one logged voids the guarantee.
        confidence: probability that the value is above the bound.
        seed: of the episodes that choose the truncation.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        summands = np.nan_to_num(np.exp(log_weights) * (returns - least_return), nan=0.0, posinf=np.inf)
    return high_confidence_lower_bound(summands, confidence, seed) + least_return


def per_decision_bound(
    weights: CumulativeWeights, rewards: Floats64, least_reward: float, discount: float, confidence: float, seed: int
) -> float:
    """``high_confidence_lower_bound`` of ``sum_t discount^t rho_i,0:t (r_it - least)``, shifted back: tighter.

    Args:
        weights: of ``[n, T]`` steps.
        rewards: ``[n, T]``, 0 in the padding.
        least_reward: no reward of a step can be lower; 0 stands in for a positive one, as steps after an end pay 0.
        discount: of one step.
        confidence: probability that the value is above the bound.
        seed: of the episodes that choose the truncation.
    """
    least = min(0.0, least_reward)
    # Where a weight is too large for a float, 0 times infinity is taken as 0, which only lowers the bound.
    summands = np.nan_to_num(absolute_sums(weights, rewards - least, discount), posinf=np.inf)
    return high_confidence_lower_bound(summands, confidence, seed) + least_return(rewards.shape[1], least, discount)


def high_confidence_lower_bound(summands: Floats64, confidence: float, seed: int) -> float:
    """A lower bound of ``E[X]`` from independent ``X_i >= 0`` (Thomas, Theocharous & Ghavamzadeh 2015, theorem 1).

    With ``Y_i = min(X_i, c)``, the same c for all, ``delta = 1 - confidence`` and s the deviation of the Y::

        mean Y - 7 c ln(2 / delta) / (3 (n - 1)) - s sqrt(2 ln(2 / delta) / n)

    Truncation only lowers the expectation, so the bound holds whatever the tail of X. It is for sums that are unbiased
    (importance sampling): the empirical Bernstein inequality behind it does *not* hold for quotients such as weighted
    importance sampling. A share of the episodes, drawn by the seed, chooses the c that promises most for the others,
    which alone enter the bound.

    Args:
        summands: ``[n]``, not negative, infinite ones allowed.
        confidence: probability that ``E[X]`` is above the bound.
        seed: of the episodes that choose c.

    Returns:
        At least 0, which is always true; ``nan`` for fewer than 4 episodes.
    """
    n = len(summands)
    n_choosing = max(2, round(n * SHARE_THAT_CHOOSES))
    if n - n_choosing < 2:
        return float("nan")
    shuffled = summands[np.random.default_rng(seed).permutation(n)]
    choosing, counted = shuffled[:n_choosing], shuffled[n_choosing:]
    largest = choosing[np.isfinite(choosing)].max(initial=0.0)
    if largest == 0:
        return 0.0
    candidates = largest * np.geomspace(1e-6, 1, CANDIDATES)
    promised = _bound(np.minimum(choosing, candidates[:, None]), candidates, len(counted), confidence)
    chosen = candidates[promised.argmax()]
    return max(0.0, float(_bound(np.minimum(counted, chosen), chosen, len(counted), confidence)))


def _bound(truncated: Floats64, most: Floats64, n: int, confidence: float) -> Floats64:
    """The bounds for n episodes ``[...]``, with means and deviations of truncated summands ``[..., m]``."""
    logarithm = math.log(2 / (1 - confidence))
    spread = truncated.std(axis=-1, ddof=1) * math.sqrt(2 * logarithm / n)
    bound: Floats64 = truncated.mean(axis=-1) - 7 * most * logarithm / (3 * (n - 1)) - spread
    return bound


def least_return(steps: int, least_reward: float, discount: float) -> float:
    """The least discounted return of an episode of at most ``steps`` steps, given the least reward of a step."""
    return min(0.0, least_reward) * float(discounts(steps, discount).sum())
