"""Each algorithm finds the policy that it should find, on a log with an unsupported temptation (see ``mdp``)."""

from __future__ import annotations

import mdp
import numpy as np
import pytest

import presets
from batchrl.data.dataset import Floats32, Integers
from batchrl.data.split import Split
from batchrl.training.state import RunState, started

SETTINGS = {
    "agent.discount": str(mdp.DISCOUNT),
    "agent.embedder": "[32]",
    "agent.middleware": "[32]",
    "agent.learning_rate": "0.003",
    "agent.batch_size": "64",
    "agent.target_update_every": "25",
    "agent.cql_alpha": "0.3",
    "agent.iql_expectile": "0.9",
    "agent.iql_inverse_temperature": "5",
    "agent.updates_per_epoch": "600",
    "reward_model.epochs": "1",
    "bcq.mode": "none",
}
EPISODES = 400
STATES = np.arange(mdp.N_STATES)
BCQ = {
    "knn": {"bcq.mode": "coach_knn", "bcq.embedding": "state", "bcq.average_dist_coefficient": "0.5"},
    "classifier": {"bcq.mode": "coach_nn", "bcq.mask_out_threshold": "0.05", "bcq.imitation_epochs": "60"},
    "relative": {"bcq.mode": "discrete_bcq", "bcq.relative_threshold": "0.1", "bcq.imitation_epochs": "60"},
}
ACTS_SUPPORTED = {**BCQ["relative"], "bcq.mask_at_action_time": "true"}

pytestmark = pytest.mark.parametrize("seed", [0, 1, 2])


def trained(algorithm: str, seed: int, **settings: str) -> RunState:
    """A run on the log after its only epoch."""
    preset = presets.resolve_train(
        "cartpole-ddqn-bcq", {**SETTINGS, "agent.algorithm": algorithm, "seed": str(seed), **settings}
    )
    episodes = np.arange(EPISODES + 2)
    split = Split(train=episodes[:EPISODES], evaluation=episodes[EPISODES:], test=episodes[:0])
    run = started(preset, mdp.log(len(episodes), seed), split, None)
    run.agent.train_epoch(run.transitions, run.rng)
    return run


def acts(run: RunState) -> Integers:
    """``[S]``, the greedy action of the policy, under its mask if it acts under one."""
    return run.policy().action_probabilities(mdp.features(STATES)).argmax(axis=1)


def values(run: RunState) -> Floats32:
    found = run.agent.values()
    assert found is not None
    return found(mdp.features(STATES))


def test_the_problem_tells_the_algorithms_apart(seed: int) -> None:
    choices = [policy()[0] for policy in (mdp.most_frequent, mdp.best_after_one_step, mdp.best_supported)]
    assert sorted([*choices, mdp.TEMPTATION]) == [0, 1, 2, 3]
    log = mdp.log(EPISODES, seed)
    assert set(log.states[log.actions == mdp.TEMPTATION].argmax(axis=1)) == {4}
    assert mdp.start_value(mdp.best_supported()) > mdp.start_value(mdp.best_after_one_step())


def test_cloning_finds_the_most_frequent_action(seed: int) -> None:
    run = trained("bc", seed)
    assert acts(run).tolist() == mdp.most_frequent().tolist()
    assert run.agent.values() is None


def test_one_step_finds_the_best_logged_action_under_the_logging_policys_values(seed: int) -> None:
    run = trained("one-step", seed, **ACTS_SUPPORTED)
    np.testing.assert_allclose(values(run)[mdp.SUPPORTED], mdp.action_values(mdp.LOGGING)[mdp.SUPPORTED], atol=0.2)
    assert acts(run).tolist() == mdp.best_after_one_step().tolist()


@pytest.mark.parametrize("algorithm", ["dqn", "ddqn"])
def test_unconstrained_values_fall_for_the_temptation(algorithm: str, seed: int) -> None:
    run = trained(algorithm, seed)
    assert acts(run).tolist() == [mdp.TEMPTATION] * mdp.N_STATES
    assert mdp.start_value(acts(run)) < 0
    # The bootstrap believes in it as well: this action leads to a state from which the log has nothing so good.
    assert values(run)[0, 2] > 1.5 * mdp.action_values(np.eye(mdp.N_ACTIONS)[mdp.best_supported()])[0, 2]


@pytest.mark.parametrize("algorithm", ["cql", "iql"])
def test_conservative_agents_find_the_best_supported_policy(algorithm: str, seed: int) -> None:
    assert acts(trained(algorithm, seed)).tolist() == mdp.best_supported().tolist()


@pytest.mark.parametrize("constraint", sorted(BCQ))
def test_batch_constrained_values_find_the_best_supported_policy(constraint: str, seed: int) -> None:
    run = trained("ddqn-bcq", seed, **BCQ[constraint], **{"bcq.mask_at_action_time": "true"})
    best = mdp.best_supported()
    assert acts(run).tolist() == best.tolist()
    optimal = mdp.action_values(np.eye(mdp.N_ACTIONS)[best])
    np.testing.assert_allclose(values(run)[mdp.SUPPORTED], optimal[mdp.SUPPORTED], atol=0.3)


@pytest.mark.parametrize("constraint", sorted(BCQ))
def test_a_constraint_on_the_bootstrap_alone_leaves_the_temptation_to_the_policy(constraint: str, seed: int) -> None:
    """Quirk 6: the values of logged actions are right, those of others are not, and Coach acted on them."""
    run = trained("ddqn-bcq", seed, **BCQ[constraint])
    assert acts(run)[0] == mdp.TEMPTATION
    assert np.where(mdp.SUPPORTED, values(run), -np.inf).argmax(axis=1).tolist() == mdp.best_supported().tolist()
