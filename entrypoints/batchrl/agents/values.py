"""Agents that learn action values by bootstrapping from a target network.

::

    Q- = target network, Q = online network, both read before the update
    y  = r + discount * bootstrap(s')            clipped to the bounds of values, where they are known and wanted
    loss = (1/B) sum (y - Q(s, a))^2             (huber: delta 1, with its 1/2 inside)

An algorithm is a way to bootstrap, and possibly a further term of the loss. Every member of an ensemble learns from its
own target. Inside, everything is as if the rewards had been divided by ``value_scale``.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.learning import LossAgent
from batchrl.agents.losses import residual_loss, taken
from batchrl.agents.model import Scorer
from batchrl.agents.targets import Target
from batchrl.agents.transitions import Batch


class ValueAgent(LossAgent):
    """An online and a target network."""

    # Whether ``bootstrap`` looks at the online network's values of the next states.
    needs_online_next = False
    target: Target

    def build(self, generator: torch.Generator) -> None:
        """Make the online network and its target."""
        self.online = self.make_learner("online", generator)
        self.target = self.make_target(self.online)

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

    def loss(self, values: Tensor, targets: Tensor, batch: Batch) -> Tensor:
        """The loss ``[E]``: that of the Bellman residual, unless an algorithm adds to it.

        Args:
            values: ``[E, B, A]``, of the online network; autograd derives the loss by them.
            targets: ``[E, B]``, what the values of the logged actions are drawn to.
            batch: the minibatch.
        """
        return residual_loss(taken(values, batch.actions) - targets, self.settings.loss)

    def look_ahead(self, block: Batch) -> None:
        """Compute the target's values of a block of transitions in one pass."""
        self.target.look_ahead(block.data.all_next_states, block.last)

    def losses(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The temporal-difference loss of the online network."""
        target_next, online_next = self.target.values(batch.part, batch.next_states), None
        if self.needs_online_next:
            values, online_next = self.online.outputs_and_others(batch.states, batch.next_states)
        else:
            values = self.online.outputs(batch.states)
        targets = self.problem.targets(batch, self.bootstrap(target_next, online_next, batch, rng), self.settings)
        return {"online": self.loss(values, targets, batch)}

    def preferences(self) -> Scorer:
        """The online network's values, which rank the actions."""
        return Scorer(self.online.network, self.settings.value_scale)

    def values(self) -> Scorer | None:
        """The online network's values, in units of return."""
        return self.preferences()
