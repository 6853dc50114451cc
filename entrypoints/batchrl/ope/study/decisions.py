"""Policies scored on a log of single decisions: a contextual bandit's estimators, with the resamples of ``scoring``."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.contract.interval import Interval
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators import contextual
from batchrl.ope.estimators.betting import importance_sampling_bounds
from batchrl.ope.estimators.contextual import ModelledRewards
from batchrl.ope.estimators.doubly_robust import ActionValues, direct_method_value
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.reward_model import FOLDS, LEAST_DECISIONS, CrossFittedRewards
from batchrl.ope.estimators.sample import Sample
from batchrl.ope.estimators.shrinkage import shrunk_doubly_robust, switch_doubly_robust
from batchrl.ope.report.decisions import doubt_of_decision_figure
from batchrl.ope.report.estimand import DECISION, LOGGING_POLICY, Estimand
from batchrl.ope.report.report import Tuned, Window
from batchrl.ope.report.words import OF_DECISIONS
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy, averaged
from batchrl.ope.study.scoring import Found, Scored, Scorer, ScoreSettings


class DecisionScorer(Scorer):
    """Scores any number of policies on the same decisions and resamples.

    The reward model of DM and of the doubly robust estimates is the first of these that there is: a policy's fitted
    values; the given model; one that is fitted to these decisions in folds.

    Args:
        log: of single decisions (``logged.of_decisions``).
        settings: of the intervals; names of estimators of a return mean what they are where there is one step.
        modelled_rewards: ``[n, A]``, a reward model's output in each context, fitted on other decisions.
    """

    words = OF_DECISIONS

    def __init__(
        self, log: EpisodeLog, settings: ScoreSettings | None = None, modelled_rewards: Floats64 | None = None
    ) -> None:
        super().__init__(log, settings, modelled_rewards)
        if (wanted := self.settings.estimators) is not None:
            same = {names.OF_ONE_STEP.get(name, name) for name in wanted}
            if names.DM_VALUE in same:  # what a short name calls the direct method of either kind
                same.add(columns.DM)
            self.settings = replace(self.settings, estimators=same)

    def score(self, policy: ScoredPolicy) -> Scored:
        """All figures of one policy; differences are against the logging policy.

        Raises:
            InputError: its arrays do not fit the log, or are not finite.
        """
        scored = super().score(policy)
        report = scored.report
        doubt = None if report.doubt is None else OF_DECISIONS.said(report.doubt)
        figures = {
            name: figure if figure.doubt is None else replace(figure, doubt=OF_DECISIONS.said(figure.doubt))
            for name, figure in report.figures.items()
        }
        return replace(scored, report=replace(report, doubt=doubt, figures=figures))

    @property
    def logged_estimand(self) -> Estimand:
        """What ``logged`` is."""
        return Estimand(LOGGING_POLICY, None, DECISION)

    @property
    def reward_model(self) -> str:
        """Which reward model a policy without fitted values is scored with, in words; empty where there is none."""
        if self._modelled is not None:
            return "The reward model was fitted on other decisions."
        if self._cross_fitted is None:
            return "There is no reward model: too few decisions."
        folds = min(FOLDS, self.log.dataset.n_episodes)
        return f"The reward model of a decision was fitted without it, on {folds - 1} of {folds} parts of the log."

    @cached_property
    def _cross_fitted(self) -> CrossFittedRewards | None:
        data = self.log.dataset
        if data.n_episodes < LEAST_DECISIONS:
            return None
        return CrossFittedRewards(data.states, data.actions, data.rewards, data.n_actions, self.settings.seed)

    def _found(self, policy: ScoredPolicy, sample: Sample) -> Found:
        with np.errstate(over="ignore"):
            weights = np.exp(sample.log_ratios[:, 0])
        rewards, wanted = sample.rewards[:, 0], self.settings.estimators
        found: dict[str, Quotients] = {
            columns.IPS: contextual.inverse_propensity_score(weights, rewards),
            names.SNIPS: contextual.self_normalised(weights, rewards),
        }
        tuned: dict[str, Tuned] = {}
        if sample.agent_values is not None:
            found[names.DM_VALUE] = direct_method_value(sample.agent_values.values)
        if (modelled := self._rewards_of(policy, sample.fitted_values)) is not None:
            found[columns.DM] = contextual.direct_method(modelled)
            found[columns.DR] = contextual.doubly_robust(weights, rewards, modelled)
            found[names.SNDR] = contextual.self_normalised_doubly_robust(weights, rewards, modelled)
            if np.isfinite(weights).all():
                shrunk = {
                    names.SWITCH_DR: ("tau", switch_doubly_robust(weights, rewards, modelled)),
                    names.SHRUNK_DR: ("lambda", shrunk_doubly_robust(weights, rewards, modelled)),
                }
                found |= {name: one.estimate for name, (_, one) in shrunk.items()}
                tuned = {name: Tuned(letter, one.parameter, one.changed) for name, (letter, one) in shrunk.items()}
        return Found({name: one for name, one in found.items() if wanted is None or name in wanted}, tuned)

    def _rewards_of(self, policy: ScoredPolicy, fitted: ActionValues | None) -> ModelledRewards | None:
        if fitted is not None:
            return ModelledRewards(fitted.q_taken[:, 0], fitted.values[:, 0])
        if self._modelled is not None:
            return ModelledRewards(self.log.taken(self._modelled), averaged(policy.probabilities, self._modelled))
        return None if self._cross_fitted is None else self._cross_fitted.of_policy(policy.probabilities)

    def _bounds(self, sample: Sample) -> dict[str, Interval]:
        confidence = self.settings.confidence
        # Each decision is rewarded once, so that the range of rewards is that of returns, 0 in it or not.
        found = importance_sampling_bounds(sample.log_weights, sample.returns, self.reward_range, confidence)
        return {columns.IPS: found}

    def _estimand(self, name: str, policy: ScoredPolicy) -> Estimand:
        return Estimand(policy.label, None, DECISION)

    def _doubt(self, name: str, of_weights: str | None, found: Found) -> str | None:
        return doubt_of_decision_figure(name, of_weights, found.tuned.get(name))

    def _window(self, policy: str, sample: Sample) -> Window | None:
        return None
