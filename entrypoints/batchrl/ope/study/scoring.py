"""Policies scored on a log: all estimators, the same resamples for all, paired differences."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.contract.evidence import doubt_of_carrying
from batchrl.contract.interval import Interval
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators.bandit import direct_method, doubly_robust, inverse_propensity_score
from batchrl.ope.estimators.bootstrap import Estimate, intervals, resampled
from batchrl.ope.estimators.information import carrying_episodes
from batchrl.ope.estimators.magic import MagicSettings
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.sample import Sample, trajectory_estimators, value_bounds
from batchrl.ope.estimators.student import influence, interval_of_influence, wider
from batchrl.ope.estimators.weights import WeightDiagnostics
from batchrl.ope.report.estimand import LOGGING_POLICY, Estimand
from batchrl.ope.report.reliability import doubt_of_figure, doubt_of_interval, doubt_of_policy, evidence_of
from batchrl.ope.report.report import UNBOUNDED, Figure, PolicyReport, Tuned, Window
from batchrl.ope.report.words import OF_EPISODES
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy, averaged
from batchrl.ope.study.possible import PossibleValues
from batchrl.ope.study.support import doubt_of_support
from batchrl.ope.study.window import window_scores
from presets.schema import SelectionSettings

_DEFAULTS = SelectionSettings()
MAX_WINDOW = _DEFAULTS.max_window
EFFECTIVE_WINDOWS = _DEFAULTS.window_ess_floor


@dataclass(frozen=True)
class ScoreSettings:
    """How figures get their intervals.

    Args:
        resamples: of episodes; 0 for no percentile intervals.
        confidence: what an interval aims to cover.
        seed: of the resamples, the same for every policy.
        estimators: names of those to compute; None for all that the log and the policy have the arrays for.
        reward_range: no reward of a step can be lower or higher, which the bounds rest on; None: the logged range is
            taken for it.
        possible: what a policy can be worth; None for what the scored episodes allow.
    """

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    estimators: Collection[str] | None = None
    reward_range: tuple[float, float] | None = None
    possible: PossibleValues | None = None


@dataclass(frozen=True)
class Scored:
    """A policy's report, with the resampled values that comparisons are made of.

    Args:
        report: for people and JSON.
        draws: ``[B]`` by name of the estimator; ``nan`` where a resample leaves it undefined.
        influences: ``[n]`` by name of the estimator, see ``student.influence``.
    """

    report: PolicyReport
    draws: Mapping[str, Floats64]
    influences: Mapping[str, Floats64]


@dataclass(frozen=True)
class Found:
    """The estimators of one policy, by name, and how those were tuned that have a parameter."""

    quotients: Mapping[str, Quotients]
    tuned: Mapping[str, Tuned] = field(default_factory=dict)


class Scorer:
    """Scores any number of policies on the same episodes and resamples.

    Args:
        log: the episodes.
        settings: of the intervals.
        modelled_rewards: ``[N, A]``, a reward model's output in each state, for two of the one-step figures.
    """

    words = OF_EPISODES

    def __init__(
        self, log: EpisodeLog, settings: ScoreSettings | None = None, modelled_rewards: Floats64 | None = None
    ) -> None:
        self.log = log
        self.settings = settings or ScoreSettings()
        self._modelled = modelled_rewards
        self._possible = self.settings.possible or PossibleValues.of([log.dataset], log.discount)
        self._logged = self._draws({LOGGING_POLICY: log.logged_return})[LOGGING_POLICY]
        self._logged_influence = influence(log.logged_return)

    @property
    def logged(self) -> Estimate:
        """The discounted return of the logging policy, with the wider of both its intervals."""
        return self._with_interval(self.log.logged_return.value, self._logged, self._logged_influence)

    @property
    def logged_estimand(self) -> Estimand:
        """What ``logged`` is."""
        return Estimand.of(names.IS, LOGGING_POLICY, self.log.discount, len(self.log.cut), False)

    def score(self, policy: ScoredPolicy) -> Scored:
        """All figures of one policy; differences are against the logging policy.

        Raises:
            InputError: its arrays do not fit the log, or are not finite.
        """
        log, confidence = self.log, self.settings.confidence
        sample = log.sample(policy)
        found = self._found(policy, sample)
        estimators = dict(zip(found.quotients, log.with_estimation(list(found.quotients.values())), strict=True))
        bounds = self._bounds(sample)
        weights = WeightDiagnostics.of(sample.log_weights, confidence)
        of_log = doubt_of_support(log, policy.probabilities, self.words, confidence, self.settings.seed)
        if of_log is None and log.estimation is not None:
            of_log = log.estimation.doubt
        doubt = doubt_of_policy(
            weights,
            evidence_of(weights, sample.log_weights, sample.returns, self.words),
            log.clip is not None,
            of_log,
        )
        draws = self._draws(estimators)
        influences = {name: _influence(quotients) for name, quotients in estimators.items()}
        figures = {}
        for name, quotients in estimators.items():
            estimand = self._estimand(name, policy)
            undefined = int(np.isnan(draws[name]).sum())
            carrying = carrying_episodes(influences[name], self._spread)
            beyond = (1 - confidence) / 2 * len(draws[name])
            figure = Figure(
                estimand=estimand,
                bootstrap=Estimate.of(quotients.value, draws[name], confidence),
                student_t=interval_of_influence(quotients.value, influences[name], confidence),
                bounds=bounds.get(name, UNBOUNDED),
                doubt=self._impossible(estimand, quotients.value)
                or self._doubt(name, doubt, found)
                or doubt_of_interval(carrying, undefined > beyond, self.words),
                tuned=found.tuned.get(name),
                undefined=undefined,
                carrying=carrying,
            )
            if (estimand.discount, estimand.horizon) == (self.logged_estimand.discount, self.logged_estimand.horizon):
                value = quotients.value - self.log.logged_return.value
                moved = influences[name] - self._logged_influence
                figure = self._compared(figure, value, draws[name] - self._logged, moved)
            figures[name] = figure
        window = self._window(policy.label, sample) if of_log is None else None
        return Scored(PolicyReport(policy.label, weights, doubt, figures, window), draws, influences)

    def against(self, each: Scored, first: Scored) -> PolicyReport:
        """The report of a policy with differences against another one's; none where it is the same."""
        figures = {}
        for name, figure in each.report.figures.items():
            other = first.report.figures.get(name)
            figures[name] = replace(figure, difference=None, difference_doubt=None)
            if other is not None and each is not first and other.estimand.horizon == figure.estimand.horizon:
                draws = each.draws[name] - first.draws[name]
                moved = each.influences[name] - first.influences[name]
                figures[name] = self._compared(figure, figure.value - other.value, draws, moved)
        return replace(each.report, figures=figures)

    def _impossible(self, estimand: Estimand, value: float) -> str | None:
        """Why a value of a whole episode cannot be true; None where it can, or is the reward of one of its steps."""
        of_a_step = estimand.discount is None and self.logged_estimand.discount is not None
        return None if of_a_step else self._possible.doubt(value)

    @property
    def reward_range(self) -> tuple[float, float]:
        """What the bounds take for the least and the greatest reward of a step."""
        rewards = self.log.dataset.rewards
        return self.settings.reward_range or (float(rewards.min()), float(rewards.max()))

    def _bounds(self, sample: Sample) -> dict[str, Interval]:
        return value_bounds(sample, self.reward_range, self.settings.confidence)

    def _estimand(self, name: str, policy: ScoredPolicy) -> Estimand:
        return Estimand.of(name, policy.label, self.log.discount, len(self.log.cut), policy.knows_end_values)

    def _doubt(self, name: str, of_weights: str | None, found: Found) -> str | None:
        return doubt_of_figure(name, of_weights)

    def _window(self, policy: str, sample: Sample) -> Window | None:
        """The longest window with enough effective windows; None where none has."""
        log, settings = self.log, self.settings
        scores = window_scores(log.grid, sample.log_ratios, log.rewards, log.discount, MAX_WINDOW)
        able = [score for score in scores if score.effective_windows >= EFFECTIVE_WINDOWS]
        if not able:
            return None
        chosen = able[-1]
        moved = log.with_estimation([chosen.difference])
        (difference,) = intervals(moved, settings.resamples, settings.confidence, settings.seed)
        steps = "the first step" if chosen.steps == 1 else f"the first {chosen.steps} steps"
        label = f"{policy} for {steps} from a logged state, then {LOGGING_POLICY}"
        estimand = Estimand(label, log.discount, self.logged_estimand.horizon)
        return Window(chosen.steps, difference, chosen.effective_windows, estimand)

    def _compared(self, figure: Figure, value: float, draws: Floats64, moved: Floats64) -> Figure:
        """The figure with a paired difference: its value, in resamples ``[B]``, and the influences ``[n]`` on it."""
        carrying = carrying_episodes(moved, self._spread)
        return replace(
            figure,
            difference=self._with_interval(value, draws, moved),
            difference_doubt=doubt_of_carrying(carrying, self.words.episode, "the difference"),
        )

    def _with_interval(self, value: float, draws: Floats64, moved: Floats64) -> Estimate:
        confidence = self.settings.confidence
        return wider(Estimate.of(value, draws, confidence), interval_of_influence(value, moved, confidence))

    @property
    def _spread(self) -> float:
        """Root mean square of the logged returns about their mean."""
        return math.sqrt(float((self._logged_influence**2).mean()))

    def _found(self, policy: ScoredPolicy, sample: Sample) -> Found:
        wanted = self.settings.estimators
        found = trajectory_estimators(sample, wanted, MagicSettings(seed=self.settings.seed))
        found[columns.IPS] = inverse_propensity_score(self.log.grid, sample.log_ratios, sample.rewards)
        if self._modelled is not None:
            pad, grid = self.log.grid.pad, self.log.grid
            modelled = pad(averaged(policy.probabilities, self._modelled))
            taken = pad(self.log.taken(self._modelled))
            found[columns.DM] = direct_method(grid, modelled)
            found[columns.DR] = doubly_robust(grid, sample.log_ratios, sample.rewards, taken, modelled)
        return Found({name: found[name] for name in found if wanted is None or name in wanted})

    def _draws(self, estimators: Mapping[str, Quotients]) -> dict[str, Floats64]:
        settings = self.settings
        if not settings.resamples or not estimators:
            return {name: np.empty(0) for name in estimators}
        drawn = resampled(list(estimators.values()), settings.resamples, settings.seed)
        return dict(zip(estimators, drawn.T, strict=True))


def _influence(quotients: Quotients) -> Floats64:
    """``[n]``; ``nan`` where the estimate is undefined."""
    if not math.isfinite(quotients.value):
        return np.full(quotients.n_episodes, np.nan)
    return influence(quotients)
