"""What a check of steps looks at, and what it is: the values of some rows, and a condition on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from batchrl.data.dataset import Flags, Floats32, Floats64, Integers
from batchrl.data.rows import Rows
from batchrl.data.storage import Array, taken

# Rounding: two digits each for a handful of actions. Beyond that a row is no distribution.
SUM_TOLERANCE = 0.02


class Values:
    """The values of some rows, taken out when they are first looked at.

    Args:
        rows: all rows.
        where: which of them.
        is_end: ``[m]``, which are the last steps of their episodes.
    """

    def __init__(self, rows: Rows, where: Integers | slice, is_end: Flags) -> None:
        self._rows = rows
        self._where = where
        self.is_end = is_end

    def __len__(self) -> int:
        return len(self.is_end)

    @cached_property
    def states(self) -> Floats32 | Floats64:
        """States of the looked-at rows, [n, F]."""
        return taken(self._rows.states, self._where)

    @cached_property
    def states_are_finite(self) -> bool:
        """Whether no state holds NaN or infinity."""
        return bool(np.isfinite(self.states).all())

    @cached_property
    def largest_state(self) -> float:
        """The largest absolute value of all states, of empty cells none."""
        low, high = np.fmin.reduce(self.states, axis=None), np.fmax.reduce(self.states, axis=None)
        return float(np.fmax(-low, high))

    @cached_property
    def actions(self) -> Floats64:
        """Actions of the looked-at rows as they were read, [n]."""
        return taken(self._rows.actions, self._where)

    @cached_property
    def rewards(self) -> Floats64:
        """Rewards of the looked-at rows, [n]."""
        return taken(self._rows.rewards, self._where)

    @cached_property
    def policy(self) -> Floats64:
        """Logged probabilities of the looked-at rows, [n, A]."""
        assert self._rows.probabilities is not None
        return taken(self._rows.probabilities, self._where)

    @cached_property
    def propensities(self) -> Floats64:
        """Logged probabilities of the taken actions of the looked-at rows, [n]."""
        assert self._rows.propensities is not None
        return taken(self._rows.propensities, self._where)

    @cached_property
    def eligible(self) -> Flags:
        """Which actions could be taken in the looked-at rows, [n, A]."""
        assert self._rows.eligible is not None
        return taken(self._rows.eligible, self._where)

    @cached_property
    def next_states(self) -> Floats32 | Floats64:
        """Next states of the looked-at rows, [n, F]."""
        assert self._rows.next_states is not None
        return taken(self._rows.next_states, self._where)

    @cached_property
    def weights(self) -> Floats64:
        """Weights of the looked-at rows' episodes, [n]."""
        assert self._rows.weights is not None
        return taken(self._rows.weights, self._where)

    @cached_property
    def loggers(self) -> Integers:
        """Who logged the looked-at rows, [n]."""
        assert self._rows.loggers is not None
        return taken(self._rows.loggers, self._where)

    def logger_chance(self, name: str) -> Floats64:
        """A logger's probability of the taken actions of the looked-at rows, [n]."""
        return taken(self._rows.logger_chances[name], self._where)

    def at_action(self, matrix: Array) -> Array:
        """Of each looked-at row of ``[n, A]`` the entry of its action, of one that is none any, [n]."""
        actions = np.clip(np.nan_to_num(self.actions), 0, matrix.shape[1] - 1).astype(np.int64)
        return matrix[np.arange(len(self)), actions]

    def flag(self, name: str) -> Flags:
        """A column of flags (``terminal``, ``truncated``) as booleans, [n]."""
        marked: Flags = taken(self._rows.flags[name], self._where) == 1
        return marked

    def target(self, name: str) -> Floats64:
        """A column of the policy to be scored, [n, A]."""
        return taken(self._rows.targets[name], self._where)

    def every(self, wrong: bool) -> Flags:
        """``[m]``, all alike."""
        return np.full(len(self), wrong)


@dataclass(frozen=True)
class Check:
    """One thing that may be wrong.

    Args:
        column: whose cell is wrong.
        problem: what is wrong; ``{value}`` stands for the cell.
        right: what would be right.
        wrong: ``[m]``, which rows are.
        after: other columns whose faults are the cause where they have any.
        in_order: whether it is about a row's place in its episode.
    """

    column: str
    problem: str
    right: str
    wrong: Callable[[Values], Flags]
    after: tuple[str, ...] = ()
    in_order: bool = False
