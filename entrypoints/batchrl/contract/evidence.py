"""When a log says enough of a policy for an interval to hold.

Not by a share of the episodes: 40,000 uniform rows with 34 actions say plenty of a policy that agrees with one in 34.
Intervals fail where few episodes count at all, where the weights have a heavy tail, so that the heaviest ones are
missing from the log, and where few episodes bring any news of the reward. The thresholds are those with which, where
nothing is doubted, 95 % intervals held in at least 92 % of simulated logs, whatever their kind (docs/ope-coverage.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from batchrl.contract import columns
from batchrl.contract.interval import Interval

LEAST_EFFECTIVE = 30.0
LARGEST_SHARE = 0.05
HEAVIEST_TAIL = 0.7
LEAST_INFORMATIVE = 10
LEAST_CARRYING = 20.0
# Windows of one episode overlap: resamples of fewer episodes are too much alike, however many windows there are.
LEAST_EPISODES = 10
# Rounded probabilities of the logging policy itself give weights that are all alike and not quite 1.
NEARLY = 1e-3


@dataclass(frozen=True)
class Evidence:
    """What the reliability of a figure is judged by; ``nan`` where a number is not known, which is not judged then.

    Args:
        episodes: n.
        effective: effective sample size of the weights, from 0 to n (Kish).
        largest: the largest weight, of a sum of 1.
        tail: Pareto shape k of the weights' tail (Vehtari et al. 2024).
        informative: effective episodes, by their weights, whose return is not the most common one.
        logged_informative: logged episodes whose return is not the most common one.
        carrying: effective episodes, by their influence, that the error of the figure is known from.
        unit: what an episode is called.
        outcome: what it pays is called.
    """

    episodes: float
    effective: float
    largest: float = math.nan
    tail: float = math.nan
    informative: float = math.nan
    logged_informative: float = math.nan
    carrying: float = math.nan
    unit: str = "episode"
    outcome: str = "return"

    @classmethod
    def of_paired_score(cls, cells: Mapping[str, float]) -> Evidence:
        """That of an epoch's paired score, from the numbers of its row in the csv by column."""
        return cls(
            episodes=cells.get(columns.OPE_EPISODES, math.nan),
            effective=cells.get(columns.PAIRED_ESS, 0.0),
            largest=cells.get(columns.PAIRED_MAX_WEIGHT, math.nan),
            tail=cells.get(columns.PAIRED_TAIL_SHAPE, math.nan),
            informative=cells.get(columns.PAIRED_INFORMATIVE, math.nan),
            logged_informative=cells.get(columns.LOGGED_INFORMATIVE, math.nan),
            carrying=cells.get(columns.PAIRED_CARRYING, math.nan),
        )

    @property
    def doubt(self) -> str | None:
        """What speaks against relying on the figure or its interval, in words; None where nothing does."""
        return self.doubt_of_weights or self.doubt_of_rewards or doubt_of_carrying(self.carrying, self.unit)

    @property
    def largest_share(self) -> float:
        """The largest weight's share of the sum of squared weights, which the variance of an estimate goes by."""
        return self.largest**2 * self.effective

    @property
    def doubt_of_weights(self) -> str | None:
        """What of it the weights alone say."""
        n = self.episodes
        if self.effective == 0:
            return (
                f"the policy would never act as the log did: all {n:.0f} weights are 0, so that nothing can be "
                "estimated"
            )
        if self.effective < LEAST_EFFECTIVE:
            return (
                f"the effective sample size is {self.effective:.1f} of {n:.0f} {self.unit}s, "
                f"below {LEAST_EFFECTIVE:g}: too small to rely on the estimate or its interval"
            )
        if self.largest_share > LARGEST_SHARE:
            return (
                f"the heaviest of {n:.0f} {self.unit}s is {self.largest_share:.0%} of the sum of squared weights, more "
                f"than {LARGEST_SHARE:.0%}: few decide how far the estimate may err"
            )
        if self.tail > HEAVIEST_TAIL:
            return (
                f"the weights have a heavy tail (Pareto shape {self.tail:.2f}, above {HEAVIEST_TAIL:g}): "
                f"{self.unit}s that matter more than any in the log must be expected"
            )
        return None

    @property
    def doubt_of_rewards(self) -> str | None:
        """What of it the returns say."""
        if self.logged_informative < LEAST_INFORMATIVE:
            few = f"{self.logged_informative:.0f} of {self.episodes:.0f} {self.outcome}s"
            return (
                f"only {few} differ from the most common one, fewer than {LEAST_INFORMATIVE}: "
                "a few more might change the estimate"
            )
        if self.informative < LEAST_INFORMATIVE:
            return (
                f"of the {self.unit}s as the policy weighs them, only {self.informative:.1f} effective ones have a "
                f"{self.outcome} other than the most common one, fewer than {LEAST_INFORMATIVE}: a few more might "
                "change the estimate"
            )
        return None


def doubt_of_carrying(carrying: float, unit: str = "episode", what: str = "the estimate") -> str | None:
    """What speaks against an interval whose width so many effective episodes tell; None where nothing does.

    Args:
        carrying: how many.
        unit: what an episode is called.
        what: the interval is of.
    """
    if carrying < LEAST_CARRYING:
        return (
            f"the error of {what} is known from {carrying:.1f} effective {unit}s, fewer than {LEAST_CARRYING:g}: "
            "its interval may be too narrow"
        )
    return None


def averages_to_one(mean: float, interval: Interval) -> bool:
    """Whether a mean weight is 1 within its interval, as it should be, or nearly 1 whatever the interval."""
    return interval.contains(1) or abs(mean - 1) <= NEARLY


def paired_averages_to_one(cells: Mapping[str, float]) -> bool:
    """The same of an epoch's paired score, from the numbers of its row in the csv by column."""
    name = columns.PAIRED_MEAN_WEIGHT
    mean, low, high = (cells.get(cell, math.nan) for cell in (name, columns.lower(name), columns.upper(name)))
    return averages_to_one(mean, Interval(low, high))


def doubt_of_score(cells: Mapping[str, float], metric: str, window_floor: float) -> str | None:
    """Why the score of an epoch may be shown but not relied on, in words; None where nothing speaks against it.

    Args:
        cells: the numbers of its row in the csv by column.
        metric: the column of the score: the paired one, or one of windows.
        window_floor: fewest effective windows.
    """
    if metric not in cells:
        return "the policy never acts as the log did: the score is undefined"
    if (steps := columns.window_steps(metric)) is not None:
        if (episodes := cells.get(columns.OPE_EPISODES, 0.0)) < LEAST_EPISODES:
            return f"{episodes:.0f} episodes, fewer than {LEAST_EPISODES}"
        effective = cells.get(columns.window_ess(steps), 0.0)
        return None if effective >= window_floor else f"{effective:.0f} effective windows, fewer than {window_floor:g}"
    if (effective := cells.get(columns.PAIRED_ESS, 0.0)) < LEAST_EFFECTIVE:
        return f"{effective:.1f} effective episodes, fewer than {LEAST_EFFECTIVE:g}"
    if not paired_averages_to_one(cells):
        return "the mean weight is not 1 within its interval"
    return Evidence.of_paired_score(cells).doubt
