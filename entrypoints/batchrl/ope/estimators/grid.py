"""Episodes of different lengths as one rectangle, padded with an absorbing state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Flags, Floats64, Integers


@dataclass(frozen=True)
class Grid:
    """Where the transitions of n episodes stand in a rectangle of n rows and T columns.

    Args:
        lengths: ``[n]``, steps of each episode, all positive.
        valid: ``[n, T]``, whether there is a transition.
    """

    lengths: Integers
    valid: Flags

    @classmethod
    def of(cls, lengths: Integers) -> Grid:
        """The grid of episodes of these lengths."""
        return cls(lengths, np.arange(lengths.max())[None, :] < lengths[:, None])

    def pad(self, values: Floats64, absorbing: float | Floats64 = 0.0) -> Floats64:
        """``[n, T]`` from one value a transition ``[N]``.

        Args:
            values: of the transitions, episode after episode.
            absorbing: what steps after an episode's end hold; one number, or ``[T]``, one a step.
        """
        padded = np.empty(self.valid.shape)
        padded[...] = absorbing
        padded[self.valid] = values
        return padded
