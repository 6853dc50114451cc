"""Fitted Q evaluation of the policies that are scored, from other episodes than those that it values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchrl.agents.model import PolicyModel, Scorer
from batchrl.agents.target_policy import TargetPolicy
from batchrl.data.dataset import Dataset, Floats64, Integers
from batchrl.ope.study.fqe import fit_q_evaluation
from batchrl.ope.study.logged import Values


@dataclass(frozen=True)
class Following:
    """Episodes, and what a policy would do after every step.

    Args:
        dataset: the episodes.
        next_probabilities: ``[N, A]``, the policy at each ``next_states``; anything finite where terminal.
    """

    dataset: Dataset
    next_probabilities: Floats64

    @classmethod
    def of_model(cls, dataset: Dataset, model: PolicyModel, target: TargetPolicy) -> Following:
        """A trained policy's."""
        ((_, probabilities),) = model.evaluate_targets(dataset.next_states, [target], dataset.eligible_after())
        return cls(dataset, probabilities)

    @classmethod
    def of_columns(cls, dataset: Dataset, probabilities: Floats64) -> Following:
        """Those of a policy that is given by its probabilities ``[N, A]`` in the logged states.

        What it would do in the state after an end that was cut short is not known: every end counts as final, so that
        values are those of the logged steps.
        """
        ends = dataset.offsets[1:] - 1
        terminal = dataset.terminal.copy()
        terminal[ends] = True
        following = np.append(np.arange(1, dataset.n_transitions), dataset.n_transitions - 1)
        return cls(replace(dataset, terminal=terminal), probabilities[following])

    def select(self, episodes: Integers) -> Following:
        """Some of the episodes."""
        return Following(self.dataset.select(episodes), self.next_probabilities[rows_of(self.dataset, episodes)])

    def fit(self, discount: float, updates: int, seed: int) -> Scorer:
        """Fitted Q evaluation on these episodes; see ``fit_q_evaluation`` for the errors."""
        return fit_q_evaluation(self.dataset, self.next_probabilities, discount, updates, seed)

    def values(self, q_function: Scorer) -> Values:
        """A Q function, in every logged state and after the ends that were cut short."""
        dataset = self.dataset
        ends = dataset.offsets[1:] - 1
        cut = np.flatnonzero(~dataset.terminal[ends])
        end_values = np.zeros(dataset.n_episodes)
        if len(cut):
            at_ends = q_function(dataset.next_states[ends[cut]]).astype(np.float64)
            end_values[cut] = (self.next_probabilities[ends[cut]] * at_ends).sum(axis=1)
        return Values(q_function(dataset.states).astype(np.float64), end_values if len(cut) else None)


def cross_fitted(following: Following, discount: float, updates: int, seed: int) -> Values:
    """Values of all episodes, each half of them by a Q function that was fitted on the other half.

    Args:
        following: at least two episodes.
        discount: of one step.
        updates: gradient steps of each of the two fits.
        seed: of the halves, weights and minibatches.
    """
    dataset = following.dataset
    order = np.random.default_rng(seed).permutation(dataset.n_episodes).astype(np.int64)
    halves: Sequence[Integers] = (order[::2], order[1::2])
    q_values = np.empty((dataset.n_transitions, dataset.n_actions))
    end_values: Floats64 | None = None
    for valued, fitted in (halves, halves[::-1]):
        part = following.select(valued)
        values = part.values(following.select(fitted).fit(discount, updates, seed))
        q_values[rows_of(dataset, valued)] = values.q_values
        if values.end_values is not None:
            end_values = np.zeros(dataset.n_episodes) if end_values is None else end_values
            end_values[valued] = values.end_values
    return Values(q_values, end_values)


def rows_of(dataset: Dataset, episodes: Integers) -> Integers:
    """Positions of the transitions of some episodes, in the order that ``Dataset.select`` puts them."""
    lengths = dataset.lengths[episodes]
    starts = np.cumsum(lengths) - lengths
    rows: Integers = np.arange(lengths.sum()) + np.repeat(dataset.offsets[:-1][episodes] - starts, lengths)
    return rows
