"""Returns of played episodes in a few figures."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from batchrl.collect.rollouts import Rollouts


@dataclass(frozen=True)
class ReturnSummary:
    """Undiscounted returns of whole episodes; episodes that the end of the collection cut are left out.

    Args:
        episodes: whole episodes.
        steps: all steps, those of cut episodes included.
        mean_return: mean of the returns; None without an episode.
        standard_error: of the mean; None with fewer than two episodes.
        min_return: the lowest return.
        max_return: the highest return.
    """

    episodes: int
    steps: int
    mean_return: float | None
    standard_error: float | None
    min_return: float | None
    max_return: float | None

    @classmethod
    def of(cls, rollouts: Rollouts) -> ReturnSummary:
        """The figures of one collection."""
        returns = rollouts.returns[~rollouts.unfinished[rollouts.lasts]]
        n = len(returns)
        if n == 0:
            return cls(0, rollouts.steps, None, None, None, None)
        error = float(returns.std(ddof=1)) / math.sqrt(n) if n > 1 else None
        return cls(n, rollouts.steps, float(returns.mean()), error, float(returns.min()), float(returns.max()))

    def to_dict(self) -> dict[str, int | float | None]:
        """The figures in JSON's types."""
        return asdict(self)

    def __str__(self) -> str:
        if self.mean_return is None:
            return f"{self.steps} steps, no whole episode"
        spread = "" if self.standard_error is None else f" +- {self.standard_error:.2f}"
        return f"{self.episodes} episodes, {self.steps} steps, mean return {self.mean_return:.2f}{spread}"
