"""What a learned policy stands beside: the best constant action, found without the episodes of the final figures."""

from __future__ import annotations

import math

import numpy as np

from batchrl.data.dataset import Dataset
from batchrl.ope.estimators.student import student_interval
from batchrl.ope.estimators.trajectories import per_decision_weighted_importance_sampling
from batchrl.ope.estimators.weights import CumulativeWeights
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy
from batchrl.policies import FixedPolicy, among_eligible


def best_constant_action(episodes: Dataset, discount: float) -> int:
    """The action that would have earned most if it had always been taken, as far as the episodes show.

    Each action has its per-decision weighted estimate (PDWIS), less one standard error, so that few lucky episodes do
    not make it the best. Episodes that begin with another action have the weight 0 from the first step on: only those
    that begin with it are looked at, and all actions together cost as much as one policy. Where none has an estimate,
    it is the most frequent action.

    Args:
        episodes: of the training.
        discount: of one step.
    """
    first = np.asarray(episodes.actions)[episodes.offsets[:-1]]
    best, action = -math.inf, int(np.bincount(episodes.actions, minlength=episodes.n_actions).argmax())
    for candidate in np.unique(first).tolist():
        begun = np.flatnonzero(first == candidate).astype(np.int64)
        log = EpisodeLog(episodes.select(begun), discount)
        ratios = log.log_ratios(constant_policy(candidate, log.dataset).probabilities)
        estimate = per_decision_weighted_importance_sampling(CumulativeWeights.of(ratios), log.rewards, discount)
        cautious = estimate.value - student_interval(estimate, 0.95).standard_error
        if cautious > best:  # not where either is undefined
            best, action = cautious, candidate
    return action


def constant_policy(action: int, episodes: Dataset) -> ScoredPolicy:
    """The policy that always takes an action, on some episodes."""
    chances = FixedPolicy.constant(action, episodes.n_actions).action_probabilities(episodes.states)
    label = f"always action {episodes.action_names[action]}, the best constant one in training"
    if episodes.eligible is not None:
        label += " (where it is not eligible, any that is)"
    return ScoredPolicy(label, among_eligible(chances, episodes.eligible))
