"""The gate between two policies: is the candidate better than the one in place, as both act?

Two looks, each at a level of its own (a share of the loop's alpha):

======  ==========================================================  ===============================================
look    evidence                                                    bounds
======  ==========================================================  ===============================================
log     episodes that the policy in place logged and that neither   percentile bootstrap and Student's t over whole
        training nor choice saw: the paired difference (``paired``)  episodes, the wider end of the two
canary  the same episodes, and as many as were asked for that the   studentised bootstrap and Welch's t, the wider
        candidate played itself: the difference of mean returns      end of the two
======  ==========================================================  ===============================================

The candidate is promoted if the lower bound is above 0, kept out if the upper bound is below 0, and undecided between;
whatever the reliability rules doubt is undecided as well. Why the wider end: with returns that pile up at a cap, such
as those of a good CartPole policy, Welch's t alone promoted twice as often as its level allows, and the percentile
bootstrap alone gets too narrow where few episodes are effective (``bench/gate_errors.py`` measures them together).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from batchrl.contract import estimators as names
from batchrl.data.dataset import Floats64
from batchrl.ope.bootstrap import DRAWS_AT_ONCE, Estimate, resampled
from batchrl.ope.logged import EpisodeLog, ScoredPolicy
from batchrl.ope.paired import paired_difference
from batchrl.ope.reliability import doubt_of_weights
from batchrl.ope.report import estimate_json, weights_json
from batchrl.ope.student import student_interval, student_quantile
from batchrl.ope.weights import WeightDiagnostics, trajectory_log_weights

Outcome = Literal["promoted", "kept out", "undecided"]
PROMOTED, KEPT_OUT, UNDECIDED = "promoted", "kept out", "undecided"
LOG, CANARY = "log", "canary"

# Resamples beyond a bound: its tail is then known to about a tenth.
DRAWS_BEYOND = 100
FEWEST_RESAMPLES, MOST_RESAMPLES = 2_000, 100_000
# Returns that vary by less than this share of their size are all alike but for rounding.
NO_SPREAD = 1e-12


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


@dataclass(frozen=True)
class Decision:
    """What one look says.

    Args:
        look: ``log`` or ``canary``.
        outcome: of it.
        reason: the same as a sentence.
        difference: candidate minus policy in place, in discounted return; each bound holds at the level's confidence.
        level: of the look.
        facts: every other number, in JSON's types.
    """

    look: Literal["log", "canary"]
    outcome: Outcome
    reason: str
    difference: Estimate
    level: Level
    facts: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; undefined numbers are null."""
        return {
            "look": self.look,
            "outcome": self.outcome,
            "reason": self.reason,
            "difference": estimate_json(self.difference),
            "alpha": self.level.alpha,
            "confidence": 1 - self.level.alpha,
            "resamples": self.level.resamples,
            "seed": self.level.seed,
            **self.facts,
        }


def judge_by_log(log: EpisodeLog, candidate: ScoredPolicy, level: Level) -> Decision:
    """The candidate on episodes that the policy in place logged.

    Args:
        log: the episodes; neither training nor choice of the candidate saw them.
        candidate: as it would act.
        level: of this look.
    """
    log_ratios = log.log_ratios(candidate.probabilities)
    weights = WeightDiagnostics.of(trajectory_log_weights(log_ratios))
    doubt = doubt_of_weights(weights, log.clip is not None)
    quotients = paired_difference(log, candidate, log_ratios)
    confidence = 1 - 2 * level.alpha
    drawn = Estimate.of(quotients.value, resampled([quotients], level.resamples, level.seed)[:, 0], confidence)
    difference = _wider(drawn, student_interval(quotients, confidence))
    if doubt is None and difference.standard_error <= NO_SPREAD * max(abs(log.logged_return.value), 1.0):
        doubt = "the candidate acts as the policy in place does"
    n = log.dataset.n_episodes
    outcome, reason = _decided(difference, level, doubt, f"the {n} unseen episodes of the policy in place")
    facts = {
        "estimator": names.WDR,
        "episodes": n,
        "discount": log.discount,
        "candidate": candidate.label,
        "logged_return": estimate_json(student_interval(log.logged_return, confidence)),
        "weights": weights_json(weights),
        "doubt": doubt,
    }
    return Decision("log", outcome, reason, difference, level, facts)


def judge_by_canary(canary: Floats64, in_place: Floats64, level: Level, discount: float) -> Decision:
    """Two samples of discounted returns.

    Args:
        canary: ``[m]``, of the candidate's own episodes.
        in_place: ``[n]``, of unseen episodes of the policy in place.
        level: of this look.
        discount: of one step, which the returns have already.
    """
    difference = _two_samples(canary, in_place, level)
    bounded = math.isfinite(difference.lower) or math.isfinite(difference.upper)
    doubt = None if bounded else "the returns do not vary, or there are too few"
    told = f"{len(canary)} episodes of the candidate and {len(in_place)} of the policy in place"
    outcome, reason = _decided(difference, level, doubt, told)
    facts = {
        "estimator": "difference of mean returns",
        "episodes": len(canary),
        "episodes_in_place": len(in_place),
        "discount": discount,
        "canary_return": _mean_json(canary),
        "logged_return": _mean_json(in_place),
        "doubt": doubt,
    }
    return Decision("canary", outcome, reason, difference, level, facts)


def _decided(difference: Estimate, level: Level, doubt: str | None, evidence: str) -> tuple[Outcome, str]:
    if doubt is not None:
        return "undecided", f"Undecided: {evidence} cannot tell: {doubt}."
    value, lower, upper = (f"{number:+.3g}" for number in (difference.value, difference.lower, difference.upper))
    if 0 < difference.lower < math.inf:
        return "promoted", f"Promoted: by {evidence} it gains {value}, more than {lower} with {level} confidence."
    if -math.inf < difference.upper < 0:
        return "kept out", f"Kept out: by {evidence} it loses: {value}, below {upper} with {level} confidence."
    bounds = [f"above {lower}"] if math.isfinite(difference.lower) else []
    bounds += [f"below {upper}"] if math.isfinite(difference.upper) else []
    if not bounds:
        return "undecided", f"Undecided: {evidence} give no interval."
    known = f"{' and '.join(bounds)} with {level} confidence{' each' if len(bounds) > 1 else ''}"
    return "undecided", f"Undecided: by {evidence} the difference is {value}, {known}: it may be a gain or a loss."


def _wider(first: Estimate, second: Estimate) -> Estimate:
    """The lower of two lower bounds, the upper of two upper ones; one that is undefined leaves the other undefined."""
    lower, upper = np.minimum(first.lower, second.lower), np.maximum(first.upper, second.upper)
    return Estimate(first.value, float(lower), float(upper), second.standard_error)


def _two_samples(first: Floats64, second: Floats64, level: Level) -> Estimate:
    """The difference of two means, ``first`` minus ``second``."""
    value = float(first.mean() - second.mean())
    if min(len(first), len(second)) < 2:
        return Estimate(value)
    parts = [float(sample.var(ddof=1)) / len(sample) for sample in (first, second)]
    error = math.sqrt(sum(parts))
    least = NO_SPREAD * max(float(np.abs(first).max()), float(np.abs(second).max()), 1.0)
    if error <= least:
        return Estimate(value)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(s) - 1) for part, s in zip(parts, (first, second), strict=True))
    half = student_quantile(1 - level.alpha, freedom) * error
    welch = Estimate(value, value - half, value + half, error)
    low, high = np.quantile(_studentised(first, second, level, least), [level.alpha, 1 - level.alpha], method="nearest")
    return _wider(Estimate(value, value - float(high) * error, value - float(low) * error, error), welch)


def _studentised(first: Floats64, second: Floats64, level: Level, least: float) -> Floats64:
    """Deviations of the difference in resamples of both samples, over their own errors (Efron & Tibshirani 1993, 12.5).

    A resample whose returns are all alike, to an error of at most ``least``, deviates beyond all measure: where there
    are many, as when nearly all returns lie at a cap, there is no bound on that side.
    """
    rng = np.random.default_rng(level.seed)
    value = first.mean() - second.mean()
    rows = max(1, DRAWS_AT_ONCE // (len(first) + len(second)))
    found = []
    for start in range(0, level.resamples, rows):
        size = min(rows, level.resamples - start)
        drawn = [sample[rng.integers(0, len(sample), (size, len(sample)))] for sample in (first, second)]
        error = np.sqrt(sum(part.var(axis=1, ddof=1) / part.shape[1] for part in drawn))
        moved = drawn[0].mean(axis=1) - drawn[1].mean(axis=1) - value
        with np.errstate(divide="ignore", invalid="ignore"):
            deviations = np.where(error > least, moved / error, np.sign(moved) * np.inf)
        found.append(np.nan_to_num(deviations, nan=0.0, posinf=np.inf, neginf=-np.inf))
    return np.concatenate(found)


def _mean_json(returns: Floats64) -> dict[str, float | None]:
    n = len(returns)
    error = float(returns.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return {"value": float(returns.mean()), "standard_error": error}
