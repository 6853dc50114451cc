"""The mail campaign: its tables, its two environments, and that short-sighted policies pay for it."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from batchrl.collect import EnvId, Simulator, collect, make_simulator
from batchrl.policies import EpsilonGreedyPolicy, FixedPolicy, Floats32, Floats64, Policy, UniformPolicy
from batchrl.problems import MAIL_CAMPAIGN
from batchrl.problems.mail import MailCampaign, MailCampaignVector
from batchrl.problems.mail_model import (
    ACTIONS,
    COST,
    FEATURES,
    NO_MAIL,
    USERS,
    WEEKS,
    TablePolicy,
    features,
    mail_process,
    one_step_policy,
    optimal_policy,
    optimal_value,
    states_of,
    table_of,
    value_of,
)

UNIFORM = UniformPolicy(len(ACTIONS))


def users(n: int) -> Simulator:
    return make_simulator(EnvId(MAIL_CAMPAIGN), n)


class NeverMail:
    """Acts for the best immediate reward."""

    def action_probabilities(self, states: Floats32) -> Floats64:
        state, _ = states_of(states)
        best: Floats64 = np.eye(len(ACTIONS))[mail_process().reward[state].argmax(axis=1)]
        return best


def test_tables_are_probabilities_and_only_mails_cost() -> None:
    process = mail_process()
    assert process.transition.min() >= 0
    np.testing.assert_allclose(process.transition.sum(axis=2), 1, atol=1e-12)
    np.testing.assert_allclose(process.start.sum(), 1, atol=1e-12)
    np.testing.assert_allclose(process.reward[:, :1] - process.reward, np.tile(COST, (len(USERS), 1)), atol=1e-12)


def test_features_determine_the_state_and_the_week() -> None:
    numbers = np.repeat(np.arange(len(USERS)), WEEKS + 1)
    weeks = np.tile(np.arange(WEEKS + 1), len(USERS))
    observed = features(numbers, weeks)
    assert observed.shape == (len(numbers), len(FEATURES)) and observed.min() == 0 and observed.max() == 1
    state, left = states_of(observed)
    np.testing.assert_array_equal(state, numbers)
    np.testing.assert_array_equal(left, weeks)


def test_gymnasiums_checker_accepts_it() -> None:
    check_env(MailCampaign(), skip_render_check=True)


@pytest.mark.parametrize("name", [MAIL_CAMPAIGN, f"batchrl.problems:{MAIL_CAMPAIGN}"])
def test_both_spellings_of_its_name_make_many_users_at_once(name: str) -> None:
    simulator = make_simulator(EnvId(name), 7)
    assert isinstance(simulator.vector, MailCampaignVector)
    assert (simulator.n_envs, simulator.n_features, simulator.n_actions) == (7, len(FEATURES), len(ACTIONS))


def test_gymnasium_finds_it_by_its_module() -> None:
    program = f"import gymnasium; print(gymnasium.make('batchrl.problems:{MAIL_CAMPAIGN}').spec.id)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == MAIL_CAMPAIGN


def test_delayed_reward_nothing_is_booked_in_the_week_of_a_mail() -> None:
    assert (NeverMail().action_probabilities(features(np.arange(len(USERS)), np.full(len(USERS), 9)))[:, NO_MAIL]).all()


def test_short_sighted_policies_are_measurably_worse() -> None:
    best = optimal_value()
    assert value_of(UNIFORM) < value_of(NeverMail()) < 0.15 * best
    assert 0.4 * best < value_of(one_step_policy(UNIFORM)) < 0.7 * best
    # The discount that agents use by default hardly changes who is best.
    assert value_of(optimal_policy(0.99)) > 0.99 * best


def test_the_best_policy_has_the_best_value() -> None:
    for discount in (0.9, 1.0):
        assert value_of(optimal_policy(discount), discount) == pytest.approx(optimal_value(discount), rel=1e-12)
    noisy = EpsilonGreedyPolicy(optimal_policy(), 0.2)
    assert value_of(noisy) < optimal_value() - 0.5


def test_a_table_and_its_policy_are_one() -> None:
    table = np.random.default_rng(0).dirichlet(np.ones(4), size=(WEEKS, len(USERS)))
    np.testing.assert_array_equal(table_of(TablePolicy(table)), table)


def simulated(policy: Policy, simulator: Simulator, episodes: int, seed: int, discount: float = 1.0) -> Floats64:
    """Discounted returns of every episode."""
    played = collect(simulator, policy, episodes=episodes, seed=seed)
    time = np.arange(played.steps) - np.repeat(played.starts, np.diff(np.append(played.starts, played.steps)))
    returns: Floats64 = np.add.reduceat(played.rewards * discount**time, played.starts)
    return returns


@pytest.mark.parametrize(
    ("policy", "discount"), [(optimal_policy(), 1.0), (optimal_policy(0.9), 0.9), (UNIFORM, 1.0), (NeverMail(), 1.0)]
)
def test_simulated_returns_agree_with_dynamic_programming(policy: Policy, discount: float) -> None:
    returns = simulated(policy, users(5_000), 4, 1, discount)
    error = returns.std() / np.sqrt(len(returns))
    assert abs(returns.mean() - value_of(policy, discount)) < 4 * error < 0.05 * optimal_value()


def test_one_user_and_many_follow_the_same_law() -> None:
    vector = gym.make_vec(MAIL_CAMPAIGN, 200, vectorization_mode="sync")
    alone = Simulator(vector, len(ACTIONS), len(FEATURES))
    policy = EpsilonGreedyPolicy(optimal_policy(), 0.3)
    returns = simulated(policy, alone, 10, 2)
    error = returns.std() / np.sqrt(len(returns))
    assert abs(returns.mean() - value_of(policy)) < 4 * error
    played = collect(alone, UNIFORM, episodes=5, seed=3)
    state, left = states_of(played.states)
    following, left_after = states_of(played.next_states)
    process = mail_process()
    np.testing.assert_allclose(played.rewards, process.reward[state, played.actions])
    np.testing.assert_array_equal(left_after, left - 1)
    stays = ~played.terminal
    assert (process.transition[state, played.actions, following][stays] > 0).all()


def test_episodes_end_with_the_campaign_or_with_the_user() -> None:
    played = collect(users(500), UNIFORM, episodes=2, seed=4)
    _, weeks_left = states_of(played.next_states[played.lasts])
    assert played.terminal[played.lasts].all() and not played.truncated.any()
    # Tired users leave: few of them see the end.
    assert 0.1 < (weeks_left == 0).mean() < 0.4
    assert played.starts.shape == (1000,) and np.diff(played.starts).max() == WEEKS


def test_a_cap_cuts_campaigns() -> None:
    played = collect(make_simulator(EnvId(MAIL_CAMPAIGN, 5), 300), FixedPolicy([1, 0, 0, 0]), episodes=2, seed=5)
    lengths = np.diff(np.append(played.starts, played.steps))
    assert lengths.max() == 5
    np.testing.assert_array_equal(played.truncated[played.lasts], ~played.terminal[played.lasts])
    assert (lengths[played.truncated[played.lasts]] == 5).all() and played.truncated.any() and played.terminal.any()


def test_a_seed_repeats_a_collection_and_another_does_not() -> None:
    first, again, other = (collect(users(50), UNIFORM, episodes=3, seed=seed) for seed in (6, 6, 7))
    for field in ("states", "actions", "rewards", "terminal"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert not np.array_equal(first.states[:50], other.states[:50])
