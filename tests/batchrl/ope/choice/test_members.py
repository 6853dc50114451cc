"""Every member against a second implementation: dynamic programming in the model of the counts, plain loops."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from tabular_logs import DISCOUNT, N_ACTIONS, log_of, q_by_dynamic_programming, tabular

from batchrl.data.dataset import Dataset, Floats32, Floats64
from batchrl.ope.choice.averager import fit_averager
from batchrl.ope.choice.features import count_of_monomials, polynomial, rectified, standardised
from batchrl.ope.choice.linear import fit_linear
from batchrl.ope.choice.members import members_for
from batchrl.ope.choice.steps import Conduct, logging_conduct


def conduct(dataset: Dataset, after: np.ndarray, policy: Floats64) -> Conduct:
    first = dataset.states[dataset.offsets[:-1]].argmax(axis=1)
    return Conduct(policy[first], policy[after])


def by_dynamic_programming(dataset: Dataset, after: np.ndarray, policy: Floats64, discount: float) -> float:
    """The start value in the process that the counts describe."""
    starts = dataset.states[dataset.offsets[:-1]].argmax(axis=1)
    q = q_by_dynamic_programming(dataset, after, policy, discount)
    return float((policy * q).sum(axis=1)[starts].mean())


POLICIES = (
    np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [1.0, 0.0]]),
    np.eye(2)[[0, 1, 1, 0]],
    np.eye(2)[[1, 1, 0, 0]],
)


def test_linear_values_on_one_feature_a_state_are_those_of_dynamic_programming() -> None:
    dataset, after = tabular()
    conducts = [conduct(dataset, after, policy) for policy in POLICIES]

    fit = fit_linear(dataset, conducts, lambda states: states, DISCOUNT, penalties=[1e-6])

    expected = [by_dynamic_programming(dataset, after, policy, DISCOUNT) for policy in POLICIES]
    np.testing.assert_allclose(fit.values, expected, rtol=1e-4)
    assert fit.growth is not None and (fit.growth < DISCOUNT).all()


def test_linear_values_are_where_iterated_regressions_end() -> None:
    rng = np.random.default_rng(3)
    n = 240
    states, following = rng.normal(size=(2, n, 2)).astype(np.float32)
    actions, rewards = rng.integers(N_ACTIONS, size=n), rng.normal(size=n)
    terminal = np.arange(n) % 6 == 5
    dataset = log_of(states, actions, rewards, following, terminal, list(range(6, n + 1, 6)))
    chances = rng.dirichlet(np.ones(N_ACTIONS), size=n)
    starts = rng.dirichlet(np.ones(N_ACTIONS), size=n // 6)

    def features(some: Floats32) -> Floats32:
        return np.column_stack([np.ones(len(some)), some, some[:, 0] * some[:, 1]]).astype(np.float32)

    fit = fit_linear(dataset, [Conduct(starts, chances)], features, 0.8, penalties=[0.5 * N_ACTIONS / n])

    here, there = features(states).astype(float), features(following).astype(float)
    weights = np.zeros((N_ACTIONS, 4))
    for _ in range(400):
        targets = [
            rewards[i] + (0 if terminal[i] else 0.8 * sum(chances[i, a] * there[i] @ weights[a] for a in range(2)))
            for i in range(n)
        ]
        updated = []
        for action in range(N_ACTIONS):
            mine = [i for i in range(n) if actions[i] == action]
            stacked = np.vstack([here[mine], np.sqrt(0.5) * np.eye(4)])
            updated.append(np.linalg.lstsq(stacked, [*(targets[i] for i in mine), 0, 0, 0, 0], rcond=None)[0])
        weights = np.array(updated)
    first = here[::6]
    expected = np.mean([sum(starts[e, a] * first[e] @ weights[a] for a in range(2)) for e in range(n // 6)])
    assert fit.values[0] == pytest.approx(expected, rel=1e-4)


def test_growth_is_the_spectral_radius_and_tells_of_divergence() -> None:
    """One feature that doubles in every step (Tsitsiklis and Van Roy 1997): regressions diverge from 1/2 on."""
    n = 50
    states = np.ones((n, 1), np.float32)
    steps = (np.zeros(n), np.ones(n), 2 * states, np.zeros(n, bool))
    dataset = log_of(states, *steps, list(range(1, n + 1)))
    always = Conduct(np.tile([1.0, 0.0], (n, 1)), np.tile([1.0, 0.0], (n, 1)))

    for discount, growth in ((0.4, 0.8), (0.9, 1.8)):
        fit = fit_linear(dataset, [always], lambda states: states, discount, penalties=[1e-9])
        assert fit.growth is not None
        assert fit.growth[0] == pytest.approx(growth, rel=1e-4)
        assert fit.values[0] == pytest.approx(1 / (1 - growth), rel=1e-3)


def test_the_penalty_rises_until_the_iteration_settles() -> None:
    n = 50
    states = np.ones((n, 1), np.float32)
    steps = (np.zeros(n), np.ones(n), 2 * states, np.zeros(n, bool))
    dataset = log_of(states, *steps, list(range(1, n + 1)))
    always = Conduct(np.tile([1.0, 0.0], (n, 1)), np.tile([1.0, 0.0], (n, 1)))

    fit = fit_linear(
        dataset, [always], lambda states: states, 0.9, penalties=[1e-9, 50 * N_ACTIONS / n, 500 * N_ACTIONS / n]
    )

    # With the penalty 50, the regression gives half of what it would give without: 1.8 / 2.
    assert fit.growth is not None
    assert fit.growth[0] == pytest.approx(0.9, rel=1e-4)
    assert fit.values[0] == pytest.approx(0.5 / (1 - 0.9), rel=1e-3)


@pytest.mark.parametrize("neighbours", [1, 4])
def test_averages_over_neighbours_are_those_of_plain_loops(neighbours: int) -> None:
    rng = np.random.default_rng(5)
    n = 60
    states, following = rng.normal(size=(2, n, 3)).astype(np.float32)
    actions, rewards, terminal = rng.integers(N_ACTIONS, size=n), rng.normal(size=n), np.arange(n) % 5 == 4
    dataset = log_of(states, actions, rewards, following, terminal, list(range(5, n + 1, 5)))
    chances = rng.dirichlet(np.ones(N_ACTIONS), size=n)
    starts = rng.dirichlet(np.ones(N_ACTIONS), size=n // 5)

    fit = fit_averager(dataset, [Conduct(starts, chances)] * 2, DISCOUNT, seed=0, neighbours=neighbours)

    deviation = states.std(axis=0, dtype=float)
    values = rewards.copy()

    def near(state: Floats32, action: int) -> list[int]:
        mine = [i for i in range(n) if actions[i] == action]
        return sorted(mine, key=lambda i: float((((states[i] - state) / deviation) ** 2).sum()))[:neighbours]

    nearest = [[near(state, action) for action in range(N_ACTIONS)] for state in following]
    for _ in range(200):
        q = [[np.mean(values[of_action]) for of_action in of_state] for of_state in nearest]
        values = np.array([rewards[i] + (0 if terminal[i] else DISCOUNT * chances[i] @ q[i]) for i in range(n)])
    of_starts = [[np.mean(values[near(states[i], action)]) for action in range(N_ACTIONS)] for i in range(0, n, 5)]
    expected = float((starts * of_starts).sum(axis=1).mean())
    np.testing.assert_allclose(fit.values, [expected, expected], atol=2e-3)
    assert fit.values[0] == fit.values[1]


def test_polynomials_are_all_products_of_features() -> None:
    states = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    found = polynomial(states, 3)
    expected = [
        np.prod(states[:, list(factors)], axis=1)
        for degree in range(4)
        for factors in combinations_with_replacement(range(3), degree)
    ]
    np.testing.assert_allclose(found, np.column_stack(expected), rtol=1e-5)
    assert found.shape[1] == count_of_monomials(3, 3) == 20


def test_features_are_standardised_within_five_deviations_without_constant_ones() -> None:
    rng = np.random.default_rng(0)
    states = np.column_stack([1e9 + rng.normal(size=500), np.full(500, 3.3), rng.normal(size=500)])
    states[0, 2] = 1e6
    scaled = standardised(states.astype(np.float32)[:, 1:])(states.astype(np.float32)[:, 1:])
    assert scaled.shape == (500, 1)
    assert np.abs(scaled).max() == 5
    assert rectified(scaled, 12, seed=0).shape == (500, 12)
    np.testing.assert_array_equal(rectified(scaled, 12, seed=0), rectified(scaled, 12, seed=0))


def test_members_all_find_the_value_of_the_logging_policy_and_of_the_best_in_a_bandit() -> None:
    """One-step logs: every member is a regression of rewards."""
    rng = np.random.default_rng(1)
    n = 3000
    states = rng.uniform(-1, 1, size=(n, 2)).astype(np.float32)
    actions = rng.integers(3, size=n)
    means = np.column_stack([states[:, 0], states[:, 1], np.zeros(n)])
    rewards = means[np.arange(n), actions] + rng.normal(0, 0.1, n)
    dataset = log_of(states, actions, rewards, states, np.ones(n, bool), list(range(1, n + 1)))
    best, worst = np.eye(3)[means.argmax(axis=1)], np.eye(3)[means.argmin(axis=1)]
    uniform = np.full((n, 3), 1 / 3)
    conducts = [Conduct(chances, chances) for chances in (best, worst, uniform)]
    expected = [means.max(axis=1).mean(), means.min(axis=1).mean(), means.mean()]

    names = []
    for member in members_for(dataset):
        names.append(member.name)
        np.testing.assert_allclose(member.fit(dataset, conducts, 0.99, 0).values, expected, atol=0.05)
    assert names == ["squares", "cubics", "network", "knn"]


def test_random_features_stand_in_where_polynomials_are_too_many() -> None:
    rng = np.random.default_rng(1)
    states = rng.normal(size=(200, 30)).astype(np.float32)
    dataset = log_of(states, np.arange(200) % 2, rng.normal(size=200), states, np.ones(200, bool), list(range(1, 201)))
    assert [member.name for member in members_for(dataset)] == ["relu", "network", "knn"]
    dataset = log_of(states, np.arange(200), rng.normal(size=200), states, np.ones(200, bool), list(range(1, 201)))
    assert [member.name for member in members_for(dataset)] == ["network", "knn"]


def test_the_logging_policy_is_worth_its_logged_returns() -> None:
    """Also where episodes were cut short: every end counts as final."""
    dataset, _ = tabular(n=400, horizon=3)
    assert not dataset.terminal[dataset.offsets[1:] - 1].all()
    final, logging = logging_conduct(dataset)
    assert final.terminal[final.offsets[1:] - 1].all()

    # Values are a function of the state alone here, but ends are by the clock: the mean over all steps agrees.
    fit = fit_linear(final, [logging], lambda states: states, 0.0, penalties=[1e-6])

    assert fit.values[0] == pytest.approx(final.discounted_returns(0.0).mean(), abs=0.1)


def test_policies_that_do_the_same_get_the_same_network_values() -> None:
    dataset, after = tabular(n=100)
    first, second, _ = (conduct(dataset, after, policy) for policy in POLICIES)
    (network,) = (member for member in members_for(dataset) if member.name == "network")

    values = network.fit(dataset, [first, second, first], DISCOUNT, 0).values

    assert values[0] == values[2] != values[1]
