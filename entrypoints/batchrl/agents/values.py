"""Agents that learn action values by bootstrapping from a target network (sections 2.3 and 2.4).

::

    Q- = target network, Q = online network, both read before the update
    y  = r + discount * bootstrap(s')            clipped to the bounds of values, where they are known and wanted
    loss = (1/B) sum (y - Q(s, a))^2             (huber: delta 1, with its 1/2 inside)

An algorithm is a way to bootstrap, and possibly a further term of the loss. Every member of an ensemble learns from its
own target. Inside, everything is as if the rewards had been divided by ``value_scale``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.agent import Agent
from batchrl.agents.losses import positions, residual_loss
from batchrl.agents.model import Scorer
from batchrl.agents.optimiser import Adam
from batchrl.agents.statistics import Signals
from batchrl.agents.targets import Target
from batchrl.agents.transitions import Batch


class ValueAgent(Agent):
    """An online and a target network, and the optimiser."""

    # Whether ``bootstrap`` looks at the online network's values of the next states.
    needs_online_next = False

    def build(self, generator: torch.Generator) -> None:
        self.online = self.problem.network(self.settings, generator)
        self.target = Target(self.online, self.settings)
        self.optimiser = Adam(self.online, self.settings, self.problem.total_updates)

    @abstractmethod
    def bootstrap(
        self, target_next: Tensor, online_next: Tensor | None, batch: Batch, rng: np.random.Generator
    ) -> Tensor:
        """Value of the next states ``[E, B]``.

        Args:
            target_next: ``[E, B, A]``, values of the target network.
            online_next: ``[E, B, A]``, of the online network; None unless ``needs_online_next``.
            batch: the minibatch.
            rng: the source of actions where none is supported.
        """

    def more_loss(self, values: Tensor, batch: Batch, gradient: Tensor) -> Tensor | None:
        """A further term of the loss.

        Args:
            values: ``[E, B, A]``, of the online network.
            batch: the minibatch.
            gradient: ``[E, B, A]``, derivatives of the whole loss by ``values``; the term adds its own.

        Returns:
            The term ``[E]``, or None.
        """
        return None

    @property
    def learning_rate(self) -> float:
        return self.optimiser.learning_rate

    def steady_updates(self) -> int | None:
        return self.target.steady_updates(self.updates)

    def look_ahead(self, block: Batch) -> None:
        self.target.look_ahead(block.data.all_next_states, block.last)

    def update(self, batch: Batch, rng: np.random.Generator) -> Signals:
        size = len(batch)
        target_next = self.target.values(batch.part, batch.next_states)
        if self.needs_online_next:
            values = self.online.forward(torch.cat([batch.states, batch.next_states]))
            values, online_next = values[:, :size], values[:, size:]
        else:
            values, online_next = self.online.forward(batch.states), None
        targets = self.problem.targets(batch, self.bootstrap(target_next, online_next, batch, rng), self.settings)
        taken = positions(batch.actions, len(values))
        loss, derivative = residual_loss(values.gather(2, taken).squeeze(2) - targets, self.settings.loss)
        gradient = torch.zeros_like(values).scatter_(2, taken, derivative[..., None])
        more = self.more_loss(values, batch, gradient)
        norm = self.optimiser.descend(gradient)
        self.updates += 1
        copied = self.target.follow(self.updates)
        total = loss if more is None else loss + more
        return Signals(total.mean(), norm, values * self.settings.value_scale, copied)

    def preferences(self) -> Scorer:
        return Scorer(self.online, self.settings.value_scale)

    def values(self) -> Scorer | None:
        return self.preferences()

    def state_dict(self) -> dict[str, Any]:
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
