"""Estimators of the return beside those of the csv (section 5.1); the notation is that of ``estimators``.

Their figures stand in a run's summary. An episode that has ended keeps its last cumulative ratio in every later
denominator (absorbing state): without it, logs of episodes of different lengths would bias the estimates.
"""

from __future__ import annotations

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators import Quotients, trajectory_log_weights
from batchrl.ope.grid import Grid


def importance_sampling(log_ratios: Floats64, returns: Floats64) -> Quotients:
    """``(1/n) sum_i w_i G_i``: unbiased, and of a variance that grows with the horizon."""
    with np.errstate(over="ignore"):
        weights = np.exp(trajectory_log_weights(log_ratios))
    return Quotients.one(weights * returns, np.ones(len(returns)))


def per_decision_importance_sampling(log_ratios: Floats64, rewards: Floats64, discount: float) -> Quotients:
    """``(1/n) sum_it discount^t rho_i,0:t r_it`` (Precup et al. 2000)."""
    with np.errstate(over="ignore"):
        weighted = np.exp(np.cumsum(log_ratios, axis=1)) * rewards
    return Quotients(weighted, np.ones(weighted.shape), _discounts(weighted, discount))


def per_decision_weighted_importance_sampling(log_ratios: Floats64, rewards: Floats64, discount: float) -> Quotients:
    """``sum_t discount^t sum_i omega_it r_it`` with ``omega_it = rho_i,0:t / sum_j rho_j,0:t``."""
    weights = _cumulative_weights(log_ratios)
    return Quotients(weights * rewards, weights, _discounts(weights, discount))


def weighted_doubly_robust(
    grid: Grid,
    log_ratios: Floats64,
    rewards: Floats64,
    q_taken: Floats64,
    values: Floats64,
    end_values: Floats64,
    discount: float,
) -> Quotients:
    """``sum_it discount^t (omega_it (r_it - Q(s_it, a_it)) + omega_i,t-1 V(s_it))`` (Thomas & Brunskill 2016).

    An episode that was cut short adds ``discount^T_i omega_i,T_i-1 V(s_i,T_i)`` (section 5.3).

    Args:
        grid: of the episodes.
        log_ratios: ``[n, T]``.
        rewards: ``[n, T]``.
        q_taken: ``[n, T]``, ``Q(s_it, a_it)``; 0 in the padding.
        values: ``[n, T]``, ``V(s_it)``; 0 in the padding.
        end_values: ``[n]``, ``V`` of the state after the last step where the episode was cut short, else 0.
        discount: of one step.
    """
    weights = _cumulative_weights(log_ratios)
    before = np.concatenate([np.ones((len(weights), 1)), weights[:, :-1]], axis=1)
    residuals = rewards - q_taken
    residuals[np.arange(len(weights)), grid.lengths - 1] += discount * end_values
    factors = _discounts(weights, discount)
    return Quotients(
        np.concatenate([weights * residuals, before * values], axis=1),
        np.concatenate([weights, before], axis=1),
        np.concatenate([factors, factors]),
    )


def _cumulative_weights(log_ratios: Floats64) -> Floats64:
    """``[n, T]``, ``rho_i,0:t`` divided by the largest of its step, which cancels in every quotient."""
    logs = np.cumsum(log_ratios, axis=1)
    largest = logs.max(axis=0)
    return np.exp(logs - np.where(np.isneginf(largest), 0.0, largest))


def _discounts(like: Floats64, discount: float) -> Floats64:
    return np.power(discount, np.arange(like.shape[1], dtype=np.float64))
