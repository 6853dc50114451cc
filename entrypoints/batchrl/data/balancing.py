"""Whether the loggers of a log can be balanced: every logger's probability of every action that was taken.

A log holds the probability under the policy that acted. Under the others it is known where

- a column for each logger holds it (``loggerchances``);
- or each logger gives an action the same probability in all of its rows, and these sum to 1, or leave the rest to a
  single action that it never took: then it heeds no state. With actions that are possible in some states alone the sum
  over all actions would be above 1;
- or each logger's policy is estimated from its own episodes (``behaviour``), and evaluated in all rows.

Else balancing is refused.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.contract.text import listed
from batchrl.data.checking import SUM_TOLERANCE
from batchrl.data.dataset import Dataset, Flags, Floats64
from batchrl.data.mixture import Mixture
from batchrl.data.soundness import Warned
from batchrl.data.storage import chunks

# Probabilities of one action that differ by a smaller share are the same, as numbers of 32 bits write it.
SAME = 1e-4
SHOWN = 3
# A log whose loggers met the same kind of states is doubted at most this often; fewer episodes tell nothing.
FALSE_ALARMS = 1e-4
LEAST_EPISODES = 50

_HINT = (
    "Name columns with each logger's probability of the action taken (data.columns.logger_propensities). Or set "
    "data.propensities to estimated: the policy of each logger is then estimated from its own episodes, and known in "
    "all rows. Or set data.loggers to separate."
)


def with_balanced_loggers(dataset: Dataset, log_chances: Floats64 | None = None) -> Dataset:
    """The data set with the mixture of its loggers, by logged probabilities; as it is where one logged all.

    Args:
        dataset: with logged probabilities and named loggers.
        log_chances: ``[N, K]``, logs of each logger's probability of the taken action; None where only that of the one
            that acted was logged.

    Raises:
        InputError: what other loggers would have done is not known; says why.
    """
    assert dataset.loggers is not None, "the settings ask for their column"
    if len(np.unique(dataset.loggers)) < 2:
        return dataset
    if log_chances is not None:
        return replace(dataset, mixture=Mixture(log_chances))
    return replace(dataset, mixture=Mixture.of_policies(_policies(dataset), dataset.actions, dataset.states))


def unlike_states(dataset: Dataset) -> Warned | None:
    """The feature of first states that differs most between a logger and the others; None where chance explains it.

    Args:
        dataset: with named loggers.
    """
    assert dataset.loggers is not None
    present = [k for k in range(len(dataset.logger_names)) if (dataset.loggers == k).sum() >= LEAST_EPISODES]
    worst, told = 0.0, None
    for number in present:
        mine = dataset.loggers == number
        if (~mine).sum() < LEAST_EPISODES:
            continue
        (here, error), (there, other) = (_means(dataset, which) for which in (mine, ~mine))
        errors = np.hypot(error, other)
        apart = np.divide(np.abs(here - there), errors, out=np.zeros_like(errors), where=errors > 0)
        at = int(apart.argmax())
        if apart[at] > worst:
            worst = float(apart[at])
            told = (
                f"first states of logger {dataset.logger_names[number]} differ from those of the others: the mean of "
                f"{dataset.state_columns[at]} is {here[at]:.4g} against {there[at]:.4g} ({worst:.1f} standard errors)"
            )
    tests = len(present) * dataset.n_features
    if told is None or math.erfc(worst / math.sqrt(2)) * tests >= FALSE_ALARMS:
        return None
    advice = (
        "Loggers are balanced as if all had met the same kind of episodes: figures may be wrong. Set data.loggers to "
        "separate, which asks nothing of the kind; if the difference does not matter, set data.accept=[unlike_loggers]."
    )
    return Warned("unlike_loggers", f"{told}.", advice, 0)


def _means(dataset: Dataset, which: Flags) -> tuple[Floats64, Floats64]:
    """Means and standard errors ``[d]`` of the first states of some episodes ``[n]``."""
    states = np.asarray(dataset.states[dataset.offsets[:-1][which]], np.float64)
    return states.mean(axis=0), states.std(axis=0, ddof=1) / math.sqrt(len(states))


def _policies(dataset: Dataset) -> Floats64:
    """``[K, A]``; 0 for loggers without episodes."""
    low, high = _ranges(dataset)
    result = np.where(np.isfinite(high), high, 0.0)
    for number, name in enumerate(dataset.logger_names):
        known = np.flatnonzero(np.isfinite(high[number]))
        if not len(known):
            continue
        spread = high[number, known] - low[number, known]
        if (varying := known[spread > SAME * high[number, known]]).size:
            action = varying[(high[number, varying] - low[number, varying]).argmax()]
            raise InputError(
                "data.loggers is balanced, which asks how likely every logger would have taken each action, and the "
                f"log says it of the one that acted: logger {name} gives action {dataset.action_names[action]} "
                f"probabilities from {low[number, action]:.4g} to {high[number, action]:.4g}, by the state, so that "
                "those that it would have given in rows of other loggers are not known.",
                _HINT,
            )
        total = float(result[number].sum())
        unknown = np.setdiff1d(np.arange(dataset.n_actions), known)
        if total > 1 + SUM_TOLERANCE:
            raise InputError(
                f"data.loggers is balanced, but the probabilities of logger {name}, which are alike in all of its "
                f"rows, sum to {total:.4g} over its actions: not all of them were possible in all rows, and which were "
                "in rows of other loggers is not known.",
                _HINT,
            )
        if len(unknown) == 1:
            result[number, unknown] = max(1 - total, 0.0)
        elif total < 1 - SUM_TOLERANCE:
            never = listed([dataset.action_names[action] for action in unknown], SHOWN)
            raise InputError(
                f"data.loggers is balanced, but how likely logger {name} would have taken {never} is "
                f"not known: it never did, and the probabilities of its other actions sum to {total:.4g}.",
                f"Log the probabilities of all actions (data.columns.probabilities). {_HINT}",
            )
    return result


def _ranges(dataset: Dataset) -> tuple[Floats64, Floats64]:
    """``[K, A]`` each, the lowest and highest probability that a logger gave an action; infinite where it gave none."""
    assert dataset.loggers is not None
    shape = (len(dataset.logger_names), dataset.n_actions)
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    of_rows = np.repeat(dataset.loggers, dataset.lengths)
    for start, stop in chunks(dataset.n_transitions):
        loggers = of_rows[start:stop]
        if dataset.behavior_policy is None:
            where = (loggers, dataset.actions[start:stop])
            chances = dataset.own_propensities[start:stop]
            np.minimum.at(low, where, chances)
            np.maximum.at(high, where, chances)
            continue
        for number in np.unique(loggers):
            mine = dataset.behavior_policy[start:stop][loggers == number]
            low[number] = np.minimum(low[number], mine.min(axis=0))
            high[number] = np.maximum(high[number], mine.max(axis=0))
    return low, high
