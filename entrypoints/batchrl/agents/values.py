"""Agents that learn action values by bootstrapping from a target network (sections 2.3 and 2.4).

::

    Q- = target network, Q = online network, both read before the update
    y  = r + discount * bootstrap(s')            clipped to the bounds of values, where they are known and wanted
    loss = (1/B) sum (y - Q(s, a))^2             (huber: delta 1, with its 1/2 inside)

An algorithm is a way to bootstrap, and possibly a further term of the loss. Every member of an ensemble learns from its
own target. Inside, values are divided by ``value_scale``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.agent import Agent, Signals
from batchrl.agents.model import Scorer
from batchrl.agents.optimiser import Adam
from batchrl.agents.transitions import Batch


class ValueAgent(Agent):
    """An online and a target network, and the optimiser."""

    # Whether ``bootstrap`` looks at the online network's values of the next states.
    needs_online_next = False

    def build(self, generator: torch.Generator) -> None:
        self.online = self.problem.network(self.settings, generator)
        self.target = self.online.copy()
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

    def update(self, batch: Batch, rng: np.random.Generator) -> Signals:
        size, scale = len(batch), self.settings.value_scale
        target_next = self.target.infer(batch.next_states)
        if self.needs_online_next:
            values = self.online.forward(torch.cat([batch.states, batch.next_states]))
            values, online_next = values[:, :size], values[:, size:]
        else:
            values, online_next = self.online.forward(batch.states), None
        bootstrap = self.bootstrap(target_next, online_next, batch, rng)
        targets = torch.addcmul(batch.rewards / scale, batch.discounts, bootstrap)
        if self.problem.value_bounds is not None:
            low, high = self.problem.value_bounds
            targets = targets.clamp_(low / scale, high / scale)
        positions = batch.actions.expand(len(values), -1)[..., None]
        residual = values.gather(2, positions).squeeze(2) - targets
        gradient = torch.zeros_like(values)
        if self.settings.loss == "huber":
            loss = torch.where(residual.abs() < 1, residual.square() / 2, residual.abs() - 0.5).mean(dim=1)
            gradient.scatter_(2, positions, (residual.clamp(-1, 1) / size)[..., None])
        else:
            loss = residual.square().mean(dim=1)
            gradient.scatter_(2, positions, (residual * (2 / size))[..., None])
        more = self.more_loss(values, batch, gradient)
        self.online.backward(gradient)
        norm = torch.linalg.vector_norm(self.online.gradient)
        self.optimiser.step()
        self.updates += 1
        copied = self._move_target()
        total = loss if more is None else loss + more
        return Signals(total.mean(), norm, values * scale, copied)

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

    def _move_target(self) -> bool:
        if self.settings.target_update == "soft":
            self.target.parameters.lerp_(self.online.parameters, self.settings.soft_rate)
            return True
        due = self.updates % self.settings.target_update_every == 0
        if due:
            self.target.parameters.copy_(self.online.parameters)
        return due
