from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from batchrl.agents.learning import gradients
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.supervised import Loss, fit, imitation_loss, reward_loss
from presets.schema import AgentSettings

GENERATOR = torch.Generator().manual_seed(0)
ACTIONS = torch.tensor([0, 2, 1, 2, 2, 0])
REWARDS = torch.randn(6, generator=GENERATOR)
ROWS = torch.tensor([5, 1, 1, 3])


@pytest.mark.parametrize("kind", ["reward", "imitation"])
def test_losses_and_their_derivatives_are_those_of_autograd(kind: str) -> None:
    outputs = torch.randn(4, 3, generator=GENERATOR, requires_grad=True)
    loss: Loss
    if kind == "reward":
        loss = reward_loss(ACTIONS, REWARDS)
        wanted = functional.mse_loss(outputs.gather(1, ACTIONS[ROWS, None]).squeeze(1), REWARDS[ROWS])
    else:
        loss = imitation_loss(ACTIONS)
        wanted = functional.cross_entropy(outputs, ACTIONS[ROWS])
    wanted.backward()
    given = outputs.detach()[None].requires_grad_()
    value = loss(given, ROWS)
    (gradient,) = gradients([value], [given])
    assert value.item() == pytest.approx(wanted.item())
    torch.testing.assert_close(gradient[0], outputs.grad)


def fitted(epochs: int, seed: int = 0) -> tuple[Network, float]:
    """A classifier of states of three kinds, in which actions are taken with known probabilities."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(3), 400)
    chances = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    actions = (rng.random(1200) > chances[kinds, 0]).astype(np.int64)
    states = torch.from_numpy(np.eye(3, dtype=np.float32)[kinds])
    network = Network(NetworkShape(3, 2, (16,)), torch.Generator().manual_seed(seed))
    settings = AgentSettings(learning_rate=0.01, batch_size=100)
    loss = fit(network, states, imitation_loss(torch.from_numpy(actions)), epochs, settings, np.random.default_rng(1))
    return network, loss


def test_a_classifier_finds_the_frequencies_of_actions() -> None:
    network, loss = fitted(40)
    found = network.infer(torch.eye(3))[0].softmax(dim=1)[:, 0]
    torch.testing.assert_close(found, torch.tensor([0.9, 0.5, 0.2]), atol=0.06, rtol=0)
    entropy = np.mean([-(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in (0.9, 0.5, 0.2)])
    assert loss == pytest.approx(entropy, abs=0.04)


def test_the_same_seeds_give_the_same_network() -> None:
    assert fitted(2)[0].parameters.equal(fitted(2)[0].parameters)


@pytest.mark.parametrize(("limit", "minibatches"), [(None, 12), (12, 12), (50, 12), (5, 5)])
def test_an_epoch_is_no_longer_than_the_agents(limit: int | None, minibatches: int) -> None:
    seen: list[int] = []

    def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows.unique()))
        return 1 + 0 * outputs.sum(dim=(1, 2))

    settings = AgentSettings(batch_size=100, updates_per_epoch=limit)
    network = Network(NetworkShape(3, 2, (4,)), GENERATOR)
    mean = fit(network, torch.zeros(1200, 3), loss, 2, settings, np.random.default_rng(0))
    assert seen == [100] * (2 * minibatches)
    assert mean == 1.0
