"""Estimators of the return that a value function steadies; the notation is that of ``weights``.

With ``delta_it = r_it - Q(s_it, a_it) + discount V(s_i,t+1)``, both doubly robust estimators are the mean of
``V(s_i0)`` plus ``sum_t discount^t`` of weighted ``delta_it``. After an episode's last step V is 0, or the value of the
state that was reached where the episode was cut short: they then estimate the return beyond the logged horizon, and
inherit the error of that value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.quotients import Block, Quotients
from batchrl.ope.estimators.trajectories import absolute_sums, discounts
from batchrl.ope.estimators.weights import CumulativeWeights

# Episodes whose temporary arrays stay in the cache.
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class ActionValues:
    """A value function of the scored policy on the episodes; 0 in the padding.

    It must be one function, ``V(s) = sum_a pi(a | s) Q(s, a)``, that was fitted on other episodes.

    Args:
        q_taken: ``[n, T]``, ``Q(s_it, a_it)``.
        values: ``[n, T]``, ``V(s_it)``.
        end_values: ``[n]``, ``V`` of the state after the last step where the episode was cut short, else 0.
    """

    q_taken: Floats64
    values: Floats64
    end_values: Floats64

    def residuals(self, grid: Grid, rewards: Floats64, discount: float) -> Floats64:
        """``delta_it``, ``[n, T]``; 0 in the padding.

        Args:
            grid: of the episodes.
            rewards: ``[n, T]``, 0 in the padding.
            discount: of one step.
        """
        result = rewards - self.q_taken
        for start in range(0, len(result), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            result[rows, :-1] += discount * self.values[rows, 1:]
        result[np.arange(len(result)), grid.lengths - 1] += discount * self.end_values
        return result


def direct_method_value(values: Floats64) -> Quotients:
    """``(1/n) sum_i V(s_i0)``: as good as the value function, with no correction (Le et al. 2019 with fitted values).

    The interval shows how start states vary, never how wrong V is.

    Args:
        values: ``[n, T]``, or ``[n, 1]`` with those of the first states alone.
    """
    return Quotients.mean(values[:, 0])


def sequential_doubly_robust(
    weights: CumulativeWeights, residuals: Floats64, values: Floats64, discount: float
) -> Quotients:
    """Mean of ``v_i0`` with ``v_it = V(s_it) + rho_it (r_it + discount v_i,t+1 - Q(s_it, a_it))`` (Jiang & Li 2016).

    Written out, ``v_i0 = V(s_i0) + sum_t discount^t rho_i,0:t delta_it``. Unbiased where the policy and Q do not depend
    on these episodes and no end was cut short.

    Args:
        weights: of ``[n, T]`` steps.
        residuals: ``[n, T]``, see ``ActionValues.residuals``.
        values: ``[n, T]``, ``V(s_it)``.
        discount: of one step.
    """
    return Quotients.mean(values[:, 0] + absolute_sums(weights, residuals, discount))


def weighted_doubly_robust(
    weights: CumulativeWeights, residuals: Floats64, values: Floats64, discount: float
) -> Quotients:
    """``sum_it discount^t (omega_it (r_it - Q(s_it, a_it)) + omega_i,t-1 V(s_it))`` (Thomas & Brunskill 2016).

    ``omega_it = rho_i,0:t / sum_j rho_j,0:t`` and ``omega_i,-1 = 1/n``. An episode that was cut short adds
    ``discount^T_i omega_i,T_i-1 V(s_i,T_i)``. Summed by ``omega_it``: the mean of ``V(s_i0)`` plus
    ``sum_t discount^t sum_i omega_it delta_it``. Biased, consistent; arguments as in ``sequential_doubly_robust``.

    Returns:
        Two blocks: the mean of ``V(s_i0)``, and T quotients, one a step.
    """
    steps = discounts(residuals.shape[1], discount)
    corrections = Quotients((Block(weights.scaled * residuals, weights.scaled, steps),))
    return direct_method_value(values) + corrections
