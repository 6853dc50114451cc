"""How sure a look of the gate has to be."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Resamples beyond a bound: its tail is then known to about a tenth.
DRAWS_BEYOND = 100
FEWEST_RESAMPLES, MOST_RESAMPLES = 2_000, 100_000


@dataclass(frozen=True)
class Level:
    """How sure a look has to be.

    Args:
        alpha: of one look: the probability at which a candidate that is no better may be promoted.
        seed: of the resamples.
    """

    alpha: float
    seed: int = 0

    @property
    def resamples(self) -> int:
        """Enough for the tail of this level."""
        return min(max(FEWEST_RESAMPLES, math.ceil(DRAWS_BEYOND / self.alpha)), MOST_RESAMPLES)

    def __str__(self) -> str:
        return f"{100 * (1 - self.alpha):.4g} %"
