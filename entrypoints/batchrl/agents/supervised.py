"""Models fitted once, before the agent: the reward (section 4) and the behaviour policy (section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.networks import Network
from batchrl.agents.optimiser import Adam
from batchrl.agents.transitions import minibatches
from presets.schema import AgentSettings

# From outputs [B, A] at rows [B]: the mean loss, a number without a dimension, and its derivatives [B, A].
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def reward_loss(actions: Tensor, rewards: Tensor) -> Loss:
    """Mean squared error of the taken action's reward, ``(1/B) sum (r - r_hat(s, a))^2``."""

    def loss(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        taken = actions[rows, None]
        residual = outputs.gather(1, taken) - rewards[rows, None]
        gradient = torch.zeros_like(outputs).scatter_(1, taken, residual * (2 / len(rows)))
        return residual.square().mean(), gradient

    return loss


def imitation_loss(actions: Tensor) -> Loss:
    """Mean cross-entropy of the taken action, ``-(1/B) sum log softmax(outputs)_a``."""

    def loss(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        taken = actions[rows, None]
        logarithms = outputs.log_softmax(dim=1)
        gradient = logarithms.exp().mul_(1 / len(rows))
        gradient.scatter_add_(1, taken, torch.full_like(taken, -1 / len(rows), dtype=gradient.dtype))
        return -logarithms.gather(1, taken).mean(), gradient

    return loss


def fit(
    network: Network, states: Tensor, loss: Loss, epochs: int, settings: AgentSettings, rng: np.random.Generator
) -> float:
    """Train a network in place, with a constant step size.

    Args:
        network: an ensemble of one; its outputs are ``[1, B, A]``.
        states: ``[N, d]``.
        loss: of the outputs at some rows.
        epochs: shuffled passes over the rows, each cut to the minibatches of an agent's epoch where those are fewer.
        settings: batch size and optimiser.
        rng: the source of the shuffles.

    Returns:
        The mean loss over the last epoch.
    """
    optimiser = Adam(network, settings)
    limit = settings.updates_per_epoch
    shortened = limit is not None and limit * settings.batch_size < len(states)
    total, n_rows = torch.zeros(()), 0
    for _ in range(epochs):
        total.zero_()
        n_rows = 0
        for rows in minibatches(len(states), settings.batch_size, rng, limit if shortened else None):
            value, gradient = loss(network.forward(states[rows])[0], rows)
            network.backward(gradient[None])
            optimiser.step()
            total.add_(value, alpha=len(rows))
            n_rows += len(rows)
    return total.item() / n_rows
