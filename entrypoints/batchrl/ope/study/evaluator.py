"""The estimates of one epoch's policy on the evaluation episodes: what the csv shows, fast enough for every epoch.

``scoring`` gives all figures of any policy, with every interval.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchrl.agents.model import PolicyModel
from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract import columns
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.estimators.bandit import direct_method, doubly_robust, inverse_propensity_score
from batchrl.ope.estimators.bootstrap import Estimate, intervals
from batchrl.ope.estimators.doubly_robust import sequential_doubly_robust
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.trajectories import discounted_returns, weighted_importance_sampling
from batchrl.ope.estimators.weights import CumulativeWeights, WeightDiagnostics, trajectory_log_weights
from batchrl.ope.report.estimand import Estimand
from batchrl.ope.report.report import PolicyReport, estimate_json
from batchrl.ope.study.decisions import DecisionScorer
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy, averaged, of_decisions, policies_of
from batchrl.ope.study.possible import PossibleValues
from batchrl.ope.study.scoring import Scorer, ScoreSettings
from presets.schema import OpeSettings

COACH_WIS_DISCOUNT = 0.99


@dataclass(frozen=True)
class PolicyEstimates:
    """What the log says about one policy.

    Args:
        estimates: by column name (``batchrl.contract.columns.ESTIMATES``).
        estimands: what each of them estimates.
        weights: of the trajectories.
        n_episodes: episodes that were used.
    """

    estimates: Mapping[str, Estimate]
    estimands: Mapping[str, Estimand]
    weights: WeightDiagnostics
    n_episodes: int

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; undefined numbers become null."""
        return {
            "episodes": self.n_episodes,
            "effective_episodes": self.weights.effective_episodes,
            "estimates": {
                name: {**estimate_json(estimate), "estimand": str(self.estimands[name])}
                for name, estimate in self.estimates.items()
            },
        }


class Evaluator:
    """Scores policies on the same episodes.

    Args:
        dataset: the episodes, which no policy was trained on.
        modelled_rewards: ``[N, A]``, the reward model's output at each state.
        settings: the preset's section ``ope``.
        discount: the agent's.
        seed: of the resamples.
        possible: what a policy can be worth; None for what these episodes allow.
    """

    def __init__(
        self,
        dataset: Dataset,
        modelled_rewards: Floats64,
        settings: OpeSettings,
        discount: float,
        seed: int,
        possible: PossibleValues | None = None,
    ) -> None:
        self._log = EpisodeLog(dataset, discount)
        self._modelled = modelled_rewards
        self._modelled_taken = self._log.grid.pad(self._log.taken(modelled_rewards))
        self._wis_discount = COACH_WIS_DISCOUNT if settings.wis_discount == "legacy099" else discount
        self._wis_returns = discounted_returns(self._log.rewards, self._wis_discount)
        self._settings = settings
        self._seed = seed
        self._possible = possible

    def score(self, policy: PolicyModel) -> PolicyEstimates:
        """The csv's five estimates of the policy; V and Q are those of the policy's own network."""
        (scored,) = policies_of(policy, self._log, [policy.target])
        return self.score_actions(scored)

    def score_actions(self, policy: ScoredPolicy, wanted: Collection[str] = columns.ESTIMATES) -> PolicyEstimates:
        """The same of a policy that is given by what it would do; without values of its own, V and Q count as 0.

        Args:
            policy: the policy.
            wanted: which of the five.
        """
        log, settings = self._log, self._settings
        log_ratios = log.log_ratios(policy.probabilities)
        log_weights = trajectory_log_weights(log_ratios)
        known = self._of_the_csv(policy, log_ratios, log_weights)
        estimators = {name: quotients for name, quotients in known.items() if name in wanted}
        quotients = log.with_estimation(list(estimators.values()))
        estimates = intervals(quotients, settings.bootstrap_resamples, settings.confidence, self._seed)
        return PolicyEstimates(
            estimates=dict(zip(estimators, estimates, strict=True)),
            estimands={name: self._estimand(name, policy) for name in estimators},
            weights=WeightDiagnostics.of(log_weights, settings.confidence),
            n_episodes=log.dataset.n_episodes,
        )

    def report(self, policies: Sequence[ScoredPolicy]) -> list[PolicyReport]:
        """All figures of policies, with every interval, and differences against the logging policy."""
        ope = self._settings
        settings = ScoreSettings(ope.bootstrap_resamples, ope.confidence, self._seed, possible=self._possible)
        scorer = (DecisionScorer if of_decisions(self._log.dataset) else Scorer)(self._log, settings, self._modelled)
        return [scorer.score(policy).report for policy in policies]

    def policies_of(self, model: PolicyModel, targets: Sequence[TargetPolicy]) -> list[ScoredPolicy]:
        """What several target policies of one model would do on the episodes."""
        return policies_of(model, self._log, targets)

    def _of_the_csv(self, policy: ScoredPolicy, log_ratios: Floats64, log_weights: Floats64) -> dict[str, Quotients]:
        log, grid, rewards = self._log, self._log.grid, self._log.rewards
        modelled = grid.pad(averaged(policy.probabilities, self._modelled))
        values = log.action_values(policy.probabilities, policy.own_values)
        weights = CumulativeWeights.of(log_ratios)
        residuals = values.residuals(grid, rewards, log.discount)
        return {
            columns.IPS: inverse_propensity_score(grid, log_ratios, rewards),
            columns.DM: direct_method(grid, modelled),
            columns.DR: doubly_robust(grid, log_ratios, rewards, self._modelled_taken, modelled),
            columns.WIS: weighted_importance_sampling(log_weights, self._wis_returns),
            columns.SDR: sequential_doubly_robust(weights, residuals, values.values, log.discount),
        }

    def _estimand(self, name: str, policy: ScoredPolicy) -> Estimand:
        discount = self._wis_discount if name == columns.WIS else self._log.discount
        return Estimand.of(name, policy.label, discount, len(self._log.cut), policy.knows_end_values)
