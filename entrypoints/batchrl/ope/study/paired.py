"""What a policy is worth above the logging policy, on the very same episodes."""

from __future__ import annotations

import math
from dataclasses import replace

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.doubly_robust import ActionValues, weighted_doubly_robust
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.trajectories import discounts
from batchrl.ope.estimators.weights import CumulativeWeights
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy


def paired_difference(log: EpisodeLog, policy: ScoredPolicy, log_ratios: Floats64) -> Quotients:
    """The weighted doubly robust estimate of a policy minus the logged mean discounted return.

    Both sides see the same episodes, in the estimate and in every resample, and count rewards up to the end of the log:
    an episode that was cut short has no value beyond, for the logging policy's return has none either.

    Args:
        log: the episodes.
        policy: what it would do; its fitted values, else its own, else none steady the estimate.
        log_ratios: of the policy on the log, ``[n, T]``.
    """
    padded = _values(log, policy)
    residuals = padded.residuals(log.grid, log.rewards, log.discount)
    weights = CumulativeWeights.of(log_ratios)
    return weighted_doubly_robust(weights, residuals, padded.values, log.discount) - log.logged_return


def null_error(log: EpisodeLog, policy: ScoredPolicy, log_ratios: Floats64) -> float:
    """A floor for the error of the paired difference: what it would be if rewards had nothing to do with the actions.

    A step moves the difference by ``(omega - 1) delta``, in the notation of ``doubly_robust`` with weights of mean 1.
    If both factors are independent, its variance is ``E[(omega - 1)^2] E[delta^2]``, to which every episode adds what
    it says of the weights, while the sample variance sees those episodes alone that were rewarded: when the few rewards
    happen to follow actions that the candidate prefers, it is far too small. Steps are taken to be independent; where
    all weights of one are 0 there is no floor.

    Args:
        log, policy, log_ratios: as in ``paired_difference``.
    """
    residuals = _values(log, policy).residuals(log.grid, log.rewards, log.discount)
    weights = CumulativeWeights.of(log_ratios).scaled
    means = weights.mean(axis=0)
    if not means.all():
        return 0.0
    omega = weights / means
    deviations = residuals - (omega * residuals).mean(axis=0)
    steps = discounts(residuals.shape[1], log.discount) ** 2
    return math.sqrt(float(steps @ (((omega - 1) ** 2).mean(axis=0) * (deviations**2).mean(axis=0))) / len(residuals))


def _values(log: EpisodeLog, policy: ScoredPolicy) -> ActionValues:
    known = policy.fitted_values or policy.own_values
    return log.action_values(policy.probabilities, None if known is None else replace(known, end_values=None))
