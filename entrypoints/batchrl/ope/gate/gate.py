"""The gate between two policies: is the candidate better than the one in place, as both act?

Two looks, each at a level of its own (a share of the loop's alpha):

======  ==========================================================  ===============================================
look    evidence                                                    bounds
======  ==========================================================  ===============================================
log     episodes that the incumbent policy logged and that neither   percentile bootstrap and Student's t over whole
        training nor choice saw: the paired difference (``paired``)  episodes, the wider end of the two
canary  the same episodes, and as many as were asked for that the   studentised bootstrap and Welch's t, the wider
        candidate played itself: the difference of mean returns      end of the two
======  ==========================================================  ===============================================

The candidate is promoted if the lower bound is above 0, kept out if the upper bound is below 0, and undecided between;
whatever the reliability rules doubt is undecided as well. Why the wider end: with returns that pile up at a cap, such
as those of a good CartPole policy, Welch's t alone promoted twice as often as its level allows, and the percentile
bootstrap alone gets too narrow where few episodes are effective. Where rewards are rare, neither sees how far it may
err: no bound trusts a spread below that of a candidate that makes no difference (``null_error``, ``two_samples``).
So a log's look needs informative rewards (``contract.evidence``), but no count of the episodes that tell its error.
``bench/gate_errors.py`` measures all of it together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from batchrl.contract import estimators as names
from batchrl.contract.evidence import LEAST_INFORMATIVE
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.bootstrap import Estimate, resampled
from batchrl.ope.estimators.information import differing
from batchrl.ope.estimators.student import student_interval, wider
from batchrl.ope.estimators.trajectories import discounted_returns
from batchrl.ope.estimators.weights import WeightDiagnostics, trajectory_log_weights
from batchrl.ope.gate.level import Level
from batchrl.ope.gate.two_samples import NO_SPREAD, difference_of_means, stays_above
from batchrl.ope.report.reliability import doubt_of_policy, evidence_of
from batchrl.ope.report.report import estimate_json, weights_json
from batchrl.ope.report.words import OF_EPISODES
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy
from batchrl.ope.study.paired import null_error, paired_difference
from batchrl.ope.study.support import doubt_of_support

Outcome = Literal["promoted", "kept out", "undecided"]

# Logs of probability ratios that are 0 but for rounding, of networks in single precision as well.
SAME_CHANCES = 1e-6
# What every difference is of, in its sentences.
RETURN = " in discounted return"


@dataclass(frozen=True)
class GateDecision:
    """What one look says.

    Args:
        look: ``log`` or ``canary``.
        outcome: of it.
        reason: the same as a sentence.
        difference: candidate minus incumbent policy, in discounted return; each bound holds at the level's confidence.
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


def judge_by_log(log: EpisodeLog, candidate: ScoredPolicy, level: Level) -> GateDecision:
    """The candidate on episodes that the incumbent policy logged.

    Args:
        log: the episodes; neither training nor choice of the candidate saw them.
        candidate: as it would act.
        level: of this look.
    """
    log_ratios = log.log_ratios(candidate.probabilities)
    log_weights = trajectory_log_weights(log_ratios)
    weights = WeightDiagnostics.of(log_weights)
    evidence = evidence_of(weights, log_weights, discounted_returns(log.rewards, log.discount))
    of_support = doubt_of_support(log, candidate.probabilities, OF_EPISODES, 1 - 2 * level.alpha, level.seed)
    doubt = doubt_of_policy(weights, evidence, log.clip is not None, of_support)
    quotients = paired_difference(log, candidate, log_ratios)
    confidence = 1 - 2 * level.alpha
    drawn = Estimate.of(quotients.value, resampled([quotients], level.resamples, level.seed)[:, 0], confidence)
    least = null_error(log, candidate, log_ratios)
    difference = wider(drawn, student_interval(quotients, confidence, least))
    same = bool(np.abs(log_ratios).max() < SAME_CHANCES)
    if same:
        doubt = "the candidate acts as the incumbent policy does"
    elif doubt is None and difference.standard_error <= NO_SPREAD * max(abs(log.logged_return.value), 1.0):
        doubt = "the difference is the same in all of them"
    n = log.dataset.n_episodes
    outcome, reason = _decided(difference, level, doubt, f"the {n} unseen episodes of the incumbent policy")
    facts = {
        "estimator": names.WDR,
        "episodes": n,
        "discount": log.discount,
        "acts_alike": same,
        "candidate": candidate.label,
        "logged_return": estimate_json(student_interval(log.logged_return, confidence)),
        "weights": weights_json(weights),
        "doubt": doubt,
    }
    return GateDecision("log", outcome, reason, difference, level, facts)


def judge_by_canary(canary: Floats64, in_place: Floats64, level: Level, discount: float) -> GateDecision:
    """Two samples of discounted returns.

    Args:
        canary: ``[m]``, of the candidate's own episodes.
        in_place: ``[n]``, of unseen episodes of the incumbent policy.
        level: of this look.
        discount: of one step, which the returns have already.
    """
    difference = difference_of_means(canary, in_place, level)
    doubt = _doubt_of_samples(canary, in_place, difference)
    told = f"{len(canary)} episodes of the candidate and {len(in_place)} of the incumbent policy"
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
    return GateDecision("canary", outcome, reason, difference, level, facts)


def _decided(difference: Estimate, level: Level, doubt: str | None, evidence: str) -> tuple[Outcome, str]:
    if doubt is not None:
        return "undecided", f"Undecided: {evidence} cannot tell: {doubt}."
    value, lower, upper = (f"{number:+.3g}" for number in (difference.value, difference.lower, difference.upper))
    if 0 < difference.lower < math.inf:
        return (
            "promoted",
            f"Promoted: by {evidence} it gains {value}{RETURN}, more than {lower} with {level} confidence.",
        )
    if -math.inf < difference.upper < 0:
        return "kept out", f"Kept out: by {evidence} it loses: {value}{RETURN}, below {upper} with {level} confidence."
    bounds = [f"above {lower}"] if math.isfinite(difference.lower) else []
    bounds += [f"below {upper}"] if math.isfinite(difference.upper) else []
    if not bounds:
        return "undecided", f"Undecided: {evidence} give no interval."
    known = f"{' and '.join(bounds)} with {level} confidence{' each' if len(bounds) > 1 else ''}"
    return "undecided", f"Undecided: by {evidence} it differs by {value}{RETURN}, {known}: a gain or a loss."


def _doubt_of_samples(canary: Floats64, in_place: Floats64, difference: Estimate) -> str | None:
    """Why an answer of two samples should not be relied on; None where nothing speaks against it, or there is none."""
    if not (math.isfinite(difference.lower) or math.isfinite(difference.upper)):
        return "the returns do not vary, or there are too few"
    gains, loses = difference.lower > 0, difference.upper < 0
    if not (gains or loses) or stays_above(*((canary, in_place) if gains else (in_place, canary))):
        return None
    few = [
        f"{count} of {len(returns)} returns of {whose}"
        for returns, whose in ((canary, "the candidate"), (in_place, "the incumbent policy"))
        if (count := differing(returns).sum()) < LEAST_INFORMATIVE
    ]
    return f"only {' and '.join(few)} differ from the most common one, and a few more might undo the difference"


def _mean_json(returns: Floats64) -> dict[str, float | None]:
    n = len(returns)
    error = float(returns.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return {"value": float(returns.mean()), "standard_error": error}
