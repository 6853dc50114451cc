"""Double DQN whose bootstrap is restricted to supported actions (sections 2.3, 2.4 and 3).

::

    Q- = target network, Q = online network, both read before the update
    a* = argmax over the allowed a of Q(s', a)
    y  = r + gamma (1 - d) Q-(s', a*)
    loss = (1/B) sum (y - Q(s, a))^2            (huber: delta 1, with its 1/2 inside)
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from batchrl.agents.networks import QNetwork, adam, hidden_layers
from batchrl.agents.supervised import minibatches
from batchrl.data.dataset import Dataset
from presets.schema import AgentSettings


@dataclass(frozen=True)
class Transitions:
    """The training episodes as tensors.

    Args:
        states: ``[N, d]``.
        actions: ``[N]``.
        rewards: ``[N]``, float32.
        next_states: ``[N, d]``.
        continues: ``[N]``, 0.0 where terminal, else 1.0.
        allowed: ``[N, A]``, actions that the bootstrap may take at the next state.
        at_random: ``[N]``, whether the bootstrap's action is drawn among all instead.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    next_states: Tensor
    continues: Tensor
    allowed: Tensor
    at_random: Tensor

    @classmethod
    def of(cls, dataset: Dataset, allowed: Tensor, at_random: Tensor) -> Transitions:
        return cls(
            states=torch.from_numpy(dataset.states),
            actions=torch.from_numpy(dataset.actions),
            rewards=torch.from_numpy(dataset.rewards.astype(np.float32)),
            next_states=torch.from_numpy(dataset.next_states),
            continues=torch.from_numpy((~dataset.terminal).astype(np.float32)),
            allowed=allowed,
            at_random=at_random,
        )


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (population), maximum and minimum of a signal over an epoch."""

    mean: float
    stdev: float
    maximum: float
    minimum: float

    @classmethod
    def of(cls, values: Tensor) -> Summary:
        values = values.double()
        return cls(values.mean().item(), values.std(correction=0).item(), values.max().item(), values.min().item())


@dataclass(frozen=True)
class EpochStatistics:
    """What one pass over the training episodes did.

    Args:
        updates: gradient steps.
        target_copies: copies of the online network into the target network.
        loss: over the minibatches' losses.
        gradient_norm: over the minibatches' global norms.
        values: over the online network's values of every action in every minibatch, before its update.
    """

    updates: int
    target_copies: int
    loss: Summary
    gradient_norm: Summary
    values: Summary


class DoubleDQN:
    """The agent: an online and a target network, and the optimiser.

    Args:
        n_features: length of a state.
        n_actions: number of actions.
        settings: the preset's section ``agent``.
        generator: the source of the initial weights.
    """

    def __init__(self, n_features: int, n_actions: int, settings: AgentSettings, generator: torch.Generator) -> None:
        self.settings = settings
        self.online = QNetwork(n_features, n_actions, hidden_layers(settings), generator)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.optimiser = adam(self.online, settings)
        self.updates = 0

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on."""
        return {
            "online": self.online.state_dict(),
            "target": self.target.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.online.load_state_dict(state["online"])
        self.target.load_state_dict(state["target"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.updates = state["updates"]

    def train_epoch(
        self, data: Transitions, rng: np.random.Generator, on_update: Callable[[], None] = lambda: None
    ) -> EpochStatistics:
        """One shuffled pass over the transitions.

        Args:
            data: the training episodes.
            rng: the source of the shuffle, and of actions where none is supported.
            on_update: called before each update; what it raises ends the epoch.
        """
        losses, norms, values = [], [], []
        copies = 0
        for rows in minibatches(len(data.states), self.settings.batch_size, rng):
            on_update()
            targets = self._targets(data, rows, rng)
            predicted = self.online(data.states[rows])
            taken = predicted.gather(1, data.actions[rows, None]).squeeze(1)
            loss = self._loss(taken, targets)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norms.append(_global_norm(self.online))
            self.optimiser.step()
            losses.append(loss.detach())
            values.append(predicted.detach().flatten())
            self.updates += 1
            if self.updates % self.settings.target_update_every == 0:
                self.target.load_state_dict(self.online.state_dict())
                copies += 1
        return EpochStatistics(
            updates=len(losses),
            target_copies=copies,
            loss=Summary.of(torch.stack(losses)),
            gradient_norm=Summary.of(torch.stack(norms)),
            values=Summary.of(torch.cat(values)),
        )

    @torch.no_grad()
    def _targets(self, data: Transitions, rows: Tensor, rng: np.random.Generator) -> Tensor:
        next_states = data.next_states[rows]
        scores = self.online(next_states).masked_fill(~data.allowed[rows], -torch.inf)
        random_rows = data.at_random[rows]
        if random_rows.any():
            scores[random_rows] = torch.from_numpy(
                rng.random((int(random_rows.sum()), scores.shape[1]), dtype=np.float32)
            )
        best = scores.argmax(dim=1, keepdim=True)
        bootstrap = self.target(next_states).gather(1, best).squeeze(1)
        targets: Tensor = data.rewards[rows] + self.settings.discount * data.continues[rows] * bootstrap
        return targets

    def _loss(self, taken: Tensor, targets: Tensor) -> Tensor:
        if self.settings.loss == "huber":
            return functional.huber_loss(taken, targets)
        return functional.mse_loss(taken, targets)


def _global_norm(network: QNetwork) -> Tensor:
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)
