"""All estimators of the return at once, from one policy on one set of episodes: weights are accumulated once."""

from __future__ import annotations

from dataclasses import dataclass

from batchrl.contract import estimators as names
from batchrl.data.dataset import Floats64
from batchrl.ope.doubly_robust import (
    ActionValues,
    direct_method_value,
    sequential_doubly_robust,
    weighted_doubly_robust,
)
from batchrl.ope.grid import Grid
from batchrl.ope.quotients import Quotients
from batchrl.ope.trajectories import (
    discounted_returns,
    importance_sampling,
    per_decision_importance_sampling,
    per_decision_weighted_importance_sampling,
    weighted_importance_sampling,
)
from batchrl.ope.weights import CumulativeWeights, trajectory_log_weights


@dataclass(frozen=True)
class Sample:
    """One policy on n episodes, padded to T steps; 0 in the padding.

    Args:
        grid: of the episodes.
        log_ratios: ``[n, T]``, logs of ``pi(a_it | s_it) / pi_b(a_it | s_it)``; -inf where the policy never acts so.
        rewards: ``[n, T]``.
        discount: of one step.
        agent_values: the policy's own value function, if it has one.
        fitted_values: the policy's fitted Q evaluation, if there is one; it stands in for the agent's values inside the
            doubly robust estimates.
    """

    grid: Grid
    log_ratios: Floats64
    rewards: Floats64
    discount: float
    agent_values: ActionValues | None = None
    fitted_values: ActionValues | None = None


def trajectory_estimators(sample: Sample) -> dict[str, Quotients]:
    """The estimators that the sample has the arrays for, by name (``batchrl.contract.estimators``)."""
    rewards, discount = sample.rewards, sample.discount
    weights = CumulativeWeights.of(sample.log_ratios)
    log_weights = trajectory_log_weights(sample.log_ratios)
    returns = discounted_returns(rewards, discount)
    found = {
        names.IS: importance_sampling(log_weights, returns),
        names.PDIS: per_decision_importance_sampling(weights, rewards, discount),
        names.WIS: weighted_importance_sampling(log_weights, returns),
        names.PDWIS: per_decision_weighted_importance_sampling(weights, rewards, discount),
    }
    if sample.agent_values is not None:
        found[names.DM_VALUE] = direct_method_value(sample.agent_values.values)
    if sample.fitted_values is not None:
        found[names.FQE] = direct_method_value(sample.fitted_values.values)
    inside = sample.fitted_values or sample.agent_values
    if inside is not None:
        residuals = inside.residuals(sample.grid, rewards, discount)
        found[names.SDR] = sequential_doubly_robust(weights, residuals, inside.values, discount)
        found[names.WDR] = weighted_doubly_robust(weights, residuals, inside.values, discount)
    return found
