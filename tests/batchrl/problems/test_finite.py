"""Dynamic programming against enumeration of all paths, and the draws against the tables."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from batchrl.policies import Floats64
from batchrl.problems.finite import FiniteProcess


def small(seed: int = 0) -> FiniteProcess:
    """Three states, two actions, three steps; some transitions are impossible and some end the episode."""
    random = np.random.default_rng(seed)
    transition = random.random((3, 2, 4)) * (random.random((3, 2, 4)) < 0.7)
    transition[:, :, 1] += 0.1
    transition /= transition.sum(axis=2, keepdims=True)
    return FiniteProcess(transition, random.normal(size=(3, 2)), np.array([0.5, 0.2, 0.3]), 3)


def value_by_paths(process: FiniteProcess, policy: Floats64, discount: float) -> float:
    """The mean return as a sum over every path."""

    def following(state: int, left: int) -> float:
        if state == process.n_states or left == 0:
            return 0.0
        total = 0.0
        for action in range(process.n_actions):
            later = sum(
                process.transition[state, action, after] * following(after, left - 1)
                for after in range(process.n_states + 1)
            )
            total += policy[left - 1, state, action] * (process.reward[state, action] + discount * later)
        return total

    return sum(float(process.start[state]) * following(state, process.horizon) for state in range(process.n_states))


@pytest.mark.parametrize("discount", [0.0, 0.7, 1.0])
def test_a_policys_value_is_that_of_all_its_paths(discount: float) -> None:
    process = small()
    policy = np.random.default_rng(1).dirichlet(np.ones(2), size=(3, 3))
    assert process.value(policy, discount) == pytest.approx(value_by_paths(process, policy, discount), rel=1e-12)


@pytest.mark.parametrize("discount", [0.7, 1.0])
def test_no_policy_is_better_than_the_best_and_one_is_as_good(discount: float) -> None:
    process = small(3)
    tables = (np.eye(2)[list(choice)].reshape(3, 3, 2) for choice in product((0, 1), repeat=9))
    values = [process.value(table, discount) for table in tables]
    assert max(values) == pytest.approx(process.optimal_value(discount), rel=1e-12)
    assert min(values) < max(values) - 0.1


def test_draws_have_the_probabilities_of_the_tables() -> None:
    process, n = small(5), 200_000
    random = np.random.default_rng(6)
    starts = np.bincount(process.draw_start(random.random(n)), minlength=3) / n
    np.testing.assert_allclose(starts, process.start, atol=0.006)
    for state, action in product(range(3), range(2)):
        drawn = process.draw_next(np.full(n, state), np.full(n, action), random.random(n))
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / n, process.transition[state, action], atol=0.006)


def test_impossible_successors_are_never_drawn() -> None:
    process = small(5)
    edges = np.array([0.0, np.nextafter(1.0, 0.0)])
    for state, action in product(range(3), range(2)):
        drawn = process.draw_next(np.full(2, state), np.full(2, action), edges)
        assert (process.transition[state, action, drawn] > 0).all()
