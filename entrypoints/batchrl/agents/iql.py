"""Implicit Q-learning for discrete actions (Kostrikov, Nair & Levine 2022)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.agent import Agent
from batchrl.agents.losses import cross_entropy, expectile_loss, positions, residual_loss
from batchrl.agents.model import Scorer
from batchrl.agents.optimiser import Adam
from batchrl.agents.statistics import Signals
from batchrl.agents.targets import Target
from batchrl.agents.transitions import Batch


class IQL(Agent):
    """Values of logged actions alone, and a policy that prefers the better ones among them.

    ::

        V:  (1/B) sum |tau - 1(u < 0)| u^2,  u = Q-(s, a) - V(s)
        Q:  (1/B) sum (r + discount * V(s') - Q(s, a))^2
        pi: -(1/B) sum min(exp(beta (Q-(s, a) - V(s))), max) log pi(a | s)

    tau is ``iql_expectile``, beta ``iql_inverse_temperature``, max ``iql_max_weight``; all networks are read before any
    is updated. No action is looked at that was not taken, so that nothing has to be masked. Each of an ensemble's
    members has its own three networks. Advantages are those of values as they are learnt, divided by ``value_scale``.
    The greedy policy takes the action with the highest logit of ``pi``.
    """

    def build(self, generator: torch.Generator) -> None:
        problem, settings = self.problem, self.settings
        self.q_network = problem.network(settings, generator)
        self.v_network = problem.network(settings, generator, n_outputs=1)
        self.policy_network = problem.network(settings, generator)
        self.target = Target(self.q_network, settings)
        networks = {"q": self.q_network, "v": self.v_network, "policy": self.policy_network}
        self.optimisers = {name: Adam(network, settings, problem.total_updates) for name, network in networks.items()}

    @property
    def learning_rate(self) -> float:
        return self.optimisers["q"].learning_rate

    def steady_updates(self) -> int | None:
        return self.target.steady_updates(self.updates)

    def look_ahead(self, block: Batch) -> None:
        self.target.look_ahead(block.data.states, block.rows)

    def update(self, batch: Batch, rng: np.random.Generator) -> Signals:
        size, settings = len(batch), self.settings
        state_values = self.v_network.forward(torch.cat([batch.states, batch.next_states])).squeeze(2)
        taken = positions(batch.actions, settings.ensemble)
        advantages = self.target.values(batch.part, batch.states).gather(2, taken).squeeze(2) - state_values[:, :size]
        targets = self.problem.targets(batch, state_values[:, size:], settings)

        _, v_gradient = expectile_loss(advantages, settings.iql_expectile)
        values = self.q_network.forward(batch.states)
        loss, derivative = residual_loss(values.gather(2, taken).squeeze(2) - targets, settings.loss)
        q_gradient = torch.zeros_like(values).scatter_(2, taken, derivative[..., None])
        logits = self.policy_network.forward(batch.states)
        _, policy_gradient = cross_entropy(logits, batch.actions, self._weights(advantages))

        gradients = {"q": q_gradient, "v": v_gradient[..., None], "policy": policy_gradient}
        norms = [self.optimisers[name].descend(gradient) for name, gradient in gradients.items()]
        self.updates += 1
        copied = self.target.follow(self.updates)
        norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
        return Signals(loss.mean(), norm, values * settings.value_scale, copied)

    def _weights(self, advantages: Tensor) -> Tensor:
        """Of transitions in the policy's loss, ``[E, B]``."""
        return (advantages * self.settings.iql_inverse_temperature).exp_().clamp_(max=self.settings.iql_max_weight)

    def preferences(self) -> Scorer:
        return Scorer(self.policy_network)

    def values(self) -> Scorer:
        return Scorer(self.q_network, self.settings.value_scale)

    def state_dict(self) -> dict[str, Any]:
        return {
            "q": self.q_network.state_dict(),
            "v": self.v_network.state_dict(),
            "policy": self.policy_network.state_dict(),
            "target": self.target.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.q_network.load_state_dict(state["q"])
        self.v_network.load_state_dict(state["v"])
        self.policy_network.load_state_dict(state["policy"])
        self.target.load_state_dict(state["target"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.updates = state["updates"]
