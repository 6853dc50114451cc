"""Fitted Q evaluation against the values of the empirical model, which it should find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tabular_logs import DISCOUNT, ONE_HOT, q_by_dynamic_programming, tabular

from batchrl.contract.errors import InputError
from batchrl.ope.study.fqe import fit_q_evaluation

POLICY = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])


@pytest.mark.parametrize("hidden", [(), (32, 32)])
def test_with_one_feature_a_state_it_finds_the_values_of_the_model(hidden: tuple[int, ...]) -> None:
    dataset, after = tabular(n=400)
    fitted = fit_q_evaluation(dataset, POLICY[after], DISCOUNT, 6000, seed=0, hidden=hidden)
    expected = q_by_dynamic_programming(dataset, after, POLICY, DISCOUNT)
    np.testing.assert_allclose(fitted(ONE_HOT), expected, atol=0.03 * np.abs(expected).max())


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    dataset, after = tabular(n=60)
    first, again, other = (fit_q_evaluation(dataset, POLICY[after], 0.5, 200, seed)(ONE_HOT) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_values_stay_within_what_rewards_allow() -> None:
    """Every step pays 1 and nothing ends: the value is 1 / (1 - discount), and none is above."""
    dataset, after = tabular(n=60)
    paying = replace(dataset, rewards=np.ones(len(after)), terminal=np.zeros(len(after), dtype=np.bool_))
    values = fit_q_evaluation(paying, POLICY[after], DISCOUNT, 3000, seed=0)(ONE_HOT)
    np.testing.assert_allclose(values, 10, rtol=0.03)


def test_what_follows_a_terminal_step_does_not_matter() -> None:
    dataset, after = tabular(n=60)
    twisted = POLICY[after].copy()
    twisted[dataset.terminal] = [1e3, -1e3]
    values = fit_q_evaluation(dataset, POLICY[after], DISCOUNT, 300, seed=0)(ONE_HOT)
    np.testing.assert_array_equal(fit_q_evaluation(dataset, twisted, DISCOUNT, 300, seed=0)(ONE_HOT), values)


def test_too_few_updates_for_the_horizon_are_refused() -> None:
    dataset, after = tabular(n=60, horizon=12)
    with pytest.raises(InputError, match=r"ope\.fqe_updates is 20"):
        fit_q_evaluation(dataset, POLICY[after], 1.0, 20, seed=0)


def test_a_run_with_too_few_updates_for_its_last_figures_is_refused_before_it_trains(
    train: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"ope\.fqe_updates is 1:"):
        train(tmp_path, epochs="1", ope__q_function="fqe", ope__fqe_updates="1")
    assert not list(tmp_path.rglob("*.pt"))


def test_rewards_of_zero_are_worth_nothing() -> None:
    dataset, after = tabular(n=40)
    nothing = replace(dataset, rewards=np.zeros(len(after)))
    np.testing.assert_allclose(fit_q_evaluation(nothing, POLICY[after], DISCOUNT, 2000, seed=0)(ONE_HOT), 0, atol=0.02)
