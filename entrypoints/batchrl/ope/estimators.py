"""The five estimators of the csv (section 5), as functions of arrays.

Notation: episodes i < n, steps t < T in a ``Grid``; ``log_ratios[i, t]`` is the log of
``rho_it = pi(a_it | s_it) / pi_b(a_it | s_it)``, 0 in the padding; ``rewards[i, t]`` is 0 in the padding.

Each estimator is a quotient of two sums over episodes, or a weighted sum of such quotients. It returns the summands, as
``Quotients``, so that a resample of episodes weighs both sums and renormalises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.grid import Grid


@dataclass(frozen=True)
class Quotients:
    """``sum_k factors[k] * sum_i numerators[i, k] / sum_i denominators[i, k]``; undefined where a denominator is 0.

    Args:
        numerators: ``[n, K]``.
        denominators: ``[n, K]``, not negative.
        factors: ``[K]``.
    """

    numerators: Floats64
    denominators: Floats64
    factors: Floats64

    @classmethod
    def one(cls, numerator: Floats64, denominator: Floats64) -> Quotients:
        """A single quotient of summands ``[n]``."""
        return cls(numerator[:, None], denominator[:, None], np.ones(1))

    @property
    def value(self) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            quotients = self.numerators.sum(axis=0) / self.denominators.sum(axis=0)
        total = float(quotients @ self.factors)
        return total if np.isfinite(total) else float("nan")


def inverse_propensity_score(grid: Grid, log_ratios: Floats64, rewards: Floats64) -> Quotients:
    """``(1/N) sum rho_it r_it``: the expected immediate reward; a bandit value, not a return (quirk 12)."""
    return Quotients.one((np.exp(log_ratios) * rewards).sum(axis=1), grid.lengths.astype(np.float64))


def direct_method(grid: Grid, modelled: Floats64) -> Quotients:
    """``(1/N) sum_it sum_a pi(a | s_it) r_hat(s_it, a)``: the expected immediate reward of the model.

    Args:
        grid: of the episodes.
        modelled: ``[n, T]``, the inner sums, each from its own row of the reward model (quirk 3); 0 in the padding.
    """
    return Quotients.one(modelled.sum(axis=1), grid.lengths.astype(np.float64))


def doubly_robust(
    grid: Grid, log_ratios: Floats64, rewards: Floats64, modelled_taken: Floats64, modelled: Floats64
) -> Quotients:
    """``(1/N) sum rho_it (r_it - r_hat(s_it, a_it)) + DM`` (Dudik et al. 2011): expected immediate reward.

    Args:
        grid: of the episodes.
        log_ratios: ``[n, T]``.
        rewards: ``[n, T]``.
        modelled_taken: ``[n, T]``, ``r_hat(s_it, a_it)``; 0 in the padding.
        modelled: ``[n, T]``, as in ``direct_method``.
    """
    correction = np.exp(log_ratios) * (rewards - modelled_taken)
    return Quotients.one((correction + modelled).sum(axis=1), grid.lengths.astype(np.float64))


def sequential_doubly_robust(
    grid: Grid,
    log_ratios: Floats64,
    rewards: Floats64,
    q_taken: Floats64,
    values: Floats64,
    end_values: Floats64,
    discount: float,
) -> Quotients:
    """Mean of ``v_i0`` with ``v_it = V(s_it) + rho_it (r_it + discount v_i,t+1 - Q(s_it, a_it))`` (Jiang & Li 2016).

    Args:
        grid: of the episodes.
        log_ratios: ``[n, T]``.
        rewards: ``[n, T]``.
        q_taken: ``[n, T]``, ``Q(s_it, a_it)``.
        values: ``[n, T]``, ``V(s_it) = sum_a pi(a | s_it) Q(s_it, a)``.
        end_values: ``[n]``, ``V`` of the state after the last step where the episode was cut short, else 0.
        discount: of one step.
    """
    ratios = np.exp(log_ratios)
    value = end_values.astype(np.float64)
    for step in reversed(range(grid.valid.shape[1])):
        backed_up = values[:, step] + ratios[:, step] * (rewards[:, step] + discount * value - q_taken[:, step])
        value = np.where(grid.valid[:, step], backed_up, value)
    return Quotients.one(value, np.ones(len(value)))


def weighted_importance_sampling(log_weights: Floats64, returns: Floats64) -> Quotients:
    """``sum_i w_i G_i / sum_i w_i``; undefined, not 0, where every weight is 0 (quirk 13).

    Args:
        log_weights: ``[n]``, see ``trajectory_log_weights``.
        returns: ``[n]``, see ``discounted_returns``.
    """
    weights = _scaled(log_weights)
    return Quotients.one(weights * returns, weights)


def trajectory_log_weights(log_ratios: Floats64) -> Floats64:
    """``[n]``, ``log w_i = sum_t log rho_it``; -inf where the policy never takes a logged action."""
    log_weights: Floats64 = log_ratios.sum(axis=1)
    return log_weights


def discounted_returns(rewards: Floats64, discount: float) -> Floats64:
    """``[n]``, ``G_i = sum_t discount^t r_it``."""
    return rewards @ np.power(discount, np.arange(rewards.shape[1], dtype=np.float64))


@dataclass(frozen=True)
class WeightDiagnostics:
    """How far the weights can be trusted.

    Args:
        effective_episodes: ``(sum w)^2 / sum w^2``, from 0 to n (Kish's effective sample size).
        max_normalised_weight: ``max w / sum w``; near 1, one episode decides.
        mean_weight: ``(1/n) sum w``; its expectation is 1, and a heavy weight that was never seen leaves it below.
    """

    effective_episodes: float
    max_normalised_weight: float
    mean_weight: float

    @classmethod
    def of(cls, log_weights: Floats64) -> WeightDiagnostics:
        """Diagnostics of ``[n]`` log weights."""
        weights = _scaled(log_weights)
        total = weights.sum()
        if total == 0:
            return cls(0.0, float("nan"), 0.0)
        log_mean = np.log(total / len(weights)) + log_weights.max()
        with np.errstate(over="ignore"):
            return cls(float(total**2 / (weights**2).sum()), float(weights.max() / total), float(np.exp(log_mean)))


def _scaled(log_weights: Floats64) -> Floats64:
    """Weights divided by the largest one, which cancels in every quotient and cannot overflow."""
    largest = log_weights.max()
    return np.zeros_like(log_weights) if np.isneginf(largest) else np.exp(log_weights - largest)
