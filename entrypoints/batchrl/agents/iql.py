"""Implicit Q-learning for discrete actions (Kostrikov, Nair & Levine 2022)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.learning import LossAgent
from batchrl.agents.losses import among, cross_entropy, expectile_loss, residual_loss, taken
from batchrl.agents.model import Scorer
from batchrl.agents.targets import Target
from batchrl.agents.transitions import Batch


class IQL(LossAgent):
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

    target: Target

    def build(self, generator: torch.Generator) -> None:
        """Make the networks of Q, V and the policy."""
        self.q = self.make_learner("q", generator)
        self.v = self.make_learner("v", generator, n_outputs=1)
        self.policy = self.make_learner("policy", generator)
        self.target = self.make_target(self.q)

    def look_ahead(self, block: Batch) -> None:
        """Compute the target's values of a block of transitions in one pass."""
        self.target.look_ahead(block.data.states, block.rows)

    def losses(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses of V (expectile), Q (squared error) and the policy (weighted cloning)."""
        settings = self.settings
        state_values, next_values = self.v.outputs_and_others(batch.states, batch.next_states)
        target_values = taken(self.target.values(batch.part, batch.states), batch.actions)
        advantages = target_values - state_values.squeeze(2)
        targets = self.problem.targets(batch, next_values.squeeze(2), settings)
        residual = taken(self.q.outputs(batch.states), batch.actions) - targets
        weights = (advantages.detach() * settings.iql_inverse_temperature).exp_().clamp_(max=settings.iql_max_weight)
        return {
            "q": residual_loss(residual, settings.loss),
            "v": expectile_loss(advantages, settings.iql_expectile),
            "policy": cross_entropy(among(self.policy.outputs(batch.states), batch.eligible), batch.actions, weights),
        }

    def preferences(self) -> Scorer:
        """The policy network's outputs, which rank the actions."""
        return Scorer(self.policy.network)

    def values(self) -> Scorer:
        """The network of Q, in units of return."""
        return Scorer(self.q.network, self.settings.value_scale)
