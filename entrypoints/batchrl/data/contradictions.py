"""Logged probabilities that the actions themselves contradict.

Where an action is taken with probability ``p_i`` in row i, the times it is taken differ from ``sum_i p_i`` by a
martingale, whatever the states and the policy depend on. Freedman's inequality (1975), a Bernstein bound for
martingales, says how far chance can move it: with V the sum of ``p_i (1 - p_i)``, it exceeds x either way with a
probability of at most ``2 exp(-x^2 / (2 V + 2 x / 3))``.

Of the taken action's probability alone, ``sum 1 / p_i`` over the rows that took an action is on average the number of
rows in which it was possible: at most all, or those whose lists say that it was eligible. So only a sum that is too
large contradicts.
"""

from __future__ import annotations

import math

import numpy as np

from batchrl.data.dataset import Dataset, Flags, Floats64, Integers
from batchrl.data.storage import chunks

# A log of right probabilities is doubted at most this often.
FALSE_ALARMS = 1e-4
# By so much probabilities may be off by rounding, on average over all rows.
ROUNDING = 1e-4
# The sums of reciprocals are taken for normal ones from so many rows on, none of which has more than this share.
LEAST_ROWS = 50
LARGEST_SHARE = 0.05

_ADVICE = "Every estimate rests on these probabilities; see that they are those of the policy that acted"


def contradictions(dataset: Dataset) -> tuple[str, ...]:
    """What ``contradiction`` says of each policy that logged episodes, by its name where there are several."""
    if dataset.loggers is None:
        told = contradiction(dataset)
        return () if told is None else (told,)
    found = []
    for number, name in enumerate(dataset.logger_names):
        rows = np.repeat(dataset.loggers == number, dataset.lengths)
        told = contradiction(dataset, rows, len(dataset.logger_names)) if rows.any() else None
        found += [] if told is None else [f"logger {name}: {told}"]
    return tuple(found)


def contradiction(dataset: Dataset, rows: Flags | None = None, tests: int = 1) -> str | None:
    """The action whose logged probabilities chance explains least, in words; None where it may explain all of them.

    Args:
        dataset: with logged probabilities.
        rows: ``[N]``, which to look at; None for all.
        tests: of so many parts of a log, among which the false alarms are shared.
    """
    if dataset.behavior_policy is None:
        return _of_taken(dataset, rows, tests)
    n = dataset.n_transitions if rows is None else int(rows.sum())
    n_actions = dataset.n_actions
    expected, variance, counts = np.zeros(n_actions), np.zeros(n_actions), np.zeros(n_actions, np.int64)
    for start, stop in chunks(dataset.n_transitions):
        mine = slice(None) if rows is None else rows[start:stop]
        chances = dataset.behavior_policy[start:stop][mine]
        expected += chances.sum(axis=0)
        variance += (chances * (1 - chances)).sum(axis=0)
        counts += np.bincount(dataset.actions[start:stop][mine], minlength=n_actions)
    apart = np.abs(counts - expected)
    beyond = np.maximum(apart - ROUNDING * n, 0.0)
    exponents = _exponents(beyond, variance)
    worst = int(exponents.argmax())
    if 2 * n_actions * math.exp(-exponents[worst]) >= FALSE_ALARMS / tests:
        return None
    errors = (
        f"{apart[worst] / math.sqrt(variance[worst]):.1f} standard errors apart" if variance[worst] else "for certain"
    )
    return (
        f"action {dataset.action_names[worst]} was taken in {counts[worst] / n:.2%} of the rows, but logged as "
        f"{expected[worst] / n:.2%} likely ({errors}): chance does not explain that. {_ADVICE}"
    )


def _exponents(beyond: Floats64, variance: Floats64) -> Floats64:
    """``x^2 / (2 V + 2 x / 3)``; 0 where x is."""
    below = 2 * variance + 2 / 3 * beyond
    return np.divide(beyond**2, below, out=np.zeros_like(beyond), where=beyond > 0)


def _of_taken(dataset: Dataset, rows: Flags | None, tests: int) -> str | None:
    n_actions = dataset.n_actions
    sums, squares, spread, largest = (np.zeros(n_actions) for _ in range(4))
    could = _possible(dataset, rows)
    counts = np.zeros(n_actions, np.int64)
    for start, stop in chunks(dataset.n_transitions):
        mine = slice(None) if rows is None else rows[start:stop]
        actions, inverse = dataset.actions[start:stop][mine], 1 / dataset.own_propensities[start:stop][mine]
        counts += np.bincount(actions, minlength=n_actions)
        sums += np.bincount(actions, inverse, n_actions)
        squares += np.bincount(actions, inverse**2, n_actions)
        spread += np.bincount(actions, inverse * (inverse - 1), n_actions)
        np.maximum.at(largest, actions, inverse**2)
    able = (counts >= LEAST_ROWS) & (largest <= LARGEST_SHARE * squares) & (spread > 0)
    beyond = np.maximum(sums - could - ROUNDING * sums, 0.0)
    errors = np.divide(beyond, np.sqrt(spread), out=np.zeros(n_actions), where=able)
    worst = int(errors.argmax())
    if n_actions * math.erfc(errors[worst] / math.sqrt(2)) / 2 >= FALSE_ALARMS / tests:
        return None
    return (
        f"action {dataset.action_names[worst]} was taken {counts[worst]} times in {could[worst]} rows, as often as in "
        f"{sums[worst]:.0f} rows by its logged probabilities ({errors[worst]:.1f} standard errors above "
        f"{could[worst]}): chance does not explain that. {_ADVICE}"
    )


def _possible(dataset: Dataset, rows: Flags | None) -> Integers:
    """``[A]``, in how many of some rows, or of all, each action could be taken."""
    n = dataset.n_transitions if rows is None else int(rows.sum())
    if dataset.eligible is None:
        return np.full(dataset.n_actions, n)
    return np.asarray(dataset.eligible.sum(axis=0) if rows is None else dataset.eligible[rows].sum(axis=0))
