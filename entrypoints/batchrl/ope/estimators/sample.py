"""All estimators of the return at once, from one policy on one set of episodes: weights are accumulated once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, cached_property

from batchrl.contract import estimators as names
from batchrl.contract.interval import Interval
from batchrl.data.dataset import Floats64
from batchrl.ope.estimators import betting, marginal, trajectories
from batchrl.ope.estimators.doubly_robust import (
    ActionValues,
    direct_method_value,
    sequential_doubly_robust,
    weighted_doubly_robust,
)
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.magic import MagicSettings, magic
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.weights import CumulativeWeights, trajectory_log_weights

Maker = Callable[[], Quotients]


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
        state_weights: ``[n, T]``, see ``marginal.weighted_state_marginal`` for the padding; None: not known.
        state_action_weights: ``[n, T]``, see ``marginal.state_action_marginal``; None: not known.
        pairs_mean_weight: expectation of those weights, see ``marginal.weighted_state_action_marginal``.
    """

    grid: Grid
    log_ratios: Floats64
    rewards: Floats64
    discount: float
    agent_values: ActionValues | None = None
    fitted_values: ActionValues | None = None
    state_weights: Floats64 | None = None
    state_action_weights: Floats64 | None = None
    pairs_mean_weight: float = 1.0

    @cached_property
    def weights(self) -> CumulativeWeights:
        """Of all steps."""
        return CumulativeWeights.of(self.log_ratios)

    @cached_property
    def log_weights(self) -> Floats64:
        """``[n]``, of the trajectories."""
        return trajectory_log_weights(self.log_ratios)

    @cached_property
    def returns(self) -> Floats64:
        """``[n]``, the discounted returns."""
        return trajectories.discounted_returns(self.rewards, self.discount)


def trajectory_estimators(
    sample: Sample, wanted: Collection[str] | None = None, magic_settings: MagicSettings | None = None
) -> dict[str, Quotients]:
    """The estimators that the sample has the arrays for, by name.

    Args:
        sample: the policy on the episodes.
        wanted: names (``batchrl.contract.estimators``) of those to make; None for all. MAGIC is the one that takes
            long: it resamples.
        magic_settings: None for the usual ones.
    """
    makers = _weighted(sample) | _with_values(sample, magic_settings or MagicSettings()) | _marginal(sample)
    return {name: make() for name, make in makers.items() if wanted is None or name in wanted}


def value_bounds(sample: Sample, reward_range: tuple[float, float], confidence: float) -> dict[str, Interval]:
    """High-confidence bounds of the value (``betting``), by name of the estimator that each pair belongs to.

    Args:
        sample: the policy on the episodes.
        reward_range: no reward of a step can be lower or higher.
        confidence: probability that the value is on the right side of each bound.
    """
    rewards, discount = sample.rewards, sample.discount
    returns = betting.return_range(rewards.shape[1], reward_range, discount)
    return {
        names.IS: betting.importance_sampling_bounds(sample.log_weights, sample.returns, returns, confidence),
        names.PDIS: betting.per_decision_bounds(sample.weights, rewards, reward_range, discount, confidence),
    }


def _weighted(sample: Sample) -> dict[str, Maker]:
    """Those that need nothing but ratios and rewards."""
    rewards, discount = sample.rewards, sample.discount
    return {
        names.IS: lambda: trajectories.importance_sampling(sample.log_weights, sample.returns),
        names.PDIS: lambda: trajectories.per_decision_importance_sampling(sample.weights, rewards, discount),
        names.WIS: lambda: trajectories.weighted_importance_sampling(sample.log_weights, sample.returns),
        names.PDWIS: lambda: trajectories.per_decision_weighted_importance_sampling(sample.weights, rewards, discount),
    }


def _with_values(sample: Sample, magic_settings: MagicSettings) -> dict[str, Maker]:
    """Those that rest on values of the policy."""
    makers: dict[str, Maker] = {}
    if sample.agent_values is not None:
        own = sample.agent_values.values
        makers[names.DM_VALUE] = lambda: direct_method_value(own)
    if sample.fitted_values is not None:
        fitted = sample.fitted_values.values
        makers[names.FQE] = lambda: direct_method_value(fitted)
    inside = sample.fitted_values or sample.agent_values
    if inside is None:
        return makers
    chosen, discount = inside, sample.discount

    @cache
    def residuals() -> Floats64:
        return chosen.residuals(sample.grid, sample.rewards, discount)

    @cache
    def weighted() -> Quotients:
        return weighted_doubly_robust(sample.weights, residuals(), chosen.values, discount)

    makers[names.SDR] = lambda: sequential_doubly_robust(sample.weights, residuals(), chosen.values, discount)
    makers[names.WDR] = weighted
    makers[names.MAGIC] = lambda: magic(weighted(), magic_settings)
    return makers


def _marginal(sample: Sample) -> dict[str, Maker]:
    """Those whose weights are given."""
    makers: dict[str, Maker] = {}
    ratios, rewards, discount = sample.log_ratios, sample.rewards, sample.discount
    if sample.state_weights is not None:
        states = sample.state_weights
        makers[names.STATE_MARGINAL] = lambda: marginal.state_marginal(ratios, states, rewards, discount)
        makers[names.WEIGHTED_STATE_MARGINAL] = lambda: marginal.weighted_state_marginal(
            ratios, states, rewards, discount
        )
    if sample.state_action_weights is not None:
        pairs, grid = sample.state_action_weights, sample.grid
        makers[names.STATE_ACTION_MARGINAL] = lambda: marginal.state_action_marginal(grid, pairs, rewards, discount)
        makers[names.WEIGHTED_STATE_ACTION_MARGINAL] = lambda: marginal.weighted_state_action_marginal(
            pairs, rewards, discount, sample.pairs_mean_weight
        )
    return makers
