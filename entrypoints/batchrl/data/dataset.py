"""Logged episodes as arrays, in memory or mapped from files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchrl.data.storage import Array, Storage, chunks

Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Dataset:
    """The transitions of whole episodes, one episode after the other.

    Args:
        states: ``[N, d]``.
        actions: ``[N]``, the action taken.
        rewards: ``[N]``.
        next_states: ``[N, d]``; meaningless where ``terminal``.
        terminal: ``[N]``, whether nothing is to be bootstrapped after the transition. The last transition of an
            episode that was cut short, with a known next state, is not terminal.
        behavior_policy: ``[N, A]``, probability of every action under the policy that logged the data.
        offsets: ``[n + 1]``, the first transition of each episode, and N.
        episode_ids: ``[n]``, the ids of the file, as text.
        state_columns: ``d`` names.
    """

    states: Floats32
    actions: Integers
    rewards: Floats64
    next_states: Floats32
    terminal: Flags
    behavior_policy: Floats64
    offsets: Integers
    episode_ids: tuple[str, ...]
    state_columns: tuple[str, ...]

    @property
    def n_transitions(self) -> int:
        """Number of decisions."""
        return len(self.actions)

    @property
    def n_episodes(self) -> int:
        """Number of episodes."""
        return len(self.offsets) - 1

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        return int(self.behavior_policy.shape[1])

    @property
    def n_features(self) -> int:
        """Number of features of a state."""
        return int(self.states.shape[1])

    @property
    def lengths(self) -> Integers:
        """``[n]``, steps of each episode."""
        return np.diff(self.offsets)

    @property
    def returns(self) -> Floats64:
        """``[n]``, the undiscounted return of each episode."""
        return np.add.reduceat(self.rewards, self.offsets[:-1])

    def discounted_returns(self, discount: float) -> Floats64:
        """``[n]``, sum of ``discount ** t * reward`` over each episode, t from 0; in a bounded memory beside it."""
        result = np.zeros(self.n_episodes)
        for start, stop in chunks(self.n_transitions):
            first = int(np.searchsorted(self.offsets, start, side="right")) - 1
            last = int(np.searchsorted(self.offsets, stop, side="left"))
            begins = np.clip(self.offsets[first:last], start, stop)
            step = np.arange(start, stop) - np.repeat(
                self.offsets[first:last], np.clip(self.offsets[first + 1 : last + 1], start, stop) - begins
            )
            result[first:last] += np.add.reduceat(self.rewards[start:stop] * discount**step, begins - start)
        return result

    def select(self, episodes: Integers) -> Dataset:
        """The dataset of some episodes, in the order given; its arrays lie where this dataset's lie.

        Args:
            episodes: ``[m]``, positions of episodes in this dataset.
        """
        lengths = self.lengths[episodes]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(self.offsets[:-1][episodes] - offsets[:-1], lengths)
        rows += np.arange(offsets[-1])
        storage = Storage.like(self.states)

        def chosen(values: Array) -> Array:
            result = storage.empty((len(rows), *values.shape[1:]), values.dtype)
            for start, stop in chunks(len(rows)):
                np.take(values, rows[start:stop], axis=0, out=result[start:stop], mode="clip")
            return result

        return Dataset(
            states=chosen(self.states),
            actions=chosen(self.actions),
            rewards=chosen(self.rewards),
            next_states=chosen(self.next_states),
            terminal=chosen(self.terminal),
            behavior_policy=chosen(self.behavior_policy),
            offsets=offsets,
            episode_ids=tuple(self.episode_ids[episode] for episode in episodes),
            state_columns=self.state_columns,
        )

    def sha256(self) -> str:
        """Digest of the content, whatever the files were called or how they were written."""
        digest = hashlib.sha256(repr((self.state_columns, self.episode_ids, self.behavior_policy.shape)).encode())
        for name in ("states", "actions", "rewards", "next_states", "terminal", "behavior_policy", "offsets"):
            array = getattr(self, name)
            for start, stop in chunks(len(array)):
                part = array[start:stop]
                if name == "next_states":
                    part = np.where(self.terminal[start:stop, None], np.float32(0), part)
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()
