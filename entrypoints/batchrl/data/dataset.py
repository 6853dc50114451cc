"""Logged episodes as arrays, in memory or mapped from files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from batchrl.data.behaviour_fit import BehaviourFit
from batchrl.data.encoding import Encoding
from batchrl.data.mixture import Mixture
from batchrl.data.storage import Array, Storage, chunks

Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def default_names(count: int) -> tuple[str, ...]:
    """The names of actions that have none: ``0`` to ``count - 1``."""
    return tuple(str(number) for number in range(count))


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
        behavior_policy: ``[N, A]``, probability of every action under the policy that logged the data; None where only
            that of the taken action is known.
        offsets: ``[n + 1]``, the first transition of each episode, and N.
        episode_ids: ``[n]``, the ids of the file, as text.
        state_columns: ``d`` names.
        action_names: ``A`` names, in the order of the actions' numbers; where all probabilities are given, none means
            ``0`` to ``A - 1``.
        taken_propensities: ``[N]``, probability of the taken action, where ``behavior_policy`` is None.
        encoding: by which the states came of the columns of the files; None where they are those columns.
        estimated_on: from how many episodes ``behavior_policy`` was estimated (``batchrl.data.behaviour``); None where
            it was logged.
        behavior_fit: how it was estimated; None where it was logged.
        loggers: ``[n]``, positions among ``logger_names`` of the policy that logged each episode; None: one policy did.
        logger_names: ``K`` names, also of policies that logged none of these episodes.
        eligible: ``[N, A]``, whether each action could be taken; the taken one could. None: every action could.
        mixture: what every logger would have done, where they are taken as one policy that mixes them; None where each
            row counts as of its own logger.
    """

    states: Floats32
    actions: Integers
    rewards: Floats64
    next_states: Floats32
    terminal: Flags
    behavior_policy: Floats64 | None
    offsets: Integers
    episode_ids: tuple[str, ...]
    state_columns: tuple[str, ...]
    action_names: tuple[str, ...] = ()
    taken_propensities: Floats64 | None = None
    encoding: Encoding | None = None
    estimated_on: int | None = None
    behavior_fit: BehaviourFit | None = None
    loggers: Integers | None = None
    logger_names: tuple[str, ...] = ()
    eligible: Flags | None = None
    mixture: Mixture | None = None

    def __post_init__(self) -> None:
        if not self.action_names and self.behavior_policy is not None:
            object.__setattr__(self, "action_names", default_names(self.behavior_policy.shape[1]))

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
        return len(self.action_names)

    @cached_property
    def propensities(self) -> Floats64:
        """``[N]``, probability with which each logged action was taken: by its logger, or by the mixture of loggers."""
        if self.mixture is None:
            return self.own_propensities
        assert self.loggers is not None, "a mixture is of loggers"
        return self.mixture.propensities(self.loggers, self.offsets)

    @cached_property
    def own_propensities(self) -> Floats64:
        """``[N]``, probability with which each logged action was taken by the policy that logged it."""
        if self.behavior_policy is None:
            assert self.taken_propensities is not None, "one of the two is known"
            return self.taken_propensities
        result = np.empty(self.n_transitions)
        for start, stop in chunks(self.n_transitions):
            part = self.behavior_policy[start:stop]
            result[start:stop] = part[np.arange(stop - start), self.actions[start:stop]]
        return result

    def eligible_after(self, rows: Integers | None = None) -> Flags | None:
        """Which actions can be taken after some transitions; None: every action can.

        What can be taken in the state after an episode that was cut short is not in the log: the last step's stand in
        for it, as its probabilities do.

        Args:
            rows: ``[m]``, the transitions; None for all.

        Returns:
            ``[m, A]``; where nothing follows, what could be taken in the transition itself.
        """
        if self.eligible is None:
            return None
        chosen = np.arange(self.n_transitions) if rows is None else rows
        ends = np.zeros(self.n_transitions, np.bool_)
        ends[self.offsets[1:] - 1] = True
        result: Flags = self.eligible[chosen + ~ends[chosen]]
        return result

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
            behavior_policy=None if self.behavior_policy is None else chosen(self.behavior_policy),
            offsets=offsets,
            episode_ids=tuple(self.episode_ids[episode] for episode in episodes),
            state_columns=self.state_columns,
            action_names=self.action_names,
            taken_propensities=None if self.taken_propensities is None else chosen(self.taken_propensities),
            encoding=self.encoding,
            estimated_on=self.estimated_on,
            behavior_fit=self.behavior_fit,
            loggers=None if self.loggers is None else self.loggers[episodes],
            logger_names=self.logger_names,
            eligible=None if self.eligible is None else chosen(self.eligible),
            mixture=None
            if self.mixture is None
            else replace(self.mixture, log_chances=chosen(self.mixture.log_chances)),
        )

    def sha256(self) -> str:
        """Digest of the content, whatever the files were called or how they were written.

        What was estimated is no part of it: the same log has the same digest on every machine. Nor are the loggers:
        it stays the same log when they are named.
        """
        chances = self.taken_propensities if self.behavior_policy is None else self.behavior_policy
        if self.estimated_on is not None:
            chances = None
        facts = (self.state_columns, self.episode_ids, None if chances is None else chances.shape)
        digest = hashlib.sha256(repr(facts).encode())
        if self.action_names != default_names(self.n_actions):
            digest.update(repr(self.action_names).encode())
        content = (
            *(self.states, self.actions, self.rewards, self.next_states, self.terminal, chances, self.offsets),
            self.eligible,
        )
        arrays: list[Array] = [array for array in content if array is not None]
        for array in arrays:
            for start, stop in chunks(len(array)):
                part = array[start:stop]
                if array is self.next_states:
                    part = np.where(self.terminal[start:stop, None], np.float32(0), part)
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()
