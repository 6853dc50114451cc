"""What all members of a ranking fit values to: the steps of a log, and what each candidate would do in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Dataset, Floats64, Integers
from batchrl.ope.study.fitted import Following

# Transitions that values are fitted to; of a longer log, whole episodes are drawn.
MOST_TRANSITIONS = 100_000


@dataclass(frozen=True)
class Conduct:
    """What one policy would do on the episodes that values are fitted to.

    Args:
        starts: ``[n, A]``, its probabilities in the first state of each episode; 0 for what could not be taken.
        following: ``[N, A]``, the same in the state after each step; anything finite where nothing follows.
    """

    starts: Floats64
    following: Floats64

    def value(self, action_values: Floats64) -> float:
        """Mean over the episodes of ``sum_a pi(a | s_0) Q(s_0, a)``, of action values ``[n, A]``."""
        return float(np.einsum("na,na->", self.starts, action_values)) / len(self.starts)


@dataclass(frozen=True)
class Fit:
    """What one member found of K policies.

    Args:
        values: ``[K]``, mean values of the start states, in units of return.
        growth: ``[K]``, by how much an error of the values grows in one iteration of the fitted Bellman operator (its
            spectral radius): below 1 the iteration settles. None where it settles whatever the data are.
    """

    values: Floats64
    growth: Floats64 | None = None


def drawn_episodes(dataset: Dataset, seed: int) -> Integers:
    """Positions of the episodes that values are fitted to: all, or by chance as many as ``MOST_TRANSITIONS`` hold."""
    if dataset.n_transitions <= MOST_TRANSITIONS:
        return np.arange(dataset.n_episodes, dtype=np.int64)
    order = np.random.default_rng(seed).permutation(dataset.n_episodes).astype(np.int64)
    count = int(np.searchsorted(np.cumsum(dataset.lengths[order]), MOST_TRANSITIONS, side="right"))
    return np.sort(order[: max(1, count)])


def logging_conduct(dataset: Dataset) -> tuple[Dataset, Conduct]:
    """The logging policy, and the log on which its value is known: the mean return of the logged steps.

    Every end counts as final there, for the logged returns have nothing beyond it. Where all probabilities were logged
    they say what it does next; else the actions that it took next do, which is the same in the mean.

    Returns:
        the dataset with its ends final, and what the policy does on it.
    """
    if dataset.behavior_policy is not None and dataset.mixture is None:
        chances = np.asarray(dataset.behavior_policy, dtype=np.float64)
    else:
        chances = np.eye(dataset.n_actions)[dataset.actions]
    whole = Following.of_columns(dataset, chances)
    return whole.dataset, Conduct(chances[dataset.offsets[:-1]], whole.next_probabilities)
