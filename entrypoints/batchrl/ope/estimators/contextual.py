"""Estimators for logs in which every episode is one decision: a contextual bandit's.

Notation: decisions i < n with context ``x_i``, action ``a_i``, reward ``r_i`` and the probability ``p_i`` with which
the logging policy took that action; ``w_i = pi(a_i | x_i) / p_i``. No probability of another action is needed. A reward
model gives ``q(x, a)``, whose average under the policy is ``q(x, pi) = sum_a pi(a | x) q(x, a)``; it must not have
learnt from ``r_i`` what it says of decision i, or else what it explains away is noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.quotients import Quotients


@dataclass(frozen=True)
class ModelledRewards:
    """What a reward model says of n decisions.

    Args:
        taken: ``[n]``, ``q(x_i, a_i)``.
        averaged: ``[n]``, ``q(x_i, pi)``.
    """

    taken: Floats64
    averaged: Floats64


def inverse_propensity_score(weights: Floats64, rewards: Floats64) -> Quotients:
    """``(1/n) sum_i w_i r_i`` (Horvitz & Thompson 1952): unbiased. Arrays ``[n]``."""
    return Quotients.mean(weights * rewards)


def self_normalised(weights: Floats64, rewards: Floats64) -> Quotients:
    """``sum_i w_i r_i / sum_i w_i`` (Swaminathan & Joachims 2015): biased, consistent, never beyond the logged rewards.

    Undefined where every weight is 0. Arrays ``[n]``.
    """
    return Quotients.one(weights * rewards, weights)


def direct_method(modelled: ModelledRewards) -> Quotients:
    """``(1/n) sum_i q(x_i, pi)``: as good as the model. The interval shows how contexts vary, never how wrong q is."""
    return Quotients.mean(modelled.averaged)


def doubly_robust(weights: Floats64, rewards: Floats64, modelled: ModelledRewards) -> Quotients:
    """``(1/n) sum_i q(x_i, pi) + w_i (r_i - q(x_i, a_i))`` (Dudik, Langford & Li 2011).

    Unbiased with the weights above, whatever q is; ``shrinkage`` gives others.

    Args:
        weights: ``[n]``.
        rewards: ``[n]``.
        modelled: q on the same decisions.
    """
    return Quotients.mean(doubly_robust_summands(weights, rewards, modelled))


def self_normalised_doubly_robust(weights: Floats64, rewards: Floats64, modelled: ModelledRewards) -> Quotients:
    """``(1/n) sum_i q(x_i, pi) + sum_i w_i (r_i - q(x_i, a_i)) / sum_i w_i`` (Thomas & Brunskill 2016, of one step)."""
    return direct_method(modelled) + Quotients.one(weights * (rewards - modelled.taken), weights)


def doubly_robust_summands(weights: Floats64, rewards: Floats64, modelled: ModelledRewards) -> Floats64:
    """``[..., n]``, of which ``doubly_robust`` is the mean, for weights ``[..., n]``."""
    with np.errstate(over="ignore", invalid="ignore"):
        summands: Floats64 = modelled.averaged + weights * (rewards - modelled.taken)
    return summands
