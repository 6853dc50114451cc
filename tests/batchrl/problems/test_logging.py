"""The narrow logging policies: good, and hardly ever trying anything else."""

from __future__ import annotations

import numpy as np

from batchrl.collect import EnvId, collect, make_simulator
from batchrl.policies import UniformPolicy
from batchrl.problems.logging import RULE_PROBABILITY, AcrobotIdler, CartPoleController, MailRules
from batchrl.problems.mail_model import ACTIONS, USERS, features, optimal_value, value_of


def test_the_controller_holds_the_pole_and_logs_one_action_where_it_leans() -> None:
    played = collect(make_simulator(EnvId("CartPole-v0"), 50), CartPoleController(), episodes=1, seed=0)
    assert played.returns.min() == 200
    rarer = played.probabilities.min(axis=1)
    assert np.median(rarer) < 0.1 and (rarer < 0.01).mean() > 0.2
    # Near the upright pole both actions are there: a constraint leaves something to choose.
    assert (rarer > 0.3).mean() > 0.1


def test_a_sharper_controller_is_narrower() -> None:
    states = np.random.default_rng(0).normal(scale=0.05, size=(100, 4)).astype(np.float32)
    wide, narrow = (CartPoleController(sharpness).action_probabilities(states) for sharpness in (10.0, 100.0))
    np.testing.assert_array_equal(wide.argmax(axis=1), narrow.argmax(axis=1))
    assert (narrow.max(axis=1) >= wide.max(axis=1)).all()


def test_the_marketing_rules_are_kept_almost_always_and_pay_something() -> None:
    table = MailRules().action_probabilities(features(np.arange(len(USERS)), np.full(len(USERS), 10)))
    np.testing.assert_allclose(table.max(axis=1), RULE_PROBABILITY)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    assert set(table.argmax(axis=1)) == set(range(len(ACTIONS)))
    assert value_of(UniformPolicy(len(ACTIONS))) + 2 < value_of(MailRules()) < 0.75 * optimal_value()


def test_the_acrobot_idler_mostly_rests_and_still_arrives_slowly() -> None:
    played = collect(make_simulator(EnvId("Acrobot-v1"), 20), AcrobotIdler(), episodes=1, seed=0)
    assert (played.probabilities.argmax(axis=1) == 1).all()
    assert played.terminal.sum() >= 12 and -450 < played.returns.mean() < -250
