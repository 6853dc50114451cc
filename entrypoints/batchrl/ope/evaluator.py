"""The estimates of one epoch's policy on the evaluation episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from batchrl.agents.model import PolicyModel
from batchrl.contract import columns
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.bandit import direct_method, doubly_robust, inverse_propensity_score
from batchrl.ope.bootstrap import Estimate, intervals
from batchrl.ope.doubly_robust import ActionValues
from batchrl.ope.estimators import Sample, trajectory_estimators
from batchrl.ope.grid import Grid
from batchrl.ope.quotients import Quotients
from batchrl.ope.trajectories import discounted_returns, weighted_importance_sampling
from batchrl.ope.weights import WeightDiagnostics, trajectory_log_weights
from presets.schema import OpeSettings

COACH_WIS_DISCOUNT = 0.99


@dataclass(frozen=True)
class PolicyEstimates:
    """What the log says about one policy.

    Args:
        estimates: by column name (``batchrl.contract.columns.ESTIMATES``).
        weights: of the trajectories.
        n_episodes: episodes that were used.
    """

    estimates: Mapping[str, Estimate]
    weights: WeightDiagnostics
    n_episodes: int

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; undefined numbers become null."""
        return {
            "episodes": self.n_episodes,
            "effective_episodes": self.weights.effective_episodes,
            "estimates": {
                name: {end: number if math.isfinite(number) else None for end, number in asdict(estimate).items()}
                for name, estimate in self.estimates.items()
            },
        }


@dataclass(frozen=True)
class _Sample:
    """One policy on the episodes, padded; 0 in the padding.

    Args:
        log_ratios: ``[n, T]``.
        modelled: ``[n, T]``, ``sum_a pi(a | s_it) r_hat(s_it, a)``.
        q_taken: ``[n, T]``, ``Q(s_it, a_it)``.
        values: ``[n, T]``, ``V(s_it)``.
        end_values: ``[n]``, ``V`` after the last step where the episode was cut short, else 0.
    """

    log_ratios: Floats64
    modelled: Floats64
    q_taken: Floats64
    values: Floats64
    end_values: Floats64


class Evaluator:
    """Scores policies on the same episodes.

    Args:
        dataset: the episodes, which no policy was trained on.
        modelled_rewards: ``[N, A]``, the reward model's output at each state.
        settings: the preset's section ``ope``.
        discount: the agent's.
        seed: of the resamples.
    """

    def __init__(
        self, dataset: Dataset, modelled_rewards: Floats64, settings: OpeSettings, discount: float, seed: int
    ) -> None:
        self._dataset = dataset
        self._grid = Grid.of(dataset.lengths)
        self._modelled = modelled_rewards
        self._modelled_taken = self._grid.pad(_taken(modelled_rewards, dataset))
        self._log_behavior = np.log(_taken(dataset.behavior_policy, dataset))
        self._rewards = self._grid.pad(dataset.rewards)
        wis_discount = COACH_WIS_DISCOUNT if settings.wis_discount == "legacy099" else discount
        self._returns = discounted_returns(self._rewards, wis_discount)
        ends = dataset.offsets[1:] - 1
        self._cut = np.flatnonzero(~dataset.terminal[ends])
        self._cut_states = dataset.next_states[ends[self._cut]]
        self._settings = settings
        self._discount = discount
        self._seed = seed

    def score(self, policy: PolicyModel) -> PolicyEstimates:
        """The csv's five estimates of the policy; V and Q are those of the policy's own network."""
        sample = self._sample(policy)
        return self._with_intervals(sample, self._of_the_csv(sample))

    def score_fully(self, policy: PolicyModel) -> PolicyEstimates:
        """The five, and the trajectory estimators that have no column."""
        sample = self._sample(policy)
        return self._with_intervals(
            sample, trajectory_estimators(self._trajectories(sample)) | self._of_the_csv(sample)
        )

    def _of_the_csv(self, sample: _Sample) -> dict[str, Quotients]:
        grid, ratios, rewards = self._grid, sample.log_ratios, self._rewards
        return {
            columns.IPS: inverse_propensity_score(grid, ratios, rewards),
            columns.DM: direct_method(grid, sample.modelled),
            columns.DR: doubly_robust(grid, ratios, rewards, self._modelled_taken, sample.modelled),
            columns.WIS: weighted_importance_sampling(trajectory_log_weights(ratios), self._returns),
            columns.SDR: trajectory_estimators(self._trajectories(sample))[columns.SDR],
        }

    def _trajectories(self, sample: _Sample) -> Sample:
        values = ActionValues(sample.q_taken, sample.values, sample.end_values)
        return Sample(self._grid, sample.log_ratios, self._rewards, self._discount, agent_values=values)

    def _with_intervals(self, sample: _Sample, estimators: dict[str, Quotients]) -> PolicyEstimates:
        settings = self._settings
        estimates = intervals(list(estimators.values()), settings.bootstrap_resamples, settings.confidence, self._seed)
        weights = WeightDiagnostics.of(trajectory_log_weights(sample.log_ratios))
        return PolicyEstimates(dict(zip(estimators, estimates, strict=True)), weights, self._dataset.n_episodes)

    def _sample(self, policy: PolicyModel) -> _Sample:
        grid, data = self._grid, self._dataset
        values, probabilities = policy.evaluate(data.states)
        with np.errstate(divide="ignore"):
            log_ratios = np.log(_taken(probabilities, data)) - self._log_behavior
        end_values = np.zeros(data.n_episodes)
        if len(self._cut):
            cut_values, cut_probabilities = policy.evaluate(self._cut_states)
            end_values[self._cut] = (cut_probabilities * cut_values).sum(axis=1)
        return _Sample(
            log_ratios=grid.pad(log_ratios),
            modelled=grid.pad((probabilities * self._modelled).sum(axis=1)),
            q_taken=grid.pad(_taken(values.astype(np.float64), data)),
            values=grid.pad((probabilities * values).sum(axis=1)),
            end_values=end_values,
        )


def _taken(values: Floats64, dataset: Dataset) -> Floats64:
    """``[N]`` from ``[N, A]``: the entries of the logged actions."""
    return values[np.arange(dataset.n_transitions), dataset.actions]
