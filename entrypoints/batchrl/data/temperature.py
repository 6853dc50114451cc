"""Estimated probabilities made flatter where they are surer than they are right: temperature scaling.

One number T divides all logits, ``p_a^(1/T) / sum_b p_b^(1/T)`` among the actions that could be taken (Guo et al.
2017). A model that is too sure, as one with much to fit and few episodes is, wants T above 1. It is fitted to the
probabilities of episodes that their model did not see, fold by fold on the others' folds, and taken only where that
lowers the held-out log loss beyond chance.

T is never below 1. A fit without a penalty is as sure as its episodes allow, so that what would make it surer of others
undoes the ridge penalty, which keeps the probabilities of a log without chance away from 0, and weights finite.

To first order it costs intervals nothing more to count: T moves the logits along themselves, which are linear in the
features of the model's last layer, so that its score lies in the span of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from batchrl.data.behaviour_fit import Gain
from batchrl.data.dataset import Dataset, Flags, Floats64, Integers
from batchrl.data.minimising import minimum
from batchrl.data.storage import chunks

# Of the slope of the mean log loss by log(1 / T).
TOLERANCE = 1e-8


def tempered(chances: Floats64, temperature: float) -> Floats64:
    """Probabilities ``[m, A]`` at a temperature; those of 0 stay 0."""
    logits = _logits(chances) / temperature
    result: Floats64 = np.exp(logits - logits.max(axis=1, keepdims=True))
    result /= result.sum(axis=1, keepdims=True)
    return result


def fitted_temperature(chances: Floats64, dataset: Dataset, which: Flags) -> float:
    """The temperature, of those from 1 on, that makes the taken actions of some transitions most likely.

    Args:
        chances: ``[N, A]``, positive where an action was taken.
        dataset: the N transitions.
        which: ``[N]``, the transitions.
    """
    count = int(which.sum())

    def function(place: Floats64) -> tuple[float, Floats64]:
        sharpness, value, slope = math.exp(float(place[0])), 0.0, 0.0
        for start, stop in chunks(dataset.n_transitions):
            mine = which[start:stop]
            logits, actions = _logits(chances[start:stop][mine]), dataset.actions[start:stop][mine]
            taken = logits[np.arange(len(actions)), actions]
            scaled = sharpness * logits
            highest = scaled.max(axis=1, keepdims=True)
            parts = np.exp(scaled - highest)
            sums = parts.sum(axis=1)
            value += float((np.log(sums) + highest[:, 0] - sharpness * taken).sum())
            means = (parts * np.where(parts > 0, logits, 0.0)).sum(axis=1) / sums
            slope += float((means - taken).sum())
        return value / count, np.array([slope * sharpness / count])

    # The log loss is convex in 1 / T: where its minimum lies beyond 1, that of the rest is at 1.
    return max(1.0, math.exp(-float(minimum(function, np.zeros(1), TOLERANCE)[0])))


def calibrate(chances: Floats64, dataset: Dataset, fold: Integers) -> tuple[float, Gain]:
    """Temper probabilities in place where that lowers the held-out log loss beyond chance.

    Args:
        chances: ``[N, A]``, each episode's by a model that did not see it.
        dataset: its transitions.
        fold: ``[n]``, the part of each episode; its temperature is fitted on the other parts.

    Returns:
        The temperature fitted to all episodes, 1 where it was not applied, and what the parts' own ones gain.
    """
    rows = np.repeat(fold, dataset.lengths)
    temperatures = [fitted_temperature(chances, dataset, rows != number) for number in range(int(fold.max()) + 1)]

    def of_rows(start: int, stop: int) -> Floats64:
        result = np.empty((stop - start, dataset.n_actions))
        for number, temperature in enumerate(temperatures):
            mine = rows[start:stop] == number
            result[mine] = tempered(chances[start:stop][mine], temperature)
        return result

    before = losses_of_episodes(dataset, lambda start, stop: chances[start:stop])
    gain = Gain.of(before, losses_of_episodes(dataset, of_rows), dataset.n_transitions)
    temperature = fitted_temperature(chances, dataset, np.ones(dataset.n_transitions, np.bool_))
    if temperature == 1 or not gain.beyond_chance:
        return 1.0, gain
    for start, stop in chunks(dataset.n_transitions):
        chances[start:stop] = of_rows(start, stop)
    return temperature, gain


def losses_of_episodes(dataset: Dataset, chances: Callable[[int, int], Floats64]) -> Floats64:
    """``[n]``, sums of ``-log p`` of the taken actions over each episode.

    Args:
        dataset: the episodes.
        chances: ``[stop - start, A]`` of the transitions from start to stop.
    """
    result = np.zeros(dataset.n_episodes)
    episode = np.repeat(np.arange(dataset.n_episodes), dataset.lengths)
    for start, stop in chunks(dataset.n_transitions):
        taken = chances(start, stop)[np.arange(stop - start), dataset.actions[start:stop]]
        result -= np.bincount(episode[start:stop], np.log(taken), dataset.n_episodes)
    return result


def _logits(chances: Floats64) -> Floats64:
    with np.errstate(divide="ignore"):
        logits: Floats64 = np.log(chances)
    return logits
