"""A golden vector, the invariants of the estimators, and their special cases."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract.errors import InputError
from batchrl.ope.estimators.bandit import direct_method, doubly_robust, inverse_propensity_score
from batchrl.ope.estimators.bootstrap import intervals
from batchrl.ope.estimators.doubly_robust import (
    ActionValues,
    direct_method_value,
    sequential_doubly_robust,
    weighted_doubly_robust,
)
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.magic import MagicSettings, magic
from batchrl.ope.estimators.marginal import (
    state_action_marginal,
    state_marginal,
    weighted_state_action_marginal,
    weighted_state_marginal,
)
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.trajectories import (
    discounted_returns,
    importance_sampling,
    per_decision_importance_sampling,
    per_decision_weighted_importance_sampling,
    weighted_importance_sampling,
)
from batchrl.ope.estimators.weights import CumulativeWeights, WeightDiagnostics, trajectory_log_weights

GAMMA = 0.99

# Two episodes, A of two steps and B of one; the behaviour policy takes each action half of the time.
LENGTHS = np.array([2, 1])
ACTIONS = np.array([0, 1, 1])
REWARDS = np.array([1.0, 0.5, 2.0])
POLICY = np.array([[0.8, 0.2], [0.6, 0.4], [0.7, 0.3]])
MODELLED = np.array([[1.0, 0.5], [0.5, 1.0], [1.0, 0.0]])
VALUES = np.array([[2.0, 1.0], [0.5, 0.8], [1.0, 0.5]])


class Case:
    def __init__(self, policy: np.ndarray = POLICY, rewards: np.ndarray = REWARDS, values: np.ndarray = VALUES) -> None:
        rows = np.arange(3)
        self.grid = Grid.of(LENGTHS)
        with np.errstate(divide="ignore"):
            self.ratios = self.grid.pad(np.log(policy[rows, ACTIONS] / 0.5))
        self.rewards = self.grid.pad(rewards)
        self.modelled = self.grid.pad((policy * MODELLED).sum(axis=1))
        self.modelled_taken = self.grid.pad(MODELLED[rows, ACTIONS])
        self.q_taken = self.grid.pad(values[rows, ACTIONS])
        self.values = self.grid.pad((policy * values).sum(axis=1))
        self.weights = trajectory_log_weights(self.ratios)
        self.cumulative = CumulativeWeights.of(self.ratios)

    def wdr(self, end_values: np.ndarray | None = None) -> Quotients:
        return self._robust(weighted_doubly_robust, end_values)

    def sdr(self, end_values: np.ndarray | None = None) -> Quotients:
        return self._robust(sequential_doubly_robust, end_values)

    def sdr_of_each(self, end_values: np.ndarray | None = None) -> np.ndarray:
        return self.sdr(end_values).blocks[0].numerators[:, 0]

    def _robust(self, estimator: Callable[..., Quotients], end_values: np.ndarray | None) -> Quotients:
        values = ActionValues(self.q_taken, self.values, np.zeros(2) if end_values is None else end_values)
        residuals = values.residuals(self.grid, self.rewards, GAMMA)
        return estimator(self.cumulative, residuals, self.values, GAMMA)


def test_golden_values_of_the_five_columns() -> None:
    case = Case()
    returns = discounted_returns(case.rewards, GAMMA)
    np.testing.assert_allclose(np.exp(case.weights), [1.28, 0.6])
    np.testing.assert_allclose(returns, [1.495, 2.0])
    found = {
        "ips": inverse_propensity_score(case.grid, case.ratios, case.rewards).value,
        "dm": direct_method(case.grid, case.modelled).value,
        "dr": doubly_robust(case.grid, case.ratios, case.rewards, case.modelled_taken, case.modelled).value,
        "sdr": case.sdr().value,
        "wis": weighted_importance_sampling(case.weights, returns).value,
        "ess": WeightDiagnostics.of(case.weights).effective_episodes,
    }
    golden = {"ips": 1.0666667, "dm": 0.7666667, "dr": 1.0333333, "sdr": 1.27596, "wis": 1.6561702, "ess": 1.7686149}
    assert found == pytest.approx(golden, abs=5e-8)
    np.testing.assert_allclose(case.sdr_of_each(), [0.80192, 1.75])


def test_golden_values_of_the_trajectory_estimators() -> None:
    case = Case()
    returns = discounted_returns(case.rewards, GAMMA)
    found = {
        "is": importance_sampling(case.weights, returns).value,
        "pdis": per_decision_importance_sampling(case.cumulative, case.rewards, GAMMA).value,
        "pdwis": per_decision_weighted_importance_sampling(case.cumulative, case.rewards, GAMMA).value,
        "wdr": case.wdr().value,
    }
    assert found == pytest.approx({"is": 1.5568, "pdis": 1.7168, "pdwis": 1.6097485, "wdr": 1.2510054}, abs=5e-8)


def test_WDR_adds_the_value_after_an_end_that_was_cut_short() -> None:
    case = Case()
    weights_at_the_first_step = np.array([1.6, 0.6])
    share = weights_at_the_first_step[1] / weights_at_the_first_step.sum()
    assert case.wdr(np.array([0.0, 3.0])).value == pytest.approx(case.wdr().value + GAMMA * share * 3.0)
    share_at_the_second_step = 1.28 / (1.28 + 0.6)
    cut_long = case.wdr(np.array([2.0, 0.0])).value
    assert cut_long == pytest.approx(case.wdr().value + GAMMA**2 * share_at_the_second_step * 2.0)


def test_an_undefined_estimate_does_not_spoil_the_others() -> None:
    defined = Quotients.one(np.arange(10.0), np.ones(10))
    undefined = Quotients.one(np.zeros(10), np.zeros(10))
    [first, second] = intervals([undefined, defined], 100, 0.95, seed=0)
    assert np.isnan(first.value)
    assert second == intervals([defined], 100, 0.95, seed=0)[0]


def test_scoring_the_logging_policy_gives_the_mean_return() -> None:
    case = Case(policy=np.full((3, 2), 0.5), values=np.zeros((3, 2)))
    returns = discounted_returns(case.rewards, GAMMA)
    assert weighted_importance_sampling(case.weights, returns).value == pytest.approx(returns.mean())
    assert inverse_propensity_score(case.grid, case.ratios, case.rewards).value == pytest.approx(REWARDS.mean())
    assert case.sdr().value == pytest.approx(returns.mean())
    assert importance_sampling(case.weights, returns).value == pytest.approx(returns.mean())
    for estimator in (per_decision_importance_sampling, per_decision_weighted_importance_sampling):
        assert estimator(case.cumulative, case.rewards, GAMMA).value == pytest.approx(returns.mean())
    assert case.wdr().value == pytest.approx(returns.mean())
    weights = WeightDiagnostics.of(case.weights)
    assert (weights.effective_episodes, weights.mean_weight, weights.max_normalised_weight) == pytest.approx(
        (2, 1, 0.5)
    )


def test_a_reward_model_that_is_right_makes_DR_equal_to_DM() -> None:
    case = Case(rewards=MODELLED[np.arange(3), ACTIONS])
    robust = doubly_robust(case.grid, case.ratios, case.rewards, case.modelled_taken, case.modelled)
    assert robust.value == pytest.approx(direct_method(case.grid, case.modelled).value)


def test_an_end_that_was_cut_short_bootstraps_its_value() -> None:
    case = Case()
    plain, cut = case.sdr_of_each(), case.sdr_of_each(np.array([0.0, 3.0]))
    assert cut[0] == plain[0]
    ratio = POLICY[2, 1] / 0.5
    assert cut[1] == pytest.approx(plain[1] + ratio * GAMMA * 3.0)
    last_of_the_long_one = case.sdr_of_each(np.array([2.0, 0.0]))
    assert last_of_the_long_one[0] == pytest.approx(plain[0] + 1.6 * GAMMA * 0.8 * GAMMA * 2.0)


def test_golden_values_where_both_ends_were_cut_short() -> None:
    """Worked out by hand: V of the state after A is 2, after B 3; discount 0.99, weights 1.6, 1.28 and 0.6."""
    ends = np.array([2.0, 3.0])
    of_a = 0.80192 + 1.28 * 0.99**2 * 2
    of_b = 1.75 + 0.6 * 0.99 * 3
    np.testing.assert_allclose(Case().sdr_of_each(ends), [of_a, of_b])
    more = 0.99**2 * (1.28 / 1.88) * 2 + 0.99 * (0.6 / 2.2) * 3
    assert Case().wdr(ends).value == pytest.approx(1.2510054 + more, abs=5e-8)


def test_golden_value_of_the_direct_method_by_value() -> None:
    assert direct_method_value(Case().values).value == pytest.approx((1.8 + 0.85) / 2)


def test_golden_value_of_MAGIC() -> None:
    """g of -1, 0 and 1 are V, one corrected step, and WDR; MAGIC mixes them with weights that sum to 1."""
    case = Case()
    correction = (1.6 * (1 - 2 + GAMMA * 0.62) + 0.6 * (2 - 0.5)) / 2.2
    partial = [1.325, 1.325 + correction, 1.2510054]
    mixed = magic(case.wdr(), MagicSettings(resamples=500))
    shares = mixed.blocks[1].factors / case.wdr().blocks[1].factors
    weights = [1 - shares[0], shares[0] - shares[1], shares[1]]
    assert mixed.value == pytest.approx(float(np.dot(weights, partial)), abs=5e-8)
    assert min(weights) >= 0
    # Nothing is biased when V is the whole truth and never corrected: any mixture is the same number.
    true = Case(rewards=np.array([1.0, 0.5, 2.0]), values=np.array([[1.495, 1.495], [0.5, 0.5], [2.0, 2.0]]))
    assert magic(true.wdr(), MagicSettings()).value == pytest.approx(true.wdr().value)


def test_golden_values_of_marginal_weights() -> None:
    """State weights 1, 0.5 (A) and 1 (B), 0.9 for having ended; pair weights 1.2, 0.4 and 0.8."""
    case = Case()
    states = case.grid.pad(np.array([1.0, 0.5, 1.0]), absorbing=np.array([1.0, 0.9]))
    plain = (1.6 * 1 + 0.6 * 2 + GAMMA * 0.5 * 0.8 * 0.5) / 2
    assert state_marginal(case.ratios, states, case.rewards, GAMMA).value == pytest.approx(plain)
    normalised = (1.6 * 1 + 0.6 * 2) / 2.2 + GAMMA * 0.5 * 0.8 * 0.5 / (0.4 + 0.9)
    assert weighted_state_marginal(case.ratios, states, case.rewards, GAMMA).value == pytest.approx(normalised)
    pairs = case.grid.pad(np.array([1.2, 0.4, 0.8]))
    summed = 1.2 * 1 + 0.4 * 0.5 + 0.8 * 2
    assert state_action_marginal(case.grid, pairs, case.rewards, GAMMA).value == pytest.approx(100 * summed / 3)
    own = weighted_state_action_marginal(pairs, case.rewards, GAMMA, mean_weight=0.02)
    assert own.value == pytest.approx(2 * summed / 2.4)
    with pytest.raises(InputError, match="discount 1"):
        state_action_marginal(case.grid, pairs, case.rewards, 1.0)


def test_a_masked_policy_gives_no_weight_to_what_it_never_does() -> None:
    """Action 0 is masked at A0, so that A's weights are 0 from its first step on; B alone decides."""
    target = TargetPolicy("epsilon_greedy", epsilon=0.1)
    allowed = np.array([[False, True], [True, True], [True, True]])
    policy = target.probabilities(VALUES.astype(np.float32), allowed)
    np.testing.assert_allclose(policy, [[0, 1], [0.05, 0.95], [0.95, 0.05]])
    case = Case(policy=policy)
    returns = discounted_returns(case.rewards, GAMMA)
    assert importance_sampling(case.weights, returns).value == pytest.approx(0.1 * 2.0 / 2)
    assert weighted_importance_sampling(case.weights, returns).value == pytest.approx(2.0)
    assert per_decision_weighted_importance_sampling(case.cumulative, case.rewards, GAMMA).value == pytest.approx(2.0)
    of_b = policy[2] @ VALUES[2]
    assert case.sdr().value == pytest.approx((1.0 + of_b + 0.1 * (2.0 - 0.5)) / 2)
    assert case.wdr().value == pytest.approx((1.0 + of_b) / 2 + 2.0 - 0.5)


def test_the_doubly_robust_estimates_of_a_true_value_function_do_not_depend_on_weights() -> None:
    """Rewards that Q foresees to the last: every residual is 0, and so is every correction."""
    values = np.array([[1.495, 1.495], [0.5, 0.5], [2.0, 2.0]])
    for policy in (POLICY, POLICY[:, ::-1]):
        case = Case(policy=policy, values=values)
        assert case.sdr().value == pytest.approx((1.495 + 2.0) / 2)
        assert case.wdr().value == pytest.approx((1.495 + 2.0) / 2)


def test_a_weight_of_zero_on_the_longer_episode_leaves_the_other() -> None:
    case = Case(policy=np.array([[0.0, 1.0], [0.6, 0.4], [0.7, 0.3]]))
    returns = discounted_returns(case.rewards, GAMMA)
    assert weighted_importance_sampling(case.weights, returns).value == pytest.approx(2.0)
    assert WeightDiagnostics.of(case.weights).effective_episodes == pytest.approx(1.0)
    assert per_decision_weighted_importance_sampling(case.cumulative, case.rewards, GAMMA).value == pytest.approx(2.0)
    assert case.sdr().value == pytest.approx((1.0 + 0.85 + 0.6 * 1.5) / 2)
    assert case.wdr().value == pytest.approx((1.0 + 0.85) / 2 + 1.5)


def test_weights_that_are_all_zero_are_undefined_not_zero() -> None:
    case = Case(policy=np.array([[0.0, 1.0], [0.6, 0.4], [1.0, 0.0]]))
    assert np.isnan(weighted_importance_sampling(case.weights, np.ones(2)).value)
    weights = WeightDiagnostics.of(case.weights)
    assert weights.effective_episodes == 0
    assert weights.mean_weight == 0


def test_weights_far_beyond_floating_point_do_not_overflow() -> None:
    log_weights = np.array([2000.0, 1999.0, -5000.0])
    assert np.isfinite(weighted_importance_sampling(log_weights, np.array([1.0, 2.0, 3.0])).value)
    assert np.isfinite(WeightDiagnostics.of(log_weights).effective_episodes)
    with warnings.catch_warnings(action="error"):
        assert np.isnan(importance_sampling(log_weights, np.array([0.0, 2.0, 3.0])).value)


@given(arrays(np.float64, 12, elements=st.floats(-50, 50)), arrays(np.float64, 12, elements=st.floats(-1e3, 1e3)))
def test_WIS_never_leaves_the_range_of_logged_returns(log_weights: np.ndarray, returns: np.ndarray) -> None:
    value = weighted_importance_sampling(log_weights, returns).value
    assert returns.min() - 1e-6 <= value <= returns.max() + 1e-6
    weights = WeightDiagnostics.of(log_weights)
    assert 1 - 1e-9 <= weights.effective_episodes <= 12 + 1e-9


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.floats(-2, 2))
def test_the_grid_keeps_every_value_and_pads_the_rest(lengths: list[int], absorbing: float) -> None:
    grid = Grid.of(np.array(lengths))
    values = np.arange(sum(lengths)) + 10.0
    padded = grid.pad(values, absorbing)
    np.testing.assert_array_equal(padded[grid.valid], values)
    assert (padded[~grid.valid] == absorbing).all()
    starts = np.cumsum([0, *lengths[:-1]])
    np.testing.assert_array_equal(padded[:, 0], values[starts])


def test_intervals_agree_with_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    weights, returns = rng.exponential(size=30), rng.normal(size=30)
    quotient = Quotients.one(weights * returns, weights)
    [estimate] = intervals([quotient], 30_000, 0.9, seed=1)
    loop = np.random.default_rng(2)
    picked = loop.integers(30, size=(30_000, 30))
    means = (weights * returns)[picked].sum(axis=1) / weights[picked].sum(axis=1)
    assert estimate.value == pytest.approx(np.average(returns, weights=weights))
    assert [estimate.lower, estimate.upper] == pytest.approx(np.quantile(means, [0.05, 0.95]).tolist(), abs=0.02)


def test_intervals_repeat_with_their_seed_and_are_absent_without_resamples() -> None:
    quotient = Quotients.one(np.arange(10.0), np.ones(10))
    assert intervals([quotient], 100, 0.95, seed=3) == intervals([quotient], 100, 0.95, seed=3)
    assert intervals([quotient], 100, 0.95, seed=3) != intervals([quotient], 100, 0.95, seed=4)
    [estimate] = intervals([quotient], 0, 0.95, seed=3)
    assert estimate.value == 4.5
    assert np.isnan([estimate.lower, estimate.upper]).all()


def test_an_estimate_that_most_resamples_leave_undefined_has_no_interval() -> None:
    numerator = np.zeros(200)
    numerator[0] = 5.0
    one_weight = Quotients.one(numerator, (numerator > 0).astype(float))
    [estimate] = intervals([one_weight], 200, 0.95, seed=0)
    assert estimate.value == 5.0
    [nothing] = intervals([Quotients.one(np.zeros(5), np.zeros(5))], 200, 0.95, seed=0)
    assert np.isnan([nothing.value, nothing.lower, nothing.upper]).all()


def test_the_normal_interval_of_a_mean_is_covered() -> None:
    values = np.random.default_rng(5).normal(3, 2, size=400)
    [estimate] = intervals([Quotients.one(values, np.ones(400))], 2000, 0.95, seed=6)
    half = 1.96 * values.std() / 20
    assert estimate.upper - values.mean() == pytest.approx(half, rel=0.1)
    assert values.mean() - estimate.lower == pytest.approx(half, rel=0.1)
