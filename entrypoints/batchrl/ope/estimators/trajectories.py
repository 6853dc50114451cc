"""Importance sampling of whole trajectories and of decisions; the notation is that of ``weights``.

All estimate the discounted return over the logged horizon: what comes after an end that was cut short counts nothing.
"""

from __future__ import annotations

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.quotients import Block, Quotients
from batchrl.ope.estimators.weights import CumulativeWeights, scaled_weights


def discounts(steps: int, discount: float) -> Floats64:
    """``[T]``, ``discount^t``."""
    return np.power(discount, np.arange(steps, dtype=np.float64))


def discounted_returns(rewards: Floats64, discount: float) -> Floats64:
    """``[n]``, ``G_i = sum_t discount^t r_it``, of rewards ``[n, T]`` that are 0 in the padding."""
    return rewards @ discounts(rewards.shape[1], discount)


def importance_sampling(log_weights: Floats64, returns: Floats64) -> Quotients:
    """``(1/n) sum_i w_i G_i`` (Precup et al. 2000): unbiased, and of a variance that grows with the horizon.

    Undefined where a weight is too large for a float.

    Args:
        log_weights: ``[n]``, see ``trajectory_log_weights``.
        returns: ``[n]``, see ``discounted_returns``.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return Quotients.mean(np.exp(log_weights) * returns)


def per_decision_importance_sampling(weights: CumulativeWeights, rewards: Floats64, discount: float) -> Quotients:
    """``(1/n) sum_it discount^t rho_i,0:t r_it`` (Precup et al. 2000): unbiased.

    Args:
        weights: of ``[n, T]`` steps.
        rewards: ``[n, T]``, 0 in the padding.
        discount: of one step.
    """
    return Quotients.mean(absolute_sums(weights, rewards, discount))


def weighted_importance_sampling(log_weights: Floats64, returns: Floats64) -> Quotients:
    """``sum_i w_i G_i / sum_i w_i`` (Precup et al. 2000): biased, consistent, never beyond the logged returns.

    Undefined, not 0, where every weight is 0 (quirk 13).

    Args:
        log_weights: ``[n]``, see ``trajectory_log_weights``.
        returns: ``[n]``, see ``discounted_returns``.
    """
    weights = scaled_weights(log_weights)
    return Quotients.one(weights * returns, weights)


def per_decision_weighted_importance_sampling(
    weights: CumulativeWeights, rewards: Floats64, discount: float
) -> Quotients:
    """``sum_t discount^t sum_i omega_it r_it`` with ``omega_it = rho_i,0:t / sum_j rho_j,0:t`` (Precup et al. 2000).

    Episodes that ended before t are among the j, with their last weight. Arguments as in
    ``per_decision_importance_sampling``.
    """
    steps = discounts(rewards.shape[1], discount)
    return Quotients((Block(weights.scaled * rewards, weights.scaled, steps),))


def absolute_sums(weights: CumulativeWeights, values: Floats64, discount: float) -> Floats64:
    """``[n]``, ``sum_t discount^t rho_i,0:t values[i, t]``, without an array of the products."""
    with np.errstate(over="ignore", invalid="ignore"):
        factors = discounts(values.shape[1], discount) * np.exp(weights.log_peaks)
        sums: Floats64 = np.einsum("it,it,t->i", weights.scaled, values, factors)
    return sums
