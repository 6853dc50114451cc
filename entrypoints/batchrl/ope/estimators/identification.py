"""What a log leaves open of a policy's value: the policy does what the logging policy never does.

A policy's episode is in the log's range until it comes to such an action; what that action pays and what follows is in
no row. With rewards that lie in a known range, the value lies between two ends all the same (partial identification:
Manski 1990): the value of what is in range, plus the least or the greatest that the rest could pay.

The chance to come to such an action at step t, not having come to one before, is ``S_t h_t``, where

* ``h_t = sum_i rho_i,0:t-1 u_it / sum_i rho_i,0:t-1`` for ``u_it``, the policy's probability of such actions there;
* ``S_0 = 1`` and ``S_t+1 = S_t (1 - h_t)``;

and what step t pays to who has not is ``sum_i rho_i,0:t r_it / sum_i rho_i,0:t`` (the notation is that of ``weights``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.contract.interval import Interval
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.bootstrap import resampled
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.trajectories import discounts
from batchrl.ope.estimators.weights import CumulativeWeights

RESAMPLES = 1000


@dataclass(frozen=True)
class Identification:
    """How far a value is known.

    Args:
        leaving: the share of the policy's episodes that come to an action which is never logged.
        unknown: which share of the range of all returns the value can lie in for what the log knows, chance aside.
        value: the ends of that range, each beyond its own error by chance.
    """

    leaving: float
    unknown: float
    value: Interval


def identified(
    log_ratios: Floats64,
    unsupported: Floats64,
    rewards: Floats64,
    discount: float,
    reward_range: tuple[float, float],
    confidence: float = 0.95,
    seed: int = 0,
) -> Identification:
    """The range that holds the value of a policy, whatever is paid by actions that are in no row.

    Args:
        log_ratios: ``[n, T]``, see ``weights``.
        unsupported: ``[n, T]``, the policy's probability of actions that the logging policy never takes there; 0 in the
            padding.
        rewards: ``[n, T]``, 0 in the padding.
        discount: of one step.
        reward_range: of a step, whatever is done; no episode has more than T steps, and none is without a reward.
        confidence: that the range holds the value (percentile bootstrap over episodes, either end at half the error).
        seed: of the resamples.
    """
    steps = rewards.shape[1]
    chances, paid = _by_step(log_ratios, unsupported, rewards)
    values = np.array([quotients.value for quotients in (*chances, *paid)])
    drawn = resampled([*chances, *paid], RESAMPLES, seed)
    leaving, within = _known(np.vstack([values, drawn]), steps)
    factors = discounts(steps, discount)
    # What is left to gain from each step on, were every reward 1.
    rest = np.cumsum(factors[::-1])[::-1]
    low, high = reward_range
    # An episode may end with the reward of the very action.
    least = leaving @ (low * (rest if low < 0 else factors))
    greatest = leaving @ (high * (rest if high > 0 else factors))
    known = within @ factors
    tail = (1 - confidence) / 2
    ends = Interval(
        float(np.quantile((known + least)[1:], tail, method="lower")),
        float(np.quantile((known + greatest)[1:], 1 - tail, method="higher")),
    )
    return Identification(float(leaving[0].sum()), float(leaving[0] @ rest / rest[0]), ends)


def _by_step(log_ratios: Floats64, unsupported: Floats64, rewards: Floats64) -> tuple[list[Quotients], list[Quotients]]:
    """``T`` quotients each: the chance of such an action, and the reward of the others."""
    weights = CumulativeWeights.of(log_ratios).scaled
    before = np.hstack([np.ones((len(weights), 1)), weights[:, :-1]])
    chances = [Quotients.one(before[:, t] * unsupported[:, t], before[:, t]) for t in range(rewards.shape[1])]
    paid = [Quotients.one(weights[:, t] * rewards[:, t], weights[:, t]) for t in range(rewards.shape[1])]
    return chances, paid


def _known(quotients: Floats64, steps: int) -> tuple[Floats64, Floats64]:
    """``[k, T]`` each: the share of episodes that come to such an action first at a step, and what the others are paid.

    Args:
        quotients: ``[k, 2 T]``; where no weight is left (``nan``), nothing is known from there on.
        steps: ``T``.
    """
    chances, paid = quotients[:, :steps], quotients[:, steps:]
    unknown = np.isnan(chances) | np.isnan(paid)
    chances = np.where(unknown, 1.0, np.clip(chances, 0.0, 1.0))
    staying = np.cumprod(1 - chances, axis=1)
    reached = np.hstack([np.ones((len(staying), 1)), staying[:, :-1]])
    return reached * chances, np.where(unknown, 0.0, staying * np.nan_to_num(paid))
