"""The cross-fitted reward model: what it may not know, against a plain least squares, and what it is good for."""

from __future__ import annotations

import numpy as np
import pytest

from batchrl.data.dataset import Floats32, Floats64, Integers
from batchrl.ope.estimators import contextual, reward_model
from batchrl.ope.estimators.reward_model import CrossFittedRewards

A = 4


def decisions(n: int, seed: int = 1) -> tuple[Floats32, Integers, Floats64, Floats64]:
    """States, actions, rewards and a policy ``[n, A]``; the rewards are linear in the state, apart for each action."""
    rng = np.random.default_rng(seed)
    states = (rng.normal(size=(n, 3)) * [1, 5, 0.1] + [0, 100, 0]).astype(np.float32)
    actions = rng.integers(0, A, n)
    slopes = np.array([[1, 0.2, 0], [-1, 0, 3], [0, 0, 0], [0.5, -0.3, 2]])
    rewards = actions + (slopes[actions] * (states - [0, 100, 0])).sum(axis=1) + rng.normal(scale=0.3, size=n)
    return states, actions, rewards, rng.dirichlet(np.ones(A), n)


def test_nothing_that_is_said_of_a_decision_depends_on_its_own_reward() -> None:
    states, actions, rewards, policy = decisions(60)
    before = CrossFittedRewards(states, actions, rewards, A, seed=0)
    for i in range(60):
        changed = rewards.copy()
        changed[i] += 1e6
        after = CrossFittedRewards(states, actions, changed, A, seed=0)
        assert after.taken[i] == before.taken[i]
        assert after.of_policy(policy).averaged[i] == before.of_policy(policy).averaged[i]
        assert not np.array_equal(after.taken, before.taken)


def by_least_squares(
    states: Floats32, actions: Integers, rewards: Floats64, train: Integers, penalty: float, own: int
) -> Floats64:
    """``[n, A]``, the model of the module's head, by numpy's least squares with a row for each penalised number."""
    features = states.astype(np.float64)
    features = np.column_stack([np.ones(len(states)), (features - features.mean(axis=0)) / features.std(axis=0)])
    width = features.shape[1]
    slopes = np.eye(width)[1:]
    common = np.linalg.lstsq(
        np.vstack([features[train], slopes]), np.concatenate([rewards[train], np.zeros(width - 1)]), rcond=None
    )[0]
    modelled = np.empty((len(states), A))
    for action in range(A):
        mine = train[actions[train] == action]
        left = np.vstack([features[mine][:, :own], np.sqrt(penalty) * np.eye(own)])
        right = np.concatenate([rewards[mine] - features[mine] @ common, np.zeros(own)])
        delta = np.linalg.lstsq(left, right, rcond=None)[0]
        modelled[:, action] = features @ common + features[:, :own] @ delta
    return np.clip(modelled, rewards[train].min(), rewards[train].max())


@pytest.mark.parametrize(("most_numbers", "own"), [(reward_model.MOST_NUMBERS, 4), (10, 1)])
def test_it_is_the_least_squares_fit_of_the_other_folds(
    monkeypatch: pytest.MonkeyPatch, most_numbers: int, own: int
) -> None:
    monkeypatch.setattr(reward_model, "MOST_NUMBERS", most_numbers)
    monkeypatch.setattr(reward_model, "PENALTIES", (7.0,))
    states, actions, rewards, policy = decisions(200)
    found = CrossFittedRewards(states, actions, rewards, A, seed=4)
    modelled = found.of_policy(policy)

    folds = np.array_split(np.random.default_rng(4).permutation(200), 5)
    for fold in folds:
        train = np.setdiff1d(np.arange(200), fold)
        expected = by_least_squares(states, actions, rewards, train, 7.0, own)[fold]
        assert modelled.taken[fold] == pytest.approx(expected[np.arange(len(fold)), actions[fold]], abs=1e-9)
        assert modelled.averaged[fold] == pytest.approx((policy[fold] * expected).sum(axis=1), abs=1e-9)


def test_actions_of_their_own_are_learnt_and_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    states, actions, rewards, policy = decisions(2000)
    found = CrossFittedRewards(states, actions, rewards, A, seed=0)
    assert np.std(rewards - found.taken) < 0.35 < 0.5 * np.std(rewards)

    whole = found.of_policy(policy).averaged
    monkeypatch.setattr(reward_model, "NUMBERS_AT_ONCE", 64)
    assert found.of_policy(policy).averaged == pytest.approx(whole, abs=1e-12)


def test_noise_leaves_the_common_model_and_a_variance_no_larger_than_without_one() -> None:
    rng = np.random.default_rng(2)
    n, actions_there = 4000, 50
    states = rng.normal(size=(n, 5)).astype(np.float32)
    actions = rng.integers(0, actions_there, n)
    rewards = rng.binomial(1, 0.04, n).astype(np.float64)
    found = CrossFittedRewards(states, actions, rewards, actions_there, seed=0)

    assert np.std(found.taken) < 0.02
    policy = rng.dirichlet(np.ones(actions_there), n)
    weights = policy[np.arange(n), actions] * actions_there
    modelled = found.of_policy(policy)
    assert contextual.doubly_robust(weights, rewards, modelled).value == pytest.approx(0.04, abs=0.01)


def test_an_action_that_was_never_taken_and_a_constant_feature_are_modelled_all_the_same() -> None:
    states, actions, rewards, policy = decisions(100)
    states[:, 1] = 7
    actions[actions == 3] = 2
    found = CrossFittedRewards(states, actions, rewards, A, seed=0)
    assert np.isfinite(found.taken).all()
    assert np.isfinite(found.of_policy(policy).averaged).all()
    assert rewards.min() <= found.taken.min() and found.taken.max() <= rewards.max()


def test_three_decisions_are_enough_to_say_something() -> None:
    states, actions, rewards, policy = decisions(3)
    assert np.isfinite(CrossFittedRewards(states, actions, rewards, A, seed=0).of_policy(policy).averaged).all()
