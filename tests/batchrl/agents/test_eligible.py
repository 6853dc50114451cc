"""Never is an action chosen that cannot be taken: every agent, every mask, every target policy, every fallback."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from modelservers import network
from random_logs import dataset, settings_of

from batchrl.agents.agent import Agent, Problem
from batchrl.agents.dqn import DoubleDQN
from batchrl.agents.masks import ActionMask, ImitationMask, NearestNeighbourMask
from batchrl.agents.model import PolicyModel
from batchrl.agents.prefit import fit_prefit_models
from batchrl.agents.registry import ALGORITHMS, make_agent
from batchrl.agents.target_policy import TargetPolicy
from batchrl.agents.transitions import Transitions
from batchrl.data.dataset import Dataset
from batchrl.data.split import Parts
from batchrl.policies import FixedPolicy, among_eligible
from presets.schema import TrainPreset

EVERY = sorted(ALGORITHMS)
TARGETS = (TargetPolicy("greedy"), TargetPolicy("softmax", 0.5), TargetPolicy("epsilon_greedy", epsilon=0.3))
FALLBACKS = ("random", "unmasked_argmax", "most_likely")


def some_eligible(n: int, seed: int, n_actions: int = 3) -> np.ndarray:
    """``[n, A]``, at least one a row."""
    rng = np.random.default_rng(seed)
    flags = rng.random((n, n_actions)) < 0.5
    flags[np.arange(n), rng.integers(0, n_actions, n)] = True
    return flags


def with_lists(data: Dataset, seed: int = 9) -> Dataset:
    """The same episodes, in which the actions taken could be, and some others."""
    flags = some_eligible(data.n_transitions, seed, data.n_actions)
    flags[np.arange(data.n_transitions), data.actions] = True
    assert data.behavior_policy is not None
    chances = np.where(flags, data.behavior_policy, 0)
    return replace(data, eligible=flags, behavior_policy=chances / chances.sum(axis=1, keepdims=True))


def trained(algorithm: str, data: Dataset, seed: int = 0) -> tuple[Agent, Transitions]:
    settings = settings_of(algorithm)
    transitions = Transitions.of(data, settings)
    agent = make_agent(Problem.of(transitions, settings, 2), settings, torch.Generator().manual_seed(seed))
    agent.train_epoch(transitions, np.random.default_rng(seed))
    return agent, transitions


def masks() -> dict[str, ActionMask | None]:
    rng = np.random.default_rng(3)
    keys = tuple(torch.from_numpy(rng.normal(size=(n, 3)).astype(np.float32)) for n in (20, 20, 0))
    return {
        "none": None,
        "imitation": ImitationMask(network(3, 3, seed=5), 0.45, relative=False),
        "imitation, relative": ImitationMask(network(3, 3, seed=5), 0.9, relative=True),
        "imitation, one absent": ImitationMask(network(3, 3, seed=5), 0.9, relative=True, absent=[1]),
        "nearest, one never taken": NearestNeighbourMask(keys, [0.6, 0.6, 0.6], None),
    }


@pytest.mark.parametrize("algorithm", EVERY)
@pytest.mark.parametrize("mask", sorted(masks()))
def test_no_agent_chooses_what_is_not_eligible(algorithm: str, mask: str) -> None:
    agent, _ = trained(algorithm, with_lists(dataset()))
    states = np.random.default_rng(1).normal(size=(300, 3)).astype(np.float32)
    eligible = some_eligible(300, seed=2)
    for fallback in FALLBACKS:
        for target in TARGETS:
            model = PolicyModel(agent.preferences(), agent.values(), target, masks()[mask], fallback)
            for chances in (
                model.action_probabilities(states, eligible),
                model.decide(states, target, eligible).probabilities,
            ):
                assert not chances[~eligible].any()
                np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
            supported = model.decide(states, target, eligible).allowed
            assert supported is None or not supported[~eligible].any()


@pytest.mark.parametrize("algorithm", EVERY)
def test_lists_of_every_action_change_no_bit(algorithm: str) -> None:
    data = dataset()
    every = replace(data, eligible=np.ones((data.n_transitions, 3), np.bool_))
    (first, _), (second, _) = trained(algorithm, data), trained(algorithm, every)
    states = data.states
    assert np.array_equal(first.preferences()(states), second.preferences()(states))
    model = PolicyModel(first.preferences(), first.values(), TARGETS[1], masks()["imitation"], "random")
    told = model.action_probabilities(states, np.ones((len(states), 3), np.bool_))
    assert np.array_equal(model.action_probabilities(states), told)


@pytest.mark.parametrize("algorithm", ["dqn", "ddqn"])
def test_a_bootstrap_takes_the_best_eligible_action(algorithm: str) -> None:
    """Against numpy, action by action."""
    data = with_lists(dataset())
    settings = settings_of(algorithm)
    transitions = Transitions.of(data, settings)
    agent = make_agent(Problem.of(transitions, settings, 1), settings, torch.Generator().manual_seed(0))
    rows = torch.arange(len(transitions))
    batch = transitions.batch(rows)
    rng = np.random.default_rng(0)
    target, online = (torch.from_numpy(rng.normal(size=(1, len(rows), 3)).astype(np.float32)) for _ in range(2))
    found = agent.bootstrap(target, online, batch, rng)[0].numpy()  # type: ignore[attr-defined]
    after = data.eligible_after()
    assert after is not None
    for row in range(len(rows)):
        able = np.flatnonzero(after[row])
        chosen = online[0, row].numpy() if isinstance(agent, DoubleDQN) else target[0, row].numpy()
        best = able[np.argmax(chosen[able])]
        assert found[row] == target[0, row, best]


def test_values_converge_to_those_of_the_eligible_actions_alone() -> None:
    """The second of two states pays 10 for action 1, which a quarter of the rows lists, else 1.

    What the first state is worth is the mean over the rows that follow it: 10 / 4 + 1 * 3 / 4.
    """
    n = 200
    starts = np.arange(0, 2 * n, 2)
    states = np.tile(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), (n, 1))
    actions = np.zeros(2 * n, np.int64)
    actions[starts[: n // 4] + 1] = 1
    eligible = np.ones((2 * n, 2), np.bool_)
    eligible[starts[n // 4 :] + 1, 1] = False
    rewards = np.zeros(2 * n)
    rewards[starts + 1] = np.where(actions[starts + 1] == 1, 10.0, 1.0)
    data = Dataset(
        states=states,
        actions=actions,
        rewards=rewards,
        next_states=np.roll(states, -1, axis=0),
        terminal=np.tile([False, True], n),
        behavior_policy=np.where(eligible.all(axis=1, keepdims=True), 0.5, [1.0, 0.0]),
        offsets=np.arange(0, 2 * n + 1, 2),
        episode_ids=tuple(str(number) for number in range(n)),
        state_columns=("a", "b"),
        eligible=eligible,
    )
    settings = settings_of(
        "dqn", learning_rate=0.01, updates_per_epoch=1500, batch_size=64, discount=1.0, target_update_every=50
    )
    transitions = Transitions.of(data, settings)
    agent = make_agent(Problem.of(transitions, settings, 1), settings, torch.Generator().manual_seed(0))
    agent.train_epoch(transitions, np.random.default_rng(0))
    values = agent.values()
    assert values is not None
    found = values(np.array([[1, 0], [0, 1]], np.float32))
    assert found[1] == pytest.approx([1, 10], abs=0.5)
    assert found[0, 0] == pytest.approx(3.25, abs=1.0)


@pytest.mark.parametrize("mode", ["coach_knn", "coach_nn", "discrete_bcq"])
def test_the_mask_of_the_bootstrap_knows_the_lists(mode: str) -> None:
    data = with_lists(dataset(60))
    changes: dict[str, Any] = {"bcq": {"mode": mode, "imitation_epochs": 2}, "reward_model": {"epochs": 1}}
    preset = TrainPreset.model_validate(
        {"name": "x", "agent": {"algorithm": "ddqn-bcq", "embedder": [8], "middleware": []}, **changes}
    )
    train, rest = data.select(np.arange(40)), data.select(np.arange(40, 60))
    rng = np.random.default_rng(0)
    models = fit_prefit_models(Parts(train, rest, rest), data, preset, torch.Generator().manual_seed(0), rng)
    after = train.eligible_after()
    assert after is not None
    assert models.allowed is not None
    goes_on = ~train.terminal
    assert not models.allowed.numpy()[goes_on][~after[goes_on]].any()
    assert models.allowed.numpy()[goes_on].any(axis=1).all()


def test_a_policy_that_is_kept_to_the_eligible_actions() -> None:
    chances = FixedPolicy([0.5, 0.3, 0.2]).action_probabilities(np.zeros((4, 1), np.float32))
    eligible = np.array([[True, True, True], [True, False, True], [False, False, True], [False, True, True]])
    found = among_eligible(chances, eligible)
    np.testing.assert_allclose(found, [[0.5, 0.3, 0.2], [5 / 7, 0, 2 / 7], [0, 0, 1], [0, 0.6, 0.4]], rtol=1e-12)
    always = FixedPolicy.constant(0, 3).action_probabilities(np.zeros((4, 1), np.float32))
    wanted = [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0.5, 0.5]]
    np.testing.assert_allclose(among_eligible(always, eligible), wanted, rtol=1e-12)
    assert among_eligible(always, None) is always
