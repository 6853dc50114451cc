"""What a policy is worth above the logging policy, on the very same episodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from batchrl.data.dataset import Floats64
from batchrl.ope.doubly_robust import weighted_doubly_robust
from batchrl.ope.logged import EpisodeLog, ScoredPolicy, Values
from batchrl.ope.quotients import Quotients
from batchrl.ope.weights import CumulativeWeights


def paired_difference(log: EpisodeLog, policy: ScoredPolicy, log_ratios: Floats64) -> Quotients:
    """The weighted doubly robust estimate of a policy minus the logged mean discounted return.

    Both sides see the same episodes, in the estimate and in every resample, and count rewards up to the end of the log:
    an episode that was cut short has no value beyond, for the logging policy's return has none either.

    Args:
        log: the episodes.
        policy: what it would do; its fitted values, else its own, else none steady the estimate.
        log_ratios: of the policy on the log, ``[n, T]``.
    """
    known = policy.fitted_values or policy.own_values
    values = Values(np.zeros(policy.probabilities.shape)) if known is None else replace(known, end_values=None)
    padded = log.action_values(policy.probabilities, values)
    residuals = padded.residuals(log.grid, log.rewards, log.discount)
    weights = CumulativeWeights.of(log_ratios)
    return weighted_doubly_robust(weights, residuals, padded.values, log.discount) - log.logged_return
