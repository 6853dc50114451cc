"""What environments that are stepped together did, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from batchrl.policies import Flags, Floats32, Floats64

Integers = npt.NDArray[np.int64]

FIRST_LENGTH = 256


class Recording:
    """What all environments did together, resets and idling included, in arrays that grow.

    A step is copied as it is recorded: an environment may reuse its buffers.
    """

    def __init__(self, first_states: Floats32, first_eligible: Flags | None) -> None:
        n_envs = len(first_states)
        self._eligible = [] if first_eligible is None else [first_eligible]
        self.length = 0
        self._states = np.empty((FIRST_LENGTH + 1, *first_states.shape), dtype=np.float32)
        self._states[0] = first_states
        self._actions = np.empty((FIRST_LENGTH, n_envs), dtype=np.int64)
        self._rewards = np.empty((FIRST_LENGTH, n_envs), dtype=np.float64)
        self._terminal = np.empty((FIRST_LENGTH, n_envs), dtype=np.bool_)
        self._truncated = np.empty((FIRST_LENGTH, n_envs), dtype=np.bool_)

    def add(
        self,
        actions: Integers,
        states: Floats32,
        reward: Any,
        terminal: Any,
        truncated: Any,
        eligible: Flags | None,
    ) -> None:
        """Record one step: what was done, what came of it, and what can be done then."""
        if eligible is not None:
            self._eligible.append(eligible)
        at = self.length
        if at == len(self._actions):
            for name in ("_states", "_actions", "_rewards", "_terminal", "_truncated"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.empty_like(array[:at])]))
        self._actions[at] = actions
        self._states[at + 1] = states
        self._rewards[at] = reward
        self._terminal[at] = terminal
        self._truncated[at] = truncated
        self.length = at + 1

    @property
    def states(self) -> Floats32:
        """``[T + 1, B, d]``."""
        return self._states[: self.length + 1]

    @property
    def eligible(self) -> Flags | None:
        """``[T, B, A]``, before the action; None where nothing was said."""
        return np.stack(self._eligible[: self.length]) if self._eligible else None

    @property
    def actions(self) -> Integers:
        """``[T, B]``, as the others."""
        return self._actions[: self.length]

    @property
    def rewards(self) -> Floats64:
        """``[T, B]``."""
        return self._rewards[: self.length]

    @property
    def terminal(self) -> Flags:
        """``[T, B]``."""
        return self._terminal[: self.length]

    @property
    def truncated(self) -> Flags:
        """``[T, B]``."""
        return self._truncated[: self.length]
