"""What each of several logging policies did: figures of its own episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Dataset
from batchrl.data.storage import chunks


@dataclass(frozen=True)
class LoggerFigures:
    """One policy that logged a part of the episodes.

    Args:
        logger: its name.
        episodes, transitions: how many it logged.
        shares: of its transitions, by action.
        mean_propensity: mean probability of the actions that it took.
        mean_return: of its episodes, undiscounted.
        standard_error: of that; None of fewer than two episodes.
    """

    logger: str
    episodes: int
    transitions: int
    shares: Mapping[str, float]
    mean_propensity: float
    mean_return: float
    standard_error: float | None


def figures_of_loggers(dataset: Dataset) -> tuple[LoggerFigures, ...]:
    """Of every policy that logged episodes, by name; none where no column names them."""
    if dataset.loggers is None:
        return ()
    count, n_actions = len(dataset.logger_names), dataset.n_actions
    of_rows = np.repeat(dataset.loggers, dataset.lengths)
    taken, chances = np.zeros(count * n_actions), np.zeros(count)
    for start, stop in chunks(dataset.n_transitions):
        loggers = of_rows[start:stop]
        taken += np.bincount(loggers * n_actions + dataset.actions[start:stop], minlength=count * n_actions)
        chances += np.bincount(loggers, dataset.own_propensities[start:stop], count)
    figures = []
    for number, name in enumerate(dataset.logger_names):
        returns = dataset.returns[dataset.loggers == number]
        if not (n := len(returns)):
            continue
        counts = taken[number * n_actions : (number + 1) * n_actions]
        rows = int(counts.sum())
        error = float(returns.std(ddof=1)) / math.sqrt(n) if n > 1 else None
        shares = dict(zip(dataset.action_names, (counts / rows).tolist(), strict=True))
        mean = float(returns.mean())
        figures.append(LoggerFigures(name, n, rows, shares, float(chances[number] / rows), mean, error))
    return tuple(figures)
