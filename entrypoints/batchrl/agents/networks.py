"""The value network (section 2.1): embedder, middleware, one linear output an action."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from presets.schema import AgentSettings

ROWS_AT_ONCE = 16_384


class QNetwork(nn.Module):
    """ReLU layers and a linear head; weights Glorot uniform, biases zero.

    Args:
        n_features: length of a state, d.
        n_actions: number of outputs, A.
        hidden: units of every hidden layer; the last one's output is the state embedding.
        generator: the source of the initial weights.
    """

    def __init__(self, n_features: int, n_actions: int, hidden: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.n_features = n_features
        self.n_actions = n_actions
        self.hidden = tuple(hidden)
        widths = [n_features, *hidden]
        self.body = nn.ModuleList(nn.Linear(low, high) for low, high in itertools.pairwise(widths))
        self.head = nn.Linear(widths[-1], n_actions)
        for layer in (*self.body, self.head):
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)

    def embed(self, states: Tensor) -> Tensor:
        """State embeddings ``[B, hidden[-1]]`` (the states themselves where there is no hidden layer)."""
        for layer in self.body:
            states = torch.relu(layer(states))
        return states

    def forward(self, states: Tensor) -> Tensor:
        """Values ``[B, A]`` of states ``[B, d]``."""
        values: Tensor = self.head(self.embed(states))
        return values


def hidden_layers(settings: AgentSettings) -> tuple[int, ...]:
    """Units of the hidden layers that a preset asks for."""
    return (*settings.embedder, *settings.middleware)


def adam(network: QNetwork, settings: AgentSettings) -> torch.optim.Adam:
    """The optimiser of section 2.2.

    PyTorch adds epsilon after the bias correction, TensorFlow 1 before it: the same epsilon is smaller here by
    ``sqrt(1 - beta2^t)``, a factor of 10 in the first step and 1 in the limit. L2 covers biases too, as in Coach.
    """
    return torch.optim.Adam(
        network.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, settings.adam_beta2),
        eps=settings.adam_epsilon,
        weight_decay=settings.l2,
        fused=True,
    )


@torch.no_grad()
def in_blocks(network: QNetwork, states: Tensor, embed: bool = False) -> Tensor:
    """Outputs (or embeddings) of any number of states, in blocks that bound the memory."""
    apply = network.embed if embed else network.forward
    return torch.cat([apply(block) for block in torch.split(states, ROWS_AT_ONCE)])
