from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from batchrl.agents.ddqn import DoubleDQN, Transitions
from batchrl.agents.networks import QNetwork, hidden_layers
from batchrl.agents.supervised import fit, imitation_loss, minibatches, reward_loss
from batchrl.agents.target_policy import TargetPolicy
from presets.schema import AgentSettings

SETTINGS = AgentSettings(embedder=(8,), middleware=(8,), batch_size=4, target_update_every=3)


def agent(settings: AgentSettings = SETTINGS, seed: int = 0) -> DoubleDQN:
    return DoubleDQN(3, 2, settings, torch.Generator().manual_seed(seed))


def transitions(n: int = 10, **changes: torch.Tensor) -> Transitions:
    generator = torch.Generator().manual_seed(1)
    values = {
        "states": torch.randn(n, 3, generator=generator),
        "actions": torch.arange(n) % 2,
        "rewards": torch.randn(n, generator=generator),
        "next_states": torch.randn(n, 3, generator=generator),
        "continues": (torch.arange(n) % 3 > 0).float(),
        "allowed": torch.ones(n, 2, dtype=torch.bool),
        "at_random": torch.zeros(n, dtype=torch.bool),
    }
    return Transitions(**{**values, **changes})


def test_the_preset_network_has_the_parameters_of_section_2_1() -> None:
    network = QNetwork(4, 2, hidden_layers(AgentSettings()), torch.Generator().manual_seed(0))
    assert sum(parameter.numel() for parameter in network.parameters()) == 133_890
    for layer in (*network.body, network.head):
        limit = np.sqrt(6 / sum(layer.weight.shape))
        assert layer.weight.abs().max() <= limit
        assert layer.weight.abs().max() > 0.9 * limit
        assert not layer.bias.any()


def test_one_update_follows_the_formulas_of_section_2_3() -> None:
    settings = SETTINGS.model_copy(update={"batch_size": 10, "discount": 0.9})
    learner, data = agent(settings), transitions()
    learner.target = copy.deepcopy(agent(settings, seed=5).online)
    before = copy.deepcopy(learner.online)
    allowed = data.allowed.clone()
    allowed[4] = torch.tensor([False, True])
    data = transitions(allowed=allowed)
    statistics = learner.train_epoch(data, np.random.default_rng(0))

    with torch.no_grad():
        losses = []
        for i in range(10):
            scores = before(data.next_states[i : i + 1])[0]
            choice = 1 if i == 4 else int(scores.argmax())
            bootstrap = learner.target(data.next_states[i : i + 1])[0, choice]
            target = data.rewards[i] + 0.9 * data.continues[i] * bootstrap
            losses.append((target - before(data.states[i : i + 1])[0, data.actions[i]]) ** 2)
        expected = float(torch.stack(losses).mean())
    assert statistics.loss.mean == pytest.approx(expected, rel=1e-5)
    assert statistics.updates == 1


def test_the_target_is_copied_every_k_updates_across_epochs() -> None:
    learner, data = agent(), transitions(8)
    rng = np.random.default_rng(0)
    copies = [learner.train_epoch(data, rng).target_copies for _ in range(3)]
    assert learner.updates == 6
    assert copies == [0, 1, 1]
    for mine, its in zip(learner.online.parameters(), learner.target.parameters(), strict=True):
        assert mine.equal(its)


def test_an_epoch_visits_every_row_once_and_keeps_the_short_last_batch() -> None:
    batches = list(minibatches(10, 4, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert sorted(torch.cat(batches).tolist()) == list(range(10))


def test_the_epochs_statistics_are_those_of_its_batches() -> None:
    statistics = agent().train_epoch(transitions(8), np.random.default_rng(0))
    assert statistics.loss.minimum <= statistics.loss.mean <= statistics.loss.maximum
    assert statistics.loss.stdev == pytest.approx((statistics.loss.maximum - statistics.loss.minimum) / 2)


def test_a_random_fallback_depends_on_the_generator_alone() -> None:
    data = transitions(at_random=torch.ones(10, dtype=torch.bool))
    runs = []
    for seed in (0, 0, 1):
        learner = agent()
        learner.target = copy.deepcopy(agent(seed=5).online)
        runs.append(learner.train_epoch(data, np.random.default_rng(seed)).loss.mean)
    assert runs[0] == runs[1] != runs[2]


def test_huber_differs_from_mse() -> None:
    huber = agent(SETTINGS.model_copy(update={"loss": "huber"}))
    data = transitions(rewards=torch.full((10,), 50.0))
    first = agent().train_epoch(data, np.random.default_rng(0)).loss.mean
    assert huber.train_epoch(data, np.random.default_rng(0)).loss.mean < first / 10


def test_a_restored_agent_goes_on_to_the_bit() -> None:
    data = transitions()
    straight, rng = agent(), np.random.default_rng(0)
    straight.train_epoch(data, rng)
    state = copy.deepcopy(straight.state_dict())
    other_rng = copy.deepcopy(rng)
    straight.train_epoch(data, rng)
    restored = agent(seed=9)
    restored.load_state_dict(state)
    restored.train_epoch(data, other_rng)
    for mine, its in zip(straight.online.parameters(), restored.online.parameters(), strict=True):
        assert mine.equal(its)


def test_the_reward_model_learns_the_reward_of_the_taken_action() -> None:
    states, actions = torch.randn(300, 3), torch.arange(300) % 2
    rewards = states[:, 0] * (1 - 2 * actions)
    network = QNetwork(3, 2, (32,), torch.Generator().manual_seed(0))
    settings = AgentSettings(learning_rate=0.01, batch_size=32)
    loss = fit(network, states, reward_loss(actions, rewards), 60, settings, np.random.default_rng(0))
    assert loss < 0.05


def test_the_classifier_learns_the_behaviour() -> None:
    states = torch.randn(300, 3)
    actions = (states[:, 0] > 0).long()
    network = QNetwork(3, 2, (32,), torch.Generator().manual_seed(0))
    settings = AgentSettings(learning_rate=0.01, batch_size=32)
    assert fit(network, states, imitation_loss(actions), 40, settings, np.random.default_rng(0)) < 0.2


VALUES = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]], dtype=np.float32)


def test_softmax_at_a_temperature() -> None:
    found = TargetPolicy("softmax", temperature=2.0).probabilities(VALUES)
    expected = np.exp(VALUES / 2.0)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-6)


def test_greedy_takes_the_first_of_equals_and_epsilon_is_uniform_over_the_allowed() -> None:
    assert TargetPolicy("greedy").probabilities(VALUES).tolist() == [[0, 1, 0], [1, 0, 0]]
    allowed = np.array([[True, False, True], [True, True, True]])
    found = TargetPolicy("epsilon_greedy", epsilon=0.2).probabilities(VALUES, allowed)
    np.testing.assert_allclose(found[0], [0.1, 0.0, 0.9])
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("kind", ["softmax", "greedy", "epsilon_greedy"])
def test_states_at_random_are_uniform(kind: str) -> None:
    policy = TargetPolicy(kind)  # type: ignore[arg-type]
    found = policy.probabilities(VALUES, None, np.array([True, False]))
    np.testing.assert_allclose(found[0], 1 / 3)
    assert not np.allclose(found[1], 1 / 3)
