"""Window scores: what some steps of a policy are worth from the logged states on, the logging policy acting after them.

Where a policy differs from the log, the weights of whole episodes leave nothing to compare; weights of windows of a few
steps still do. With ``c_it = rho_it ... rho_i,t+h-1`` and ``G_it = sum_k>=t discount^(k-t) r_ik``::

    score(h) = sum_it c_it G_it / sum_it c_it  -  (1/N) sum_it G_it

It is a deviation of h steps, not the policy's value, and it favours policies that look one step ahead: it compares the
epochs of one run, not agents. A window that would pass its episode's end ends there. Rewards count up to the end of the
log on both sides, also where an episode was cut short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.quotients import Quotients


@dataclass(frozen=True)
class WindowScore:
    """The score of windows of one length.

    Args:
        steps: h.
        difference: the score, as sums over episodes: a resample of episodes keeps an episode's windows together.
        effective_windows: ``(sum c)^2 / sum c^2`` over all windows, from 0 to N. Windows of an episode overlap, so that
            it overstates the independent ones; the interval, which resamples episodes, does not.
    """

    steps: int
    difference: Quotients
    effective_windows: float


def returns_to_go(rewards: Floats64, discount: float) -> Floats64:
    """``[n, T]``, ``G_it``, of rewards ``[n, T]`` that are 0 in the padding."""
    result = rewards.copy()
    for step in reversed(range(result.shape[1] - 1)):
        result[:, step] += discount * result[:, step + 1]
    return result


def window_scores(
    grid: Grid, log_ratios: Floats64, rewards: Floats64, discount: float, max_window: int
) -> list[WindowScore]:
    """The scores for h = 1, ..., ``max_window``.

    Args:
        grid: of the episodes.
        log_ratios: ``[n, T]``, ``log rho_it``, 0 in the padding; -inf where the policy never takes the logged action.
        rewards: ``[n, T]``, 0 in the padding.
        discount: of one step.
        max_window: the largest h.
    """
    returns = returns_to_go(rewards, discount)
    lengths = grid.lengths.astype(np.float64)
    plain = Quotients.one(returns.sum(axis=1), lengths)
    scores = []
    logs = np.zeros_like(log_ratios)
    for steps in range(1, max_window + 1):
        # The window that begins at t is step t and the window, shorter by one, that begins at t + 1.
        logs[:, :-1] = logs[:, 1:]
        logs[:, -1] = 0.0
        logs += log_ratios
        weights = _scaled(logs, grid)
        followed = Quotients.one((weights * returns).sum(axis=1), weights.sum(axis=1))
        total, squares = weights.sum(), np.square(weights).sum()
        effective = float(total**2 / squares) if squares > 0 else 0.0
        scores.append(WindowScore(steps, followed - plain, effective))
    return scores


def _scaled(logs: Floats64, grid: Grid) -> Floats64:
    """``[n, T]``, weights divided by the largest one, which cancels; 0 in the padding."""
    largest = logs[grid.valid].max()
    if np.isneginf(largest):
        return np.zeros_like(logs)
    return np.where(grid.valid, np.exp(logs - largest), 0.0)
