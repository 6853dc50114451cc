"""Fitted Q evaluation against the values of the empirical model, which it should find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset
from batchrl.ope.study.fqe import fit_q_evaluation

N_STATES, N_ACTIONS, DISCOUNT = 4, 2, 0.9
POLICY = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
ONE_HOT = np.eye(N_STATES, dtype=np.float32)


def episodes(n: int = 400, horizon: int = 12, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Logged episodes with one feature a state, and the states after each step."""
    rng = np.random.default_rng(seed)
    following = rng.dirichlet(np.ones(N_STATES + 1) * 0.7, size=(N_STATES, N_ACTIONS))
    rewards = rng.normal(size=(N_STATES, N_ACTIONS))
    rows: list[tuple[int, int, float, int, bool]] = []
    offsets = [0]
    for _ in range(n):
        state = int(rng.integers(N_STATES))
        for _ in range(horizon):
            action = int(rng.integers(N_ACTIONS))
            after = int(rng.choice(N_STATES + 1, p=following[state, action]))
            over = after == N_STATES
            rows.append((state, action, rewards[state, action] + rng.normal(0, 0.3), 0 if over else after, over))
            if over:
                break
            state = after
        offsets.append(len(rows))
    states, actions, paid, after, over = (np.array(column) for column in zip(*rows, strict=True))
    dataset = Dataset(
        states=ONE_HOT[states],
        actions=actions,
        rewards=paid,
        next_states=ONE_HOT[after],
        terminal=over,
        behavior_policy=np.full((len(rows), N_ACTIONS), 0.5),
        offsets=np.array(offsets),
        episode_ids=tuple(str(episode) for episode in range(n)),
        state_columns=tuple(f"state_feature_{feature}" for feature in range(N_STATES)),
    )
    return dataset, after


def model_based(dataset: Dataset, after: np.ndarray) -> np.ndarray:
    """``Q`` of the policy in the model that counts give, by iteration."""
    states = dataset.states.argmax(axis=1)
    counts, paid = np.zeros((N_STATES, N_ACTIONS)), np.zeros((N_STATES, N_ACTIONS))
    moves = np.zeros((N_STATES, N_ACTIONS, N_STATES))
    np.add.at(counts, (states, dataset.actions), 1)
    np.add.at(paid, (states, dataset.actions), dataset.rewards)
    going_on = ~dataset.terminal
    np.add.at(moves, (states[going_on], dataset.actions[going_on], after[going_on]), 1)
    q = np.zeros((N_STATES, N_ACTIONS))
    for _ in range(1000):
        q = paid / counts + DISCOUNT * (moves / counts[..., None]) @ (POLICY * q).sum(axis=1)
    return q


@pytest.mark.parametrize("hidden", [(), (32, 32)])
def test_with_one_feature_a_state_it_finds_the_values_of_the_model(hidden: tuple[int, ...]) -> None:
    dataset, after = episodes()
    fitted = fit_q_evaluation(dataset, POLICY[after], DISCOUNT, 6000, seed=0, hidden=hidden)
    expected = model_based(dataset, after)
    np.testing.assert_allclose(fitted(ONE_HOT), expected, atol=0.03 * np.abs(expected).max())


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    dataset, after = episodes(n=60)
    first, again, other = (fit_q_evaluation(dataset, POLICY[after], 0.5, 200, seed)(ONE_HOT) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_values_stay_within_what_rewards_allow() -> None:
    """Every step pays 1 and nothing ends: the value is 1 / (1 - discount), and none is above."""
    dataset, after = episodes(n=60)
    paying = replace(dataset, rewards=np.ones(len(after)), terminal=np.zeros(len(after), dtype=np.bool_))
    values = fit_q_evaluation(paying, POLICY[after], DISCOUNT, 3000, seed=0)(ONE_HOT)
    np.testing.assert_allclose(values, 10, rtol=0.03)


def test_what_follows_a_terminal_step_does_not_matter() -> None:
    dataset, after = episodes(n=60)
    twisted = POLICY[after].copy()
    twisted[dataset.terminal] = [1e3, -1e3]
    values = fit_q_evaluation(dataset, POLICY[after], DISCOUNT, 300, seed=0)(ONE_HOT)
    np.testing.assert_array_equal(fit_q_evaluation(dataset, twisted, DISCOUNT, 300, seed=0)(ONE_HOT), values)


def test_too_few_updates_for_the_horizon_are_refused() -> None:
    dataset, after = episodes(n=60, horizon=12)
    with pytest.raises(InputError, match=r"ope\.fqe_updates is 20"):
        fit_q_evaluation(dataset, POLICY[after], 1.0, 20, seed=0)


def test_a_run_with_too_few_updates_for_its_last_figures_is_refused_before_it_trains(
    train: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"ope\.fqe_updates is 1:"):
        train(tmp_path, epochs="1", ope__q_function="fqe", ope__fqe_updates="1")
    assert not list(tmp_path.rglob("*.pt"))


def test_rewards_of_zero_are_worth_nothing() -> None:
    dataset, after = episodes(n=40)
    nothing = replace(dataset, rewards=np.zeros(len(after)))
    np.testing.assert_allclose(fit_q_evaluation(nothing, POLICY[after], DISCOUNT, 2000, seed=0)(ONE_HOT), 0, atol=0.02)
