"""What an estimator is made of: quotients of two sums over episodes.

An estimator returns its summands, not its value, so that a resample of episodes weighs both sums and renormalises, and
so that the difference of two estimators is again one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Floats64


@dataclass(frozen=True)
class Block:
    """``sum_k factors[k] * sum_i numerators[i, k] / sum_i denominators[i, k]``; undefined where a denominator is 0.

    Blocks that hold the same array share it: resampling multiplies it once.

    Args:
        numerators: ``[n, K]``.
        denominators: ``[n, K]``, not negative; None stands for ones, so that the quotients are means.
        factors: ``[K]``.
    """

    numerators: Floats64
    denominators: Floats64 | None
    factors: Floats64

    def combine(self, quotients: Floats64) -> Floats64:
        """``[...]`` from quotients ``[..., K]``; one whose factor is 0 does not matter, even if undefined."""
        used = self.factors != 0
        combined: Floats64 = quotients[..., used] @ self.factors[used]
        return combined


@dataclass(frozen=True)
class Quotients:
    """An estimator: a sum of blocks over the same n episodes."""

    blocks: tuple[Block, ...]

    @classmethod
    def one(cls, numerator: Floats64, denominator: Floats64) -> Quotients:
        """A single quotient of summands ``[n]``."""
        return cls((Block(numerator[:, None], denominator[:, None], np.ones(1)),))

    @classmethod
    def mean(cls, summands: Floats64) -> Quotients:
        """``(1/n) sum_i summands[i]``."""
        return cls((Block(summands[:, None], None, np.ones(1)),))

    @property
    def n_episodes(self) -> int:
        """Number of episodes."""
        return len(self.blocks[0].numerators)

    @property
    def value(self) -> float:
        """The estimate; ``nan`` where undefined."""
        total = 0.0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for block in self.blocks:
                below = self.n_episodes if block.denominators is None else block.denominators.sum(axis=0)
                total += float(block.combine(block.numerators.sum(axis=0) / below))
        return total if np.isfinite(total) else float("nan")

    def __add__(self, other: Quotients) -> Quotients:
        return Quotients(self.blocks + other.blocks)

    def __sub__(self, other: Quotients) -> Quotients:
        """The paired difference: both parts see the same resample of episodes."""
        negated = tuple(Block(block.numerators, block.denominators, -block.factors) for block in other.blocks)
        return Quotients(self.blocks + negated)
