"""Models fitted once, before the agent: the reward and the behaviour policy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.learning import Learner, gradients
from batchrl.agents.losses import among, cross_entropy, residual_loss, taken
from batchrl.agents.networks import Network
from batchrl.agents.transitions import minibatches
from presets.schema import AgentSettings

# From outputs [1, B, A] at rows [B]: the mean loss, [1].
Loss = Callable[[Tensor, Tensor], Tensor]


def reward_loss(actions: Tensor, rewards: Tensor) -> Loss:
    """Mean squared error of the taken action's reward, ``(1/B) sum (r - r_hat(s, a))^2``."""
    return lambda outputs, rows: residual_loss(taken(outputs, actions[rows]) - rewards[rows], "mse")


def imitation_loss(actions: Tensor, eligible: Tensor | None = None) -> Loss:
    """Mean cross-entropy of the taken action among the eligible ones, ``-(1/B) sum log softmax(outputs)_a``."""
    return lambda outputs, rows: cross_entropy(
        among(outputs, None if eligible is None else eligible[rows]), actions[rows]
    )


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
    learner = Learner(network, settings)
    limit = settings.updates_per_epoch
    shortened = limit is not None and limit * settings.batch_size < len(states)
    total, n_rows = torch.zeros(1), 0
    for _ in range(epochs):
        total.zero_()
        n_rows = 0
        for rows in minibatches(len(states), settings.batch_size, rng, limit if shortened else None):
            value = loss(learner.outputs(states[rows]), rows)
            (gradient,) = gradients([value], [learner.seen])
            network.backward(gradient)
            learner.optimiser.step()
            total.add_(value.detach(), alpha=len(rows))
            n_rows += len(rows)
    return total.item() / n_rows
