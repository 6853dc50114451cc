"""The estimators against loops written from the papers, and against exact values by dynamic programming."""

from __future__ import annotations

import numpy as np
import pytest
from brute_force import DISCOUNT, Loops, Mdp, Step

from batchrl.contract import estimators as names
from batchrl.ope.estimators.bootstrap import resampled
from batchrl.ope.estimators.doubly_robust import ActionValues
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.magic import MagicSettings, magic
from batchrl.ope.estimators.quotients import Block, Quotients
from batchrl.ope.estimators.sample import Sample, trajectory_estimators
from batchrl.ope.estimators.student import student_interval

CONSISTENT = (
    names.IS,
    names.PDIS,
    names.WIS,
    names.PDWIS,
    names.SDR,
    names.WDR,
    names.STATE_MARGINAL,
    names.WEIGHTED_STATE_MARGINAL,
    names.STATE_ACTION_MARGINAL,
    names.WEIGHTED_STATE_ACTION_MARGINAL,
)
UNBIASED = (names.IS, names.PDIS, names.SDR, names.STATE_MARGINAL)


def sample_of(mdp: Mdp, episodes: list[list[Step]], q: np.ndarray, ends: np.ndarray | None = None) -> Sample:
    """The library's arrays of some episodes, with exact marginal weights."""
    grid = Grid.of(np.array([len(steps) for steps in episodes]))
    steps = [step for episode in episodes for step in episode]
    states, actions = np.array([s.state for s in steps]), np.array([s.action for s in steps])
    times = np.concatenate([np.arange(length) for length in grid.lengths])
    with np.errstate(divide="ignore"):
        log_ratios = grid.pad(np.log(mdp.policy[states, actions] / mdp.behavior[states, actions]))
    values = (mdp.policy * q).sum(axis=1)
    of_states = state_weights(mdp)
    of_pairs, mean_weight = pair_weights(mdp)
    return Sample(
        grid=grid,
        log_ratios=log_ratios,
        rewards=grid.pad(np.array([s.reward for s in steps])),
        discount=DISCOUNT,
        agent_values=ActionValues(
            grid.pad(q[states, actions]), grid.pad(values[states]), np.zeros(len(episodes)) if ends is None else ends
        ),
        state_weights=grid.pad(of_states[times, states], absorbing=of_states[: grid.valid.shape[1], -1]),
        state_action_weights=grid.pad(of_pairs[states, actions]),
        pairs_mean_weight=mean_weight,
    )


def state_weights(mdp: Mdp) -> np.ndarray:
    logged = mdp.state_probabilities(mdp.behavior)
    return np.divide(mdp.state_probabilities(mdp.policy), logged, out=np.ones_like(logged), where=logged > 0)


def pair_weights(mdp: Mdp) -> tuple[np.ndarray, float]:
    powers = DISCOUNT ** np.arange(mdp.horizon)
    visits = (1 - DISCOUNT) * powers @ mdp.state_probabilities(mdp.policy)[:, :-1]
    logged = mdp.state_probabilities(mdp.behavior)[:, :-1].sum(axis=0)
    weights = visits[:, None] * mdp.policy / (logged[:, None] * mdp.behavior / logged.sum())
    return weights, float(visits.sum())


def random_q(mdp: Mdp, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=mdp.rewards.shape)


@pytest.mark.parametrize("seed", range(6))
def test_every_estimator_is_what_the_loops_compute(seed: int) -> None:
    mdp = Mdp.random(seed)
    rng = np.random.default_rng(seed)
    episodes = mdp.sample(rng, 25)
    assert len({len(steps) for steps in episodes}) > 1
    ends = [float(end) for end in rng.normal(size=25)]
    q = random_q(mdp, seed)
    loops = Loops(mdp, episodes, q, ends)
    found = trajectory_estimators(sample_of(mdp, episodes, q, np.array(ends)))
    weights = state_weights(mdp)
    expected = {
        names.IS: loops.importance_sampling(),
        names.PDIS: loops.per_decision(),
        names.WIS: loops.weighted_importance_sampling(),
        names.PDWIS: loops.weighted_per_decision(),
        names.DM_VALUE: loops.direct(),
        names.SDR: loops.sequential_doubly_robust(),
        names.WDR: loops.weighted_doubly_robust(),
        names.STATE_MARGINAL: loops.state_marginal(weights, normalised=False),
        names.WEIGHTED_STATE_MARGINAL: loops.state_marginal(weights, normalised=True),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("horizon", [-1, 0, 1, 2, 3])
def test_MAGIC_with_few_horizons_mixes_the_papers_partial_estimates(horizon: int) -> None:
    mdp = Mdp.random(7)
    episodes = mdp.sample(np.random.default_rng(7), 30)
    ends = [0.3 if len(steps) == mdp.horizon else 0.0 for steps in episodes]
    q = random_q(mdp, 3)
    loops = Loops(mdp, episodes, q, ends)
    robust = trajectory_estimators(sample_of(mdp, episodes, q, np.array(ends)), wanted=[names.WDR])[names.WDR]
    mixed = magic(robust, MagicSettings(horizons=[horizon]))
    direct, partial, whole = loops.direct(), loops.blended(horizon), loops.weighted_doubly_robust()
    assert loops.blended(mdp.horizon) == pytest.approx(whole)
    assert loops.blended(-1) == pytest.approx(direct)
    # How much of each step's correction is used tells the weights of the three parts.
    shares = mixed.blocks[1].factors / robust.blocks[1].factors
    of_whole = shares[-1]
    of_partial = shares[0] - of_whole if 0 <= horizon < mdp.horizon - 1 else 0.0
    expected = of_whole * whole + of_partial * partial + (1 - of_whole - of_partial) * direct
    assert mixed.value == pytest.approx(expected)
    assert (np.diff(shares) <= 1e-12).all()
    assert -1e-12 <= of_whole <= shares[0] <= 1 + 1e-12


def test_MAGICs_mixture_has_the_least_bias_and_variance_in_its_resamples() -> None:
    """``x' (Omega + b b') x`` from the same resamples, against thousands of other mixtures."""
    mdp = Mdp.random(9)
    sample = sample_of(mdp, mdp.sample(np.random.default_rng(9), 40), random_q(mdp, 1))
    robust = trajectory_estimators(sample, wanted=[names.WDR])[names.WDR]
    settings = MagicSettings(resamples=300, confidence=0.5, seed=3)
    start, steps = robust.blocks
    assert steps.denominators is not None
    partial = [Quotients((start,))]
    for j in range(len(steps.factors)):
        kept = slice(j + 1)
        partial.append(
            Quotients((start, Block(steps.numerators[:, kept], steps.denominators[:, kept], steps.factors[kept])))
        )
    values = np.array([part.value for part in partial])
    draws = resampled(partial, settings.resamples, settings.seed)
    low, high = np.quantile(draws[:, -1], [0.25, 0.75])
    low, high = min(low, values[-1]), max(high, values[-1])
    bias = [value - high if value > high else value - low if value < low else 0.0 for value in values]
    assert any(bias)
    centred = draws - draws.mean(axis=0)
    error = sum(np.outer(row, row) for row in centred) / (len(draws) - 1) + np.outer(bias, bias)
    shares = magic(robust, settings).blocks[1].factors / steps.factors
    mixture = -np.diff(np.concatenate([[1.0], shares, [0.0]]))
    assert mixture @ values == pytest.approx(magic(robust, settings).value)
    others = np.random.default_rng(0).dirichlet(np.full(len(values), 0.5), size=5000)
    least = np.einsum("ki,ij,kj->k", others, error, others).min()
    assert mixture @ error @ mixture <= least * (1 + 1e-6)


def expected_value(quotients: Quotients, chances: np.ndarray) -> float:
    """What an estimator tends to: its sums under the probabilities of all episodes."""
    total = 0.0
    for block in quotients.blocks:
        below = 1.0 if block.denominators is None else chances @ block.denominators
        total += float((chances @ block.numerators / below) @ block.factors)
    return total


@pytest.mark.parametrize("seed", range(5))
def test_the_expectation_over_all_episodes_is_the_exact_value(seed: int) -> None:
    """Every episode that can happen, weighted by its probability: sums become expectations, without noise."""
    mdp = Mdp.random(seed, horizon=3)
    pairs = list(mdp.paths())
    episodes, chances = [steps for steps, _ in pairs], np.array([chance for _, chance in pairs])
    assert chances.sum() == pytest.approx(1)
    found = trajectory_estimators(sample_of(mdp, episodes, random_q(mdp, seed)), wanted=CONSISTENT)
    assert set(found) == set(CONSISTENT)
    exact = dict.fromkeys(CONSISTENT, mdp.value(mdp.policy))
    assert {name: expected_value(quotients, chances) for name, quotients in found.items()} == pytest.approx(exact)


def test_a_true_value_function_is_exact_by_itself_and_a_wrong_one_is_not() -> None:
    mdp = Mdp.random(11, horizon=30)
    values = np.zeros(len(mdp.start))
    for _ in range(2000):
        q = mdp.rewards + DISCOUNT * mdp.following @ values
        values = (mdp.policy * q).sum(axis=1)
    pairs = [([Step(state, 0, 0.0)], chance) for state, chance in enumerate(mdp.start)]
    chances = np.array([chance for _, chance in pairs])
    found = trajectory_estimators(sample_of(mdp, [steps for steps, _ in pairs], q), wanted=[names.DM_VALUE])
    assert expected_value(found[names.DM_VALUE], chances) == pytest.approx(mdp.value(mdp.policy), abs=1e-3)
    wrong = trajectory_estimators(sample_of(mdp, [steps for steps, _ in pairs], q + 1), wanted=[names.DM_VALUE])
    assert expected_value(wrong[names.DM_VALUE], chances) == pytest.approx(mdp.value(mdp.policy) + 1, abs=1e-3)


def widened(sample: Sample, more: int) -> Sample:
    """The same episodes with more padding."""
    values = sample.agent_values
    assert values is not None

    def wide(array: np.ndarray) -> np.ndarray:
        return np.pad(array, ((0, 0), (0, more)))

    return Sample(
        grid=Grid(sample.grid.lengths, wide(sample.grid.valid)),
        log_ratios=wide(sample.log_ratios),
        rewards=wide(sample.rewards),
        discount=sample.discount,
        agent_values=ActionValues(wide(values.q_taken), wide(values.values), values.end_values),
    )


def test_padding_and_the_order_of_episodes_change_nothing() -> None:
    mdp = Mdp.random(5)
    episodes = mdp.sample(np.random.default_rng(5), 30)
    ends = np.random.default_rng(6).normal(size=30)
    q = random_q(mdp, 5)
    sample = widened(sample_of(mdp, episodes, q, ends), 0)
    plain = {name: found.value for name, found in trajectory_estimators(sample).items() if name != names.MAGIC}
    padded = trajectory_estimators(widened(sample, 3))
    assert {name: padded[name].value for name in plain} == pytest.approx(plain)
    turned = trajectory_estimators(sample_of(mdp, episodes[::-1], q, ends[::-1]))
    assert {name: turned[name].value for name in plain} == pytest.approx(plain)


def test_weights_beyond_floating_point_spoil_only_the_estimates_that_are_made_of_them() -> None:
    mdp = Mdp.random(5)
    episodes = mdp.sample(np.random.default_rng(5), 30)
    sample = widened(sample_of(mdp, episodes, random_q(mdp, 5)), 0)
    sample.log_ratios[sample.grid.valid] += 500.0
    found = {name: quotients.value for name, quotients in trajectory_estimators(sample).items()}
    assert {name for name, value in found.items() if np.isnan(value)} == {names.IS, names.PDIS, names.SDR}


def test_estimates_of_fresh_logs_scatter_around_the_exact_value() -> None:
    mdp = Mdp.random(2)
    rng = np.random.default_rng(2)
    q = random_q(mdp, 2)
    fresh = [trajectory_estimators(sample_of(mdp, mdp.sample(rng, 40), q), wanted=UNBIASED) for _ in range(150)]
    for name in UNBIASED:
        values = np.array([found[name].value for found in fresh])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - mdp.value(mdp.policy)) < 3.5 * error, name


def test_the_normalised_estimators_come_close_with_many_episodes() -> None:
    mdp = Mdp.random(4)
    episodes = mdp.sample(np.random.default_rng(4), 6000)
    for name, quotients in trajectory_estimators(sample_of(mdp, episodes, random_q(mdp, 4)), CONSISTENT).items():
        estimate = student_interval(quotients, 0.95)
        assert abs(estimate.value - mdp.value(mdp.policy)) < 3.5 * estimate.standard_error, name
        assert estimate.standard_error < 0.2, name


def test_dropping_ended_episodes_from_the_denominators_would_be_wrong() -> None:
    """Shown on the exact expectation: normalising over living episodes alone is biased."""
    mdp = Mdp.random(0, horizon=3)
    pairs = list(mdp.paths())
    episodes, chances = [steps for steps, _ in pairs], np.array([chance for _, chance in pairs])
    sample = sample_of(mdp, episodes, random_q(mdp, 0))
    block = trajectory_estimators(sample, wanted=[names.PDWIS])[names.PDWIS].blocks[0]
    assert block.denominators is not None
    living = block.denominators * sample.grid.valid
    biased = float((chances @ block.numerators / (chances @ living)) @ block.factors)
    assert abs(biased - mdp.value(mdp.policy)) > 0.01
