"""Importance sampling with weights of single states or pairs, where somebody has fitted such weights.

They replace the product of all ratios so far, whose variance grows with the horizon, by a ratio of how often two
policies are somewhere. The weights come from elsewhere; what they must be ratios of is said at each estimator, above
all whether they contain the discount.
"""

from __future__ import annotations

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.quotients import Block, Quotients
from batchrl.ope.estimators.trajectories import discounts


def state_marginal(log_ratios: Floats64, state_weights: Floats64, rewards: Floats64, discount: float) -> Quotients:
    """``(1/n) sum_it discount^t w_t(s_it) rho_it r_it`` (Xie, Ma & Wang 2019).

    ``w_t(s) = P_pi(s_t = s) / P_b(s_t = s)``, the ratio of state probabilities at step t: it does *not* contain the
    discount, which the estimator applies.

    Args:
        log_ratios: ``[n, T]``, 0 in the padding.
        state_weights: ``[n, T]``; any finite number in the padding.
        rewards: ``[n, T]``, 0 in the padding.
        discount: of one step.
    """
    weighted = np.exp(log_ratios) * state_weights * rewards
    return Quotients.mean(weighted @ discounts(rewards.shape[1], discount))


def weighted_state_marginal(
    log_ratios: Floats64, state_weights: Floats64, rewards: Floats64, discount: float
) -> Quotients:
    """``sum_t discount^t sum_i w_it rho_it r_it / sum_i w_it rho_it``: self-normalised at each step.

    Episodes that have ended are in a state of their own, whose weight counts in the denominator.

    Args:
        log_ratios: ``[n, T]``, 0 in the padding.
        state_weights: ``[n, T]``; in the padding the weight of having ended, the ratio of the probabilities that an
            episode is over by step t (``Grid.pad`` takes one number a step).
        rewards: ``[n, T]``, 0 in the padding.
        discount: of one step.
    """
    weights = np.exp(log_ratios) * state_weights
    return Quotients((Block(weights * rewards, weights, discounts(rewards.shape[1], discount)),))


def state_action_marginal(grid: Grid, weights: Floats64, rewards: Floats64, discount: float) -> Quotients:
    """``(1 / (1 - discount)) (1/N) sum_it w(s_it, a_it) r_it`` (Uehara, Huang & Jiang 2020).

    ``w(s, a) = d_pi(s, a) / d_b(s, a)`` with ``d_pi(s, a) = (1 - discount) sum_t discount^t P_pi(s_t = s, a_t = a)``
    and ``d_b`` the frequency among the N logged transitions: w *contains* the discount, and no further ``discount^t``
    is due.

    Args:
        grid: of the episodes.
        weights: ``[n, T]``, 0 in the padding.
        rewards: ``[n, T]``, 0 in the padding.
        discount: of one step, below 1.

    Raises:
        InputError: the discount is 1.
    """
    factors = np.array([_effective_horizon(discount)])
    return Quotients(
        (Block(_rows(weights * rewards), grid.lengths.astype(np.float64)[:, None], factors),),
    )


def weighted_state_action_marginal(
    weights: Floats64, rewards: Floats64, discount: float, mean_weight: float = 1.0
) -> Quotients:
    """``(m / (1 - discount)) sum_it w_it r_it / sum_it w_it``: self-normalised; w as in ``state_action_marginal``.

    Args:
        weights: ``[n, T]``, 0 in the padding.
        rewards: ``[n, T]``, 0 in the padding.
        discount: of one step, below 1.
        mean_weight: m, the expectation of w over logged transitions. It is 1 for a task that does not end; where
            episodes end, ``(1 - discount) E_pi sum_t<T_i discount^t``, the share of ``d_pi`` before the end.

    Raises:
        InputError: the discount is 1.
    """
    factors = np.array([mean_weight * _effective_horizon(discount)])
    return Quotients((Block(_rows(weights * rewards), _rows(weights), factors),))


def _effective_horizon(discount: float) -> float:
    if discount >= 1:
        raise InputError(
            f"state-action weights are ratios of discounted frequencies, and there are none for discount {discount:g}.",
            "Give a discount below 1, or weights of states.",
        )
    return 1 / (1 - discount)


def _rows(values: Floats64) -> Floats64:
    summed: Floats64 = values.sum(axis=1, keepdims=True)
    return summed
