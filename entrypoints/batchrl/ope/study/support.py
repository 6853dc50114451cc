"""Whether a log can say anything of a policy: what the logging policy never does has no value in the log.

Importance weights never show it: an action that was logged with probability 0 is in no row, and its reward is missing
from every estimate, whatever the weights (positivity, or overlap: e.g. Sachdeva, Su, Joachims 2020, "Off-policy bandits
with deficient support"). What is missing is bounded by the range of rewards, see ``identification``.
"""

from __future__ import annotations

import numpy as np

from batchrl.contract.text import listed
from batchrl.data.dataset import Dataset, Flags, Floats64
from batchrl.data.mixture import Mixture
from batchrl.ope.estimators.identification import identified
from batchrl.ope.report.words import OF_DECISIONS, Words
from batchrl.ope.study.logged import EpisodeLog

# Less than this share of the range of all returns moves no figure that is shown.
LEAST_UNKNOWN = 1e-3
SHOWN_ACTIONS = 3
# With thousands of actions a row is long: memory is bounded by numbers, not by rows.
CELLS_AT_ONCE = 1 << 18


def doubt_of_support(
    log: EpisodeLog, probabilities: Floats64, words: Words, confidence: float = 0.95, seed: int = 0
) -> str | None:
    """What speaks against every figure of a policy that does what the logging policy never does; None for nothing.

    Args:
        log: the episodes.
        probabilities: ``[N, A]`` of the policy.
        words: for what the log is made of.
        confidence: of the range that holds the policy's value.
        seed: of its resamples.

    Returns:
        None also where only the taken actions' probabilities were logged, or they were estimated: then nobody knows.
    """
    dataset = log.dataset
    found = _never_taken(dataset, probabilities)
    if found is None or not found[0].any():
        return None
    by_row, by_action = found
    low, high = float(dataset.rewards.min()), float(dataset.rewards.max())
    known = identified(
        log.log_ratios(probabilities),
        log.grid.pad(by_row),
        log.rewards,
        log.discount,
        (low, high),
        confidence,
        seed,
    )
    if known.unknown < LEAST_UNKNOWN:
        return None
    largest = np.argsort(-by_action, kind="stable")[: np.count_nonzero(by_action)]
    shown = listed([dataset.action_names[action] for action in largest], SHOWN_ACTIONS)
    said = (
        f"{by_action.sum():.2%} of its probability is on actions that the logging policy never takes where it would "
        f"take them ({shown}): what they would pay is in no row"
    )
    steps = ""
    if words is not OF_DECISIONS:
        said += f", nor is what would follow, and {known.leaving:.2%} of its {words.episodes} would come to one"
        steps = f" in at most {log.grid.valid.shape[1]} {words.step}s"
    value = f"{known.value.lower:.4g} to {known.value.upper:.4g}"
    return f"{said}, so that its value can be anything from {value}, for rewards from {low:g} to {high:g}{steps}"


def _never_taken(dataset: Dataset, probabilities: Floats64) -> tuple[Floats64, Floats64] | None:
    """The policy's probability of actions that are never logged there, ``[N]`` and its mean by action ``[A]``; None
    where nobody knows."""
    logged = dataset.behavior_policy if dataset.mixture is None else dataset.mixture.policies
    if dataset.estimated_on is not None or logged is None:
        return None
    supported = None if dataset.mixture is None else _of_loggers(dataset, dataset.mixture)
    by_row, by_action = np.zeros(dataset.n_transitions), np.zeros(dataset.n_actions)
    rows = max(1, CELLS_AT_ONCE // dataset.n_actions)
    for start in range(0, dataset.n_transitions, rows):
        stop = start + rows
        if supported is not None:
            never = ~supported[start:stop]
        else:
            assert dataset.behavior_policy is not None, "it is the one or the other"
            never = dataset.behavior_policy[start:stop] <= 0
        missing = np.where(never, probabilities[start:stop], 0)
        by_row[start:stop] = missing.sum(axis=1)
        by_action += missing.sum(axis=0)
    return by_row, by_action / dataset.n_transitions


def _of_loggers(dataset: Dataset, mixture: Mixture) -> Flags:
    """``[N, A]``, whether any logger that could have done what came before may take the action."""
    assert mixture.policies is not None and dataset.loggers is not None, "they were logged"
    may = (mixture.policies > 0) & (mixture.shares(dataset.loggers) > 0)[:, None]
    possible = mixture.possible_before(dataset.offsets)
    result: Flags = possible.astype(np.float32) @ may.astype(np.float32) > 0
    return result
