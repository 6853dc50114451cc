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
from batchrl.ope.bootstrap import Estimate, intervals
from batchrl.ope.estimators import (
    WeightDiagnostics,
    direct_method,
    discounted_returns,
    doubly_robust,
    inverse_propensity_score,
    sequential_doubly_robust,
    trajectory_log_weights,
    weighted_importance_sampling,
)
from batchrl.ope.grid import Grid
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
        """Estimates of the policy's value, with intervals; V and Q are those of the policy's own network."""
        grid, data = self._grid, self._dataset
        values = policy.q_values(data.states).astype(np.float64)
        probabilities = policy.action_probabilities(data.states)
        with np.errstate(divide="ignore"):
            log_ratios = grid.pad(np.log(_taken(probabilities, data)) - self._log_behavior)
        modelled = grid.pad((probabilities * self._modelled).sum(axis=1))
        log_weights = trajectory_log_weights(log_ratios)
        quotients = {
            columns.IPS: inverse_propensity_score(grid, log_ratios, self._rewards),
            columns.DM: direct_method(grid, modelled),
            columns.DR: doubly_robust(grid, log_ratios, self._rewards, self._modelled_taken, modelled),
            columns.WIS: weighted_importance_sampling(log_weights, self._returns),
            columns.SDR: sequential_doubly_robust(
                grid,
                log_ratios,
                self._rewards,
                q_taken=grid.pad(_taken(values, data)),
                values=grid.pad((probabilities * values).sum(axis=1)),
                end_values=self._end_values(policy),
                discount=self._discount,
            ),
        }
        estimates = intervals(
            list(quotients.values()), self._settings.bootstrap_resamples, self._settings.confidence, self._seed
        )
        return PolicyEstimates(
            dict(zip(quotients, estimates, strict=True)), WeightDiagnostics.of(log_weights), data.n_episodes
        )

    def _end_values(self, policy: PolicyModel) -> Floats64:
        result = np.zeros(self._dataset.n_episodes)
        if len(self._cut):
            values = policy.q_values(self._cut_states).astype(np.float64)
            result[self._cut] = (policy.action_probabilities(self._cut_states) * values).sum(axis=1)
        return result


def _taken(values: Floats64, dataset: Dataset) -> Floats64:
    """``[N]`` from ``[N, A]``: the entries of the logged actions."""
    return values[np.arange(dataset.n_transitions), dataset.actions]
