from __future__ import annotations

import numpy as np
import pytest

from batchrl.agents import target_policy
from batchrl.agents.target_policy import TargetPolicy
from presets.schema import OpeSettings

VALUES = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]], dtype=np.float32)
ALLOWED = np.array([[True, False, True], [True, True, True]])


def test_softmax_at_a_temperature() -> None:
    found = TargetPolicy("softmax", temperature=2.0).probabilities(VALUES)
    expected = np.exp(VALUES / 2.0)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-6)


def test_softmax_keeps_to_allowed_actions_and_to_numbers() -> None:
    found = TargetPolicy("softmax", temperature=1e-3).probabilities(VALUES * 1e6, ALLOWED)
    np.testing.assert_allclose(found, [[0, 0, 1], [0.5, 0.5, 0]])


def test_greedy_takes_the_first_of_equals_and_epsilon_is_uniform_over_the_allowed() -> None:
    assert TargetPolicy("greedy").probabilities(VALUES).tolist() == [[0, 1, 0], [1, 0, 0]]
    found = TargetPolicy("epsilon_greedy", epsilon=0.2).probabilities(VALUES, ALLOWED)
    np.testing.assert_allclose(found[0], [0.1, 0.0, 0.9])
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("kind", ["softmax", "greedy", "epsilon_greedy"])
def test_states_at_random_are_uniform(kind: str) -> None:
    policy = TargetPolicy(kind)  # type: ignore[arg-type]
    found = policy.probabilities(VALUES, None, np.array([True, False]))
    np.testing.assert_allclose(found[0], 1 / 3)
    assert not np.allclose(found[1], 1 / 3)


@pytest.mark.parametrize("kind", ["softmax", "greedy", "epsilon_greedy"])
def test_blocks_of_many_states_give_the_same_bits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values, allowed = rng.normal(size=(50, 7)).astype(np.float32), rng.random((50, 7)) < 0.6
    allowed[:, 3] = True
    policy = TargetPolicy(kind)  # type: ignore[arg-type]
    arguments = values, allowed, rng.random(50) < 0.2
    whole = policy.probabilities(*arguments)
    monkeypatch.setattr(target_policy, "NUMBERS_AT_ONCE", 30)
    assert np.array_equal(policy.probabilities(*arguments), whole)


def test_it_says_what_it_is() -> None:
    settings = OpeSettings(target_policy="epsilon_greedy", epsilon=0.05)
    assert str(TargetPolicy.of(settings)) == "greedy with 0.05 random actions"
    assert str(TargetPolicy("greedy")) == "greedy"
    assert str(TargetPolicy("softmax", 0.2)) == "softmax of values at temperature 0.2"
