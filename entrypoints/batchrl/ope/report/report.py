"""What a log says about policies: every figure with its estimand, its intervals and what speaks against it.

As JSON (``OpeReport.to_json``), undefined numbers being null::

    {"format": 1,
     "data": {"source", "sha256", "episodes", "transitions", "actions", "schema"},
     "scored": {"episodes", "transitions", "which"},          which episodes, in words
     "settings": {"discount", "confidence", "resamples", "seed", "clip",    discount null for a log of single decisions
                  "reward_range": [least, greatest],                       of a step, for the bounds
                  "loggers": "separate", "balanced" or null where one policy logged all},
     "logged": {"mean_return", "discounted_return": ESTIMATE, "estimand": ESTIMAND},
     "baseline": what "difference" is against, in words,
     "policies": [{"policy", "source", "facts": {...}, "episodes",
                   "weights": {"effective_episodes", "max_normalised_weight", "mean_weight": ESTIMATE,
                               "tail_shape"},
                   "reliable": true or false, "doubt": words or null,
                   "verdict": {"outcome", "estimate": NAME or null, "words"},
                   "window": {"steps", "difference": ESTIMATE, "effective_windows", "estimand": ESTIMAND} or null,
                   "estimates": {NAME: {"estimand": ESTIMAND, "value", "standard_error",
                                        "interval": [lower, upper],                   the wider of
                                        "bootstrap": [lower, upper], "student_t": [lower, upper],
                                        "undefined_resamples": number, "carrying_episodes": number,
                                        "lower_bound": number, "upper_bound": number, "difference": ESTIMATE or null,
                                        "tuned": {"parameter", "value", "changed"} or null,
                                        "reliable": true or false, "doubt": words or null,
                                        "difference_doubt": words or null}}}],
     "ranking": RANKING or null (``batchrl.ope.report.ranking``),
     "remarks": [words]}

ESTIMATE is ``{"value", "lower", "upper", "standard_error"}``, ESTIMAND is ``{"policy", "discount", "horizon"}``;
NAME is one of ``batchrl.contract.estimators``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from batchrl.contract.interval import Interval
from batchrl.ope.estimators.bootstrap import Estimate
from batchrl.ope.estimators.student import wider
from batchrl.ope.estimators.weights import WeightDiagnostics
from batchrl.ope.report.estimand import Estimand
from batchrl.ope.report.ranking import Ranking
from batchrl.ope.report.words import OF_EPISODES, Words

FORMAT = 1
# Of an estimator without bounds.
UNBOUNDED = Interval()


@dataclass(frozen=True)
class Tuned:
    """A parameter of an estimator that was chosen from the data.

    Args:
        parameter: its name.
        value: infinite where the weights were left as they were.
        changed: share of the total weight that it takes away.
    """

    parameter: str
    value: float
    changed: float

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; an infinite value becomes null."""
        return {"parameter": self.parameter, "value": _number(self.value), "changed": _number(self.changed)}


@dataclass(frozen=True)
class Figure:
    """One estimator's figure for one policy.

    Args:
        estimand: what it estimates.
        bootstrap: with the percentile interval and the standard error of resampled episodes.
        student_t: the same value with Student's interval.
        bounds: what the value exceeds, and what it stays below, each with the confidence asked for (``betting``);
            undefined where the estimator has none.
        difference: the paired difference to the baseline, with the wider of percentile and Student's interval; None
            where the two have not the same horizon.
        doubt: why it should not be relied on, in words; None where nothing speaks against it.
        tuned: its parameter, where it has one.
        difference_doubt: the same of the difference.
        undefined: resamples that leave the figure undefined; the percentiles are those of the others.
        carrying: effective episodes that its error is known from (``information.carrying_episodes``).
    """

    estimand: Estimand
    bootstrap: Estimate
    student_t: Estimate
    bounds: Interval = UNBOUNDED
    difference: Estimate | None = None
    doubt: str | None = None
    tuned: Tuned | None = None
    difference_doubt: str | None = None
    undefined: int = 0
    carrying: float = float("nan")

    @property
    def value(self) -> float:
        """The point estimate."""
        return self.bootstrap.value

    @property
    def interval(self) -> Estimate:
        """The value with the wider of both intervals, which is the one to be shown."""
        return wider(self.bootstrap, self.student_t)

    def to_json(self) -> dict[str, Any]:
        """The figure with its intervals in JSON's types; NaN becomes null."""
        return {
            "estimand": asdict(self.estimand),
            "value": _number(self.value),
            "standard_error": _number(self.bootstrap.standard_error),
            "interval": [_number(self.interval.lower), _number(self.interval.upper)],
            "bootstrap": [_number(self.bootstrap.lower), _number(self.bootstrap.upper)],
            "student_t": [_number(self.student_t.lower), _number(self.student_t.upper)],
            "undefined_resamples": self.undefined,
            "carrying_episodes": _number(self.carrying),
            "lower_bound": _number(self.bounds.lower),
            "upper_bound": _number(self.bounds.upper),
            "difference": None if self.difference is None else estimate_json(self.difference),
            "tuned": None if self.tuned is None else self.tuned.to_json(),
            "reliable": self.doubt is None,
            "doubt": self.doubt,
            "difference_doubt": self.difference_doubt,
        }


@dataclass(frozen=True)
class Verdict:
    """One policy against the baseline.

    Args:
        outcome: ``reference`` is the baseline itself, ``unreliable`` where the log cannot tell.
        estimate: name of the estimator that says so; None where none can.
        words: the same as a sentence.
    """

    outcome: Literal["better", "worse", "unresolved", "unreliable", "reference"]
    estimate: str | None
    words: str


@dataclass(frozen=True)
class Window:
    """The window score: what some steps of the policy are worth, the logging policy acting after them.

    Args:
        steps: how many.
        difference: to the logging policy, averaged over the logged states; no value of the policy itself.
        effective_windows: of all windows.
        estimand: what it is.
    """

    steps: int
    difference: Estimate
    effective_windows: float
    estimand: Estimand

    def to_json(self) -> dict[str, Any]:
        """The window's difference in JSON's types; NaN becomes null."""
        return {
            "steps": self.steps,
            "difference": estimate_json(self.difference),
            "effective_windows": _number(self.effective_windows),
            "estimand": asdict(self.estimand),
        }


@dataclass(frozen=True)
class PolicyReport:
    """What the log says about one policy.

    Args:
        policy: in words.
        weights: of the trajectories.
        doubt: why nothing that these weights enter should be relied on, in words.
        figures: by name of the estimator.
        window: its window score, where windows leave anything to compare.
        verdict: against the baseline.
        source: where the policy comes from, as the user named it.
        facts: what is known of its making, in JSON's types.
    """

    policy: str
    weights: WeightDiagnostics
    doubt: str | None
    figures: Mapping[str, Figure]
    window: Window | None = None
    verdict: Verdict | None = None
    source: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The whole report in JSON's types; NaN becomes null."""
        return {
            "policy": self.policy,
            "source": self.source,
            "facts": dict(self.facts),
            "episodes": self.weights.n_episodes,
            "weights": weights_json(self.weights),
            "reliable": self.doubt is None,
            "doubt": self.doubt,
            "verdict": None if self.verdict is None else asdict(self.verdict),
            "window": None if self.window is None else self.window.to_json(),
            "estimates": {name: figure.to_json() for name, figure in self.figures.items()},
        }


@dataclass(frozen=True)
class OpeReport:
    """What a log says about several policies, all on the same episodes and the same resamples.

    Args:
        data: the log, in JSON's types.
        scored: the episodes of it that were used, in JSON's types.
        settings: discount, confidence, resamples and seed.
        mean_return: undiscounted, of the logging policy.
        logged: its discounted return.
        logged_estimand: what that is.
        baseline: what differences are against, in words.
        policies: the scored ones.
        words: what the episodes and their steps are called.
        remarks: what else a reader must know.
        ranking: of the policies by fitted values, where it was asked for.
    """

    data: Mapping[str, Any]
    scored: Mapping[str, Any]
    settings: Mapping[str, Any]
    mean_return: float
    logged: Estimate
    logged_estimand: Estimand
    baseline: str
    policies: Sequence[PolicyReport]
    words: Words = OF_EPISODES
    remarks: Sequence[str] = ()
    ranking: Ranking | None = None

    def to_json(self) -> dict[str, Any]:
        """In JSON's types, as the head of this module describes it."""
        return {
            "format": FORMAT,
            "data": dict(self.data),
            "scored": dict(self.scored),
            "settings": dict(self.settings),
            "logged": {
                "mean_return": _number(self.mean_return),
                "discounted_return": estimate_json(self.logged),
                "estimand": asdict(self.logged_estimand),
            },
            "baseline": self.baseline,
            "policies": [policy.to_json() for policy in self.policies],
            "ranking": None if self.ranking is None else self.ranking.to_json(),
            "remarks": list(self.remarks),
        }


def estimate_json(estimate: Estimate) -> dict[str, float | None]:
    """An estimate in JSON's types; what is undefined is null."""
    return {name: _number(value) for name, value in asdict(estimate).items()}


def weights_json(weights: WeightDiagnostics) -> dict[str, Any]:
    """Diagnostics in JSON's types."""
    return {
        "effective_episodes": _number(weights.effective_episodes),
        "max_normalised_weight": _number(weights.max_normalised_weight),
        "mean_weight": estimate_json(weights.mean_weight_interval) | {"value": _number(weights.mean_weight)},
        "tail_shape": _number(weights.tail_shape),
    }


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
