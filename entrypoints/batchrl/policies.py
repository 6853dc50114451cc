"""Policies: probabilities of actions, given states.

Everything that acts here (the collector, the evaluation) asks a ``Policy``; a trained one comes from
``batchrl.checkpoints.policy.load_policy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from batchrl.contract.errors import InputError

Floats32 = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SUM_TOLERANCE = 1e-3


class Policy(Protocol):
    """Anything that says how probable each action is in each state."""

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Probabilities ``[B, A]`` of states ``[B, d]``; each row sums to one."""
        ...


@runtime_checkable
class ChoosingPolicy(Policy, Protocol):
    """A policy that knows what it prefers among some of the actions, beyond its probabilities of all."""

    def probabilities_among(self, states: Floats32, eligible: Flags) -> Floats64:
        """As ``action_probabilities``, 0 for actions that are not among ``eligible`` ``[B, A]``, one a row or more."""
        ...


def kept_to(policy: Policy, states: Floats32, eligible: Flags | None) -> Floats64:
    """Probabilities ``[B, A]`` of a policy that is kept to the actions that can be taken; see ``among_eligible``.

    Args:
        policy: of whatever kind; one that knows better than its probabilities what it prefers is asked.
        states: ``[B, d]``.
        eligible: ``[B, A]``, at least one a row; None: all.
    """
    if eligible is not None and isinstance(policy, ChoosingPolicy):
        return policy.probabilities_among(states, eligible)
    return among_eligible(np.asarray(policy.action_probabilities(states), dtype=np.float64), eligible)


def among_eligible(probabilities: Floats64, eligible: Flags | None) -> Floats64:
    """A policy kept to the actions that can be taken.

    Args:
        probabilities: ``[B, A]``.
        eligible: ``[B, A]``, at least one a row; None: all.

    Returns:
        ``[B, A]``, divided by what the eligible actions have in all; where they have nothing, each as often as any
        other.
    """
    if eligible is None:
        return probabilities
    kept = np.where(eligible, probabilities, 0.0)
    sums = kept.sum(axis=1, keepdims=True)
    uniform = eligible / eligible.sum(axis=1, keepdims=True)
    result: Floats64 = np.where(sums > 0, kept / np.where(sums > 0, sums, 1.0), uniform)
    return result


class FixedPolicy:
    """The same probabilities whatever the state.

    Args:
        probabilities: ``[A]``, or ``[B, A]`` for a row of its own for each of ``B`` environments. Rows that do not sum
            to one are scaled to it.

    Raises:
        InputError: a probability is negative or not finite, or a row sums to zero.
    """

    def __init__(self, probabilities: Sequence[float] | Sequence[Sequence[float]] | Floats64) -> None:
        try:
            rows = np.atleast_2d(np.asarray(probabilities, dtype=np.float64))
        except (ValueError, TypeError) as error:
            raise InputError(f"action probabilities must be numbers, in rows of one length: {error}.") from error
        sums = rows.sum(axis=1, keepdims=True)
        wrong = ~np.isfinite(rows).all(axis=1) | (rows < 0).any(axis=1) | ~(sums[:, 0] > 0)
        if rows.ndim != 2 or rows.shape[1] == 0 or wrong.any():
            first = int(np.flatnonzero(wrong)[0]) if rows.ndim == 2 and wrong.any() else 0
            raise InputError(
                f"action probabilities of row {first}: {rows[first].tolist() if len(rows) else []}.",
                "Give one number for each action, none negative, at least one above zero.",
            )
        self._rows = np.where(sums == 1, rows, rows / sums)

    @classmethod
    def constant(cls, action: int, n_actions: int) -> FixedPolicy:
        """One action of ``n_actions`` in every state."""
        return cls(np.eye(n_actions)[action])

    @property
    def rows(self) -> Floats64:
        """``[1, A]`` or ``[B, A]``, each row summing to one."""
        return self._rows

    def action_probabilities(self, states: Floats32) -> Floats64:
        """The rows, one for each state.

        Raises:
            InputError: there are several rows, but not one for each state.
        """
        if len(self._rows) not in (1, len(states)):
            raise InputError(f"{len(self._rows)} rows of action probabilities given for {len(states)} environments.")
        return np.broadcast_to(self._rows, (len(states), self._rows.shape[1]))


class UniformPolicy(FixedPolicy):
    """Every action is as probable as any other.

    Args:
        n: number of actions.
    """

    def __init__(self, n: int) -> None:
        super().__init__(np.full(n, 1 / n))


class GreedyPolicy:
    """Takes the action that another policy finds most probable; ties are shared evenly.

    Args:
        policy: the other policy.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def action_probabilities(self, states: Floats32) -> Floats64:
        """1 for the likeliest action of each state, shared among equals, [B, A]."""
        return _best(self._policy.action_probabilities(states))

    def probabilities_among(self, states: Floats32, eligible: Flags) -> Floats64:
        """The likeliest of the eligible actions, [B, A]."""
        return _best(np.where(eligible, kept_to(self._policy, states, eligible), -1.0))


class EpsilonGreedyPolicy:
    """Takes a uniformly random action with probability ``epsilon``, else the one another policy finds most probable.

    Args:
        policy: the other policy.
        epsilon: from 0 to 1.

    Raises:
        InputError: epsilon is out of its bounds.
    """

    def __init__(self, policy: Policy, epsilon: float) -> None:
        if not 0 <= epsilon <= 1:
            raise InputError(f"epsilon is {epsilon}; a probability is from 0 to 1.")
        self._greedy = GreedyPolicy(policy)
        self._epsilon = epsilon

    def action_probabilities(self, states: Floats32) -> Floats64:
        """The greedy policy, mixed with the uniform one, [B, A]."""
        greedy = self._greedy.action_probabilities(states)
        mixed: Floats64 = (1 - self._epsilon) * greedy + self._epsilon / greedy.shape[1]
        return mixed

    def probabilities_among(self, states: Floats32, eligible: Flags) -> Floats64:
        """The same, both over the eligible actions, [B, A]."""
        greedy = self._greedy.probabilities_among(states, eligible)
        mixed: Floats64 = (1 - self._epsilon) * greedy + self._epsilon * eligible / eligible.sum(axis=1, keepdims=True)
        return mixed


def _best(scores: Floats64) -> Floats64:
    """``[B, A]``, 1 at the highest score of each row, shared among equals."""
    best = scores == scores.max(axis=1, keepdims=True)
    shared: Floats64 = best / best.sum(axis=1, keepdims=True)
    return shared
