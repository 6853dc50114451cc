"""What a model of the logging policy leaves of the actions taken: sums of (taken - probability) by episode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from batchrl.data.dataset import Dataset, Floats64, Integers
from batchrl.data.storage import chunks


def taken_by(dataset: Dataset) -> tuple[Integers, Integers]:
    """The pairs of an episode and an action that it took, each once: the positions of both."""
    pairs = np.unique(_episode_of_rows(dataset) * dataset.n_actions + dataset.actions)
    episodes, actions = np.divmod(pairs, dataset.n_actions)
    return episodes, actions


def score_sums(
    dataset: Dataset,
    chances: Floats64,
    actions: Integers,
    features: Callable[[Dataset, int, int], Floats64],
    episodes: int,
) -> Floats64:
    """``[n, A', q]``, (taken - probability) times features, summed over the steps of each of the first n episodes.

    Args:
        dataset: the log.
        chances: ``[N, A]``, the model's probabilities.
        actions: ``[A']``, those that are looked at.
        features: ``[stop - start, q]`` of the transitions from ``start`` to ``stop``.
        episodes: n, at least 1.
    """
    result = np.zeros((episodes, len(actions), features(dataset, 0, 1).shape[1]))
    episode = _episode_of_rows(dataset)
    for start, stop in chunks(int(dataset.offsets[episodes])):
        left = (dataset.actions[start:stop, None] == actions) - chances[start:stop][:, actions]
        products = left[:, :, None] * features(dataset, start, stop)[:, None, :]
        mine = episode[start:stop]
        begins = np.flatnonzero(np.diff(mine, prepend=-1))
        result[mine[begins]] += np.add.reduceat(products, begins, axis=0)
    return result


def _episode_of_rows(dataset: Dataset) -> Integers:
    """``[N]``, the position of each transition's episode."""
    return np.repeat(np.arange(dataset.n_episodes), dataset.lengths)
