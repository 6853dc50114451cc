"""Models fitted once, before the agent: the reward (section 4) and the behaviour policy (section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from batchrl.agents.networks import QNetwork, adam
from presets.schema import AgentSettings

Loss = Callable[[Tensor, Tensor], Tensor]


def minibatches(n_rows: int, batch_size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Row numbers ``[B]`` of one shuffled pass without replacement; the last, short batch is kept (section 2.4)."""
    order = torch.from_numpy(rng.permutation(n_rows))
    yield from torch.split(order, batch_size)


def reward_loss(actions: Tensor, rewards: Tensor) -> Loss:
    """Mean squared error of the taken action's reward, ``(1/B) sum (r - r_hat(s, a))^2``."""

    def loss(outputs: Tensor, rows: Tensor) -> Tensor:
        taken = outputs.gather(1, actions[rows, None]).squeeze(1)
        return functional.mse_loss(taken, rewards[rows])

    return loss


def imitation_loss(actions: Tensor) -> Loss:
    """Mean cross-entropy of the taken action."""

    def loss(outputs: Tensor, rows: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, actions[rows])

    return loss


def fit(
    network: QNetwork, states: Tensor, loss: Loss, epochs: int, settings: AgentSettings, rng: np.random.Generator
) -> float:
    """Train a network in place.

    Args:
        network: its outputs are ``[B, A]``.
        states: ``[N, d]``.
        loss: of the outputs at some rows.
        epochs: shuffled passes over the rows.
        settings: batch size and optimiser.
        rng: the source of the shuffles.

    Returns:
        The mean loss over the last epoch.
    """
    optimiser = adam(network, settings)
    total = 0.0
    for _ in range(epochs):
        total = 0.0
        for rows in minibatches(len(states), settings.batch_size, rng):
            value = loss(network(states[rows]), rows)
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += value.item() * len(rows)
    return total / len(states)
