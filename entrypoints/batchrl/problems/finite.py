"""Finite decision processes with a last step, and their exact values by dynamic programming.

Values are computed backwards from the last step, so that they are exact for every discount, 1 included:
``Q_h(s, a) = r(s, a) + discount * sum_t p(t | s, a) V_(h-1)(t)`` with ``h`` steps left and ``V_0 = 0``
(Puterman 1994, chapter 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from batchrl.policies import Floats64

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FiniteProcess:
    """A process that ends after ``horizon`` steps, or earlier where it leaves its states.

    Args:
        transition: ``[S, A, S + 1]``, probabilities of the next state; the last column is the end.
        reward: ``[S, A]``, of a step.
        start: ``[S]``, probabilities of the first state.
        horizon: most steps of an episode.
    """

    transition: Floats64
    reward: Floats64
    start: Floats64
    horizon: int

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.reward)

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        return int(self.reward.shape[1])

    def optimal_action_values(self, discount: float) -> Floats64:
        """Values ``[H, S, A]`` of the best policy; row ``h`` is for ``h + 1`` steps left."""
        values = np.empty((self.horizon, *self.reward.shape))
        following = np.zeros(self.n_states)
        for layer in values:
            layer[:] = self._backed_up(following, discount)
            following = layer.max(axis=1)
        return values

    def action_values(self, policy: Floats64, discount: float) -> Floats64:
        """Values ``[H, S, A]`` of a policy ``[H, S, A]``, rows as those of ``optimal_action_values``."""
        values = np.empty((self.horizon, *self.reward.shape))
        following = np.zeros(self.n_states)
        for layer, probabilities in zip(values, policy, strict=True):
            layer[:] = self._backed_up(following, discount)
            following = (probabilities * layer).sum(axis=1)
        return values

    def optimal_value(self, discount: float) -> float:
        """Mean discounted return of the best policy, over first states."""
        return float(self.start @ self.optimal_action_values(discount)[-1].max(axis=1))

    def value(self, policy: Floats64, discount: float) -> float:
        """Mean discounted return of a policy ``[H, S, A]``, over first states."""
        return float(self.start @ (policy[-1] * self.action_values(policy, discount)[-1]).sum(axis=1))

    def draw_start(self, uniform: Floats64) -> Integers:
        """First states ``[n]`` for uniform numbers ``[n]``."""
        return np.searchsorted(np.cumsum(self.start)[:-1], uniform, side="right").astype(np.int64)

    def draw_next(self, states: Integers, actions: Integers, uniform: Floats64) -> Integers:
        """Next states ``[n]`` for uniform numbers ``[n]``; ``S`` is the end."""
        successors, cumulative = self._successors
        which = (uniform[:, None] >= cumulative[states, actions]).sum(axis=1)
        drawn: Integers = successors[states, actions, which]
        return drawn

    def _backed_up(self, following: Floats64, discount: float) -> Floats64:
        values: Floats64 = self.reward + discount * (self.transition[:, :, :-1] @ following)
        return values

    @cached_property
    def _successors(self) -> tuple[Integers, Floats64]:
        """Possible next states ``[S, A, K]``, and cumulative probabilities of all but the last ``[S, A, K - 1]``."""
        possible = self.transition > 0
        n_successors = int(possible.sum(axis=2).max())
        # Stable: the possible ones come first, in the order of their numbers.
        order = np.argsort(~possible, axis=2, kind="stable")[:, :, :n_successors]
        cumulative = np.cumsum(np.take_along_axis(self.transition, order, axis=2), axis=2)
        # Rounding must not lead to a successor that is not possible.
        count = possible.sum(axis=2, keepdims=True)
        cumulative[np.arange(n_successors) >= count - 1] = np.inf
        return order.astype(np.int64), cumulative[:, :, :-1]
