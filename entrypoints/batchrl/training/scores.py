"""What chooses an epoch: the target policy against the logging policy, and whether its values are possible.

All come from episodes that no epoch was trained on. Both sides of a difference see the same episodes, in
the estimate and in every resample, and count rewards up to the end of the log, also where an episode was cut short.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from batchrl.agents.model import PolicyModel
from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract import columns
from batchrl.contract.evidence import Evidence
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.estimators.bootstrap import Estimate, intervals
from batchrl.ope.estimators.information import carrying_episodes
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.student import influence, student_interval, student_quantile, wider
from batchrl.ope.estimators.trajectories import discounted_returns
from batchrl.ope.estimators.weights import WeightDiagnostics, trajectory_log_weights
from batchrl.ope.report.estimand import horizon
from batchrl.ope.report.reliability import evidence_of
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy, Values, of_decisions, policies_of
from batchrl.ope.study.paired import paired_difference
from batchrl.ope.study.possible import PossibleValues
from batchrl.ope.study.window import window_scores
from presets.schema import TrainPreset

# Values of the logging policy may miss its logged return by this share, however many episodes there are.
LOGGED_TOLERANCE = 0.05


@dataclass(frozen=True)
class TrainingReturns:
    """What the training episodes say about values, before any network.

    Args:
        possible: the values that they allow.
        standard_error: of the episodes' mean discounted return.
    """

    possible: PossibleValues
    standard_error: float

    @classmethod
    def of(cls, dataset: Dataset, discount: float) -> TrainingReturns:
        """The returns of a data set, and the values that it allows."""
        returns = dataset.discounted_returns(discount)
        n = len(returns)
        return cls(
            PossibleValues.of([dataset], discount), float(returns.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
        )


@dataclass(frozen=True)
class SelectionScores:
    """What the evaluation episodes say about one epoch's policy.

    Args:
        paired: weighted doubly robust estimate of the target policy, minus the logged mean discounted return.
        weights: of whole episodes.
        evidence: what the reliability of the paired estimate is judged by.
        windows: for each h, the window score and its effective windows.
        logged_return: mean discounted return of the episodes.
        start_value: mean of ``V(s_0)`` under the target policy; nan for an algorithm without values.
        logging_start_value: mean of ``sum_a pi_b(a | s_0) Q(s_0, a)``, where Q is of the logging policy; else nan.
        possible: whether these values can be true; None for an algorithm without values.
        least, greatest: value of a policy that the training episodes allow.
    """

    paired: Estimate
    weights: WeightDiagnostics
    evidence: Evidence
    windows: tuple[tuple[Estimate, float], ...]
    logged_return: Estimate
    start_value: float
    logging_start_value: float
    possible: bool | None
    least: float = -math.inf
    greatest: float = math.inf

    def cells(self) -> dict[str, float]:
        """By the names of the csv's columns."""
        cells = {
            columns.OPE_EPISODES: self.weights.n_episodes,
            columns.PAIRED_ESS: self.evidence.effective,
            columns.PAIRED_MAX_WEIGHT: self.evidence.largest,
            columns.PAIRED_TAIL_SHAPE: self.evidence.tail,
            columns.PAIRED_INFORMATIVE: self.evidence.informative,
            columns.PAIRED_CARRYING: self.evidence.carrying,
            columns.LOGGED_INFORMATIVE: self.evidence.logged_informative,
            columns.START_VALUE: self.start_value,
            columns.LOGGING_START_VALUE: self.logging_start_value,
            columns.LEAST_POSSIBLE: self.least,
            columns.GREATEST_POSSIBLE: self.greatest,
        }
        if self.possible is not None:
            cells[columns.VALUES_POSSIBLE] = int(self.possible)
        compared = {columns.PAIRED: self.paired}
        for steps, (estimate, effective) in enumerate(self.windows, start=1):
            compared[columns.window(steps)] = estimate
            cells[columns.window_ess(steps)] = effective
        cells |= {columns.standard_error(name): estimate.standard_error for name, estimate in compared.items()}
        shown = {
            **compared,
            columns.PAIRED_MEAN_WEIGHT: self.weights.mean_weight_interval,
            columns.LOGGED_RETURN: self.logged_return,
        }
        for name, estimate in shown.items():
            cells |= {name: estimate.value, columns.lower(name): estimate.lower, columns.upper(name): estimate.upper}
        return cells


class SelectionScorer:
    """Scores the target policies of all epochs on the same episodes.

    Args:
        dataset: the episodes, which no policy was trained on.
        training: what the training episodes say.
        preset: the agent's discount, the resamples, the largest window.
        seed: of the resamples.
    """

    def __init__(self, dataset: Dataset, training: TrainingReturns, preset: TrainPreset, seed: int) -> None:
        self._training = training
        self._preset = preset
        self._seed = seed
        self._log = EpisodeLog(dataset, preset.agent.discount)
        self._logged_return = self._log.logged_return

    def score(self, model: PolicyModel) -> SelectionScores:
        """The scores of a model's target policy, under the mask that it acts under."""
        (policy,) = policies_of(model, self._log, [model.target])
        return self.score_actions(policy)

    def score_actions(self, policy: ScoredPolicy) -> SelectionScores:
        """The same of a target policy that is given by what it would do."""
        log, discount = self._log, self._log.discount
        log_ratios = log.log_ratios(policy.probabilities)
        # Where nothing comes after a decision, a window is all there is.
        most = 0 if of_decisions(log.dataset) else self._preset.selection.max_window
        windows = window_scores(log.grid, log_ratios, log.rewards, discount, most)
        differences = [paired_difference(log, policy, log_ratios), *(window.difference for window in windows)]
        returns, paired, *followed = self._intervals([self._logged_return, *log.with_estimation(differences)])
        log_weights = trajectory_log_weights(log_ratios)
        weights = WeightDiagnostics.of(log_weights, self._preset.ope.confidence)
        start_value, logging_value = self._start_values(policy)
        possible = None
        if policy.own_values is not None:
            possible = start_value in self._training.possible
            if self._learns_logging_values:
                possible &= self._agrees_with_the_log(logging_value, policy.own_values, returns)
        return SelectionScores(
            paired=paired,
            weights=weights,
            evidence=self._evidence(weights, log_weights, differences[0]),
            windows=tuple(zip(followed, (window.effective_windows for window in windows), strict=True)),
            logged_return=returns,
            start_value=start_value,
            logging_start_value=logging_value,
            possible=possible,
            least=self._training.possible.least.value,
            greatest=self._training.possible.greatest.value,
        )

    def _evidence(self, weights: WeightDiagnostics, log_weights: Floats64, paired: Quotients) -> Evidence:
        logged = influence(self._logged_return)
        carrying = math.nan
        if math.isfinite(paired.value):
            carrying = carrying_episodes(influence(paired), math.sqrt(float((logged**2).mean())))
        returns = discounted_returns(self._log.rewards, self._log.discount)
        return replace(evidence_of(weights, log_weights, returns), carrying=carrying)

    def meaning(self, metric: str) -> str:
        """What a score estimates, in words: policies, and discount and horizon where something follows.

        Args:
            metric: the column of a score.
        """
        target = f"the target policy ({TargetPolicy.of(self._preset.ope)})"
        if of_decisions(self._log.dataset):
            return f"expected reward of a decision of {target}, minus the logging policy's"
        discount = self._log.discount
        steps = columns.window_steps(metric)
        if steps is None:
            words = f"expected return, discount {discount:g}, of {target}, minus the logging policy's"
        else:
            decides = f"{steps} steps" if steps > 1 else "one step"
            words = (
                f"gain in expected return, discount {discount:g}, when {target} decides {decides} "
                "from a logged state on and the logging policy everything after"
            )
        return f"{words}; {horizon(len(self._log.cut), False)}"

    @property
    def _learns_logging_values(self) -> bool:
        return self._preset.agent.algorithm == "one-step"

    def _intervals(self, estimators: list[Quotients]) -> list[Estimate]:
        """The wider of bootstrap and Student's, or Student's where the preset wants no resamples."""
        ope = self._preset.ope
        student = [student_interval(estimator, ope.confidence) for estimator in estimators]
        if not ope.bootstrap_resamples:
            return student
        drawn = intervals(estimators, ope.bootstrap_resamples, ope.confidence, self._seed)
        return [wider(*pair) for pair in zip(drawn, student, strict=True)]

    def _start_values(self, policy: ScoredPolicy) -> tuple[float, float]:
        """Mean start values of the target policy, and of the logging policy where the agent learns those."""
        if policy.own_values is None:
            return math.nan, math.nan
        starts = self._log.dataset.offsets[:-1]
        q_values = policy.own_values.q_values[starts]
        acting = float((policy.probabilities[starts] * q_values).sum(axis=1).mean())
        if not self._learns_logging_values:
            return acting, math.nan
        logged = self._log.dataset
        if logged.behavior_policy is None:
            return acting, float(q_values[np.arange(len(starts)), logged.actions[starts]].mean())
        return acting, float((logged.behavior_policy[starts] * q_values).sum(axis=1).mean())

    def _agrees_with_the_log(self, logging_value: float, values: Values, returns: Estimate) -> bool:
        """Whether values of the logging policy are nearly those that the evaluation episodes show, within their errors.

        The values were learnt from one sample of episodes and are compared with another: both err. Values go on where
        an episode was cut short, and so must the returns; the value of the state reached is the target policy's, which
        is the best that is known.
        """
        data = self._log.dataset
        ends = np.zeros(1) if values.end_values is None else values.end_values
        beyond = float((np.power(self._log.discount, data.lengths) * ends).mean())
        error = math.hypot(student_interval(self._logged_return, 0.95).standard_error, self._training.standard_error)
        if not math.isfinite(error):
            return True
        width = student_quantile((1 + self._preset.ope.confidence) / 2, data.n_episodes - 1) * error
        return abs(logging_value - returns.value - beyond) <= max(width, LOGGED_TOLERANCE * abs(returns.value + beyond))
