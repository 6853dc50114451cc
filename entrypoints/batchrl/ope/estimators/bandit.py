"""Coach's three one-step estimates: the expected immediate reward, not a return (quirk 12).

They pool the N transitions of all episodes; the notation is that of ``weights``.
"""

from __future__ import annotations

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.quotients import Quotients


def inverse_propensity_score(grid: Grid, log_ratios: Floats64, rewards: Floats64) -> Quotients:
    """``(1/N) sum_it rho_it r_it``: the expected immediate reward."""
    return _per_transition(grid, (np.exp(log_ratios) * rewards).sum(axis=1))


def direct_method(grid: Grid, modelled: Floats64) -> Quotients:
    """``(1/N) sum_it sum_a pi(a | s_it) r_hat(s_it, a)``: the expected immediate reward of the model.

    Args:
        grid: of the episodes.
        modelled: ``[n, T]``, the inner sums, each from its own row of the reward model (quirk 3); 0 in the padding.
    """
    return _per_transition(grid, modelled.sum(axis=1))


def doubly_robust(
    grid: Grid, log_ratios: Floats64, rewards: Floats64, modelled_taken: Floats64, modelled: Floats64
) -> Quotients:
    """``(1/N) sum_it rho_it (r_it - r_hat(s_it, a_it)) + DM`` (Dudik et al. 2011): expected immediate reward.

    Args:
        grid: of the episodes.
        log_ratios: ``[n, T]``.
        rewards: ``[n, T]``.
        modelled_taken: ``[n, T]``, ``r_hat(s_it, a_it)``; 0 in the padding.
        modelled: ``[n, T]``, as in ``direct_method``.
    """
    correction = np.exp(log_ratios) * (rewards - modelled_taken)
    return _per_transition(grid, (correction + modelled).sum(axis=1))


def _per_transition(grid: Grid, summands: Floats64) -> Quotients:
    return Quotients.one(summands, grid.lengths.astype(np.float64))
