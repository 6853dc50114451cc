"""Whether a log can say anything of a policy: what the logging policy never does has no value in the log.

Importance weights never show it: an action that was logged with probability 0 is in no row, and its reward is missing
from every estimate, whatever the weights. The share of the policy's probability on such actions bounds what is missing
(positivity, or overlap: e.g. Sachdeva, Su, Joachims 2020, "Off-policy bandits with deficient support").
"""

from __future__ import annotations

import numpy as np

from batchrl.contract.text import listed
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.report.words import OF_DECISIONS, Words

# What is on such actions below this share moves no figure by more than a thousandth of the rewards' range.
LEAST_SHARE = 1e-3
SHOWN_ACTIONS = 3
# With thousands of actions a row is long: memory is bounded by numbers, not by rows.
CELLS_AT_ONCE = 1 << 18


def doubt_of_support(dataset: Dataset, probabilities: Floats64, words: Words) -> str | None:
    """What speaks against every figure of a policy that does what the logging policy never does; None for nothing.

    Args:
        dataset: the log.
        probabilities: ``[N, A]`` of the policy.
        words: for what the log is made of.

    Returns:
        None also where only the taken actions' probabilities were logged, or they were estimated: then nobody knows.
    """
    by_action = _never_taken(dataset, probabilities)
    if by_action is None:
        return None
    share = float(by_action.sum())
    if share < LEAST_SHARE:
        return None
    largest = np.argsort(-by_action, kind="stable")[: np.count_nonzero(by_action)]
    shown = listed([dataset.action_names[action] for action in largest], SHOWN_ACTIONS)
    said = (
        f"{share:.2%} of its probability is on actions that the logging policy never takes where it would take them "
        f"({shown}): what they would pay is in no row"
    )
    if words is not OF_DECISIONS:
        return f"{said}, nor is what would follow from them"
    low, high = float(dataset.rewards.min()), float(dataset.rewards.max())
    return f"{said}, so that the value may be off by {share * (high - low):.2g} for rewards from {low:g} to {high:g}"


def _never_taken(dataset: Dataset, probabilities: Floats64) -> Floats64 | None:
    """``[A]``, mean probability under the policy of each action where the log never has it; None where nobody knows."""
    if dataset.estimated_on is not None:
        return None
    if dataset.mixture is not None:
        assert dataset.mixture.policies is not None and dataset.loggers is not None, "they were logged"
        mixed = dataset.mixture.shares(dataset.loggers) @ dataset.mixture.policies
        return np.where(mixed <= 0, probabilities.mean(axis=0), 0.0)
    if dataset.behavior_policy is None:
        return None
    by_action = np.zeros(dataset.n_actions)
    rows = max(1, CELLS_AT_ONCE // dataset.n_actions)
    for start in range(0, dataset.n_transitions, rows):
        never = dataset.behavior_policy[start : start + rows] <= 0
        by_action += np.where(never, probabilities[start : start + rows], 0).sum(axis=0)
    return by_action / dataset.n_transitions
