"""Bounds of single decisions with rare rewards, beside truncation (Thomas et al. 2015).

How often they hold, and how much they say:

    .venv/bin/python bench/betting.py
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass

import numpy as np
from peers.thomas import high_confidence_lower_bound

from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.betting import importance_sampling_bounds

CONFIDENCE = 0.95
REPLICATES = 2000
CASES = tuple(itertools.product((0.01, 0.04, 0.2), (200, 500, 2000, 10_000)))


@dataclass(frozen=True)
class Bandit:
    """Decisions that a uniform policy logged; each action pays 1 or nothing.

    Args:
        actions: how many.
        rate: the share that the best action pays in is twice this, that of the others this.
        share: of the scored policy's decisions, for the best action.
    """

    actions: int
    rate: float
    share: float

    @property
    def policy(self) -> Floats64:
        """``[A]``, the scored policy."""
        return np.array([self.share, *[(1 - self.share) / (self.actions - 1)] * (self.actions - 1)])

    @property
    def paying(self) -> Floats64:
        """``[A]``, how often each action pays."""
        return np.array([2 * self.rate, *[self.rate] * (self.actions - 1)])

    @property
    def value(self) -> float:
        """Of the scored policy."""
        return float(self.policy @ self.paying)

    def log(self, n: int, rng: np.random.Generator) -> tuple[Floats64, Floats64]:
        """Logs of weights and rewards, ``[n]`` each."""
        taken = rng.integers(self.actions, size=n)
        return np.log(self.policy[taken] * self.actions), (rng.random(n) < self.paying[taken]).astype(np.float64)


def row(rate: float, n: int, replicates: int) -> str:
    """A line of the table."""
    bandit = Bandit(5, rate, 0.6)
    rng = np.random.default_rng([n, round(1e4 * rate)])
    lower, upper, truncated = (np.empty(replicates) for _ in range(3))
    for number in range(replicates):
        log_weights, rewards = bandit.log(n, rng)
        found = importance_sampling_bounds(log_weights, rewards, (0.0, 1.0), CONFIDENCE)
        assert found.lower is not None and found.upper is not None
        lower[number], upper[number] = found.lower, found.upper
        truncated[number] = high_confidence_lower_bound(np.exp(log_weights) * rewards, CONFIDENCE, number)
    value = bandit.value
    hold = f"{100 * (lower <= value).mean():.1f} / {100 * (upper >= value).mean():.1f}"
    cells = (f"{rate:g}", f"{n}", hold, f"{lower.mean() / value:.2f}", f"{truncated.mean() / value:.3f}")
    return f"| {' | '.join(cells)} | {upper.mean() / value:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    replicates = parser.parse_args().replicates
    print("| reward rate | n | hold, lower / upper, % | lower / value | truncated / value | upper / value |")
    print("|---|---|---|---|---|---|")
    for rate, n in CASES:
        print(row(rate, n, replicates), flush=True)


if __name__ == "__main__":
    main()
