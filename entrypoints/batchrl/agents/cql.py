"""Conservative Q-learning for discrete actions (Kumar et al. 2020)."""

from __future__ import annotations

from torch import Tensor

from batchrl.agents.dqn import DoubleDQN
from batchrl.agents.losses import among, cross_entropy
from batchrl.agents.transitions import Batch


class CQL(DoubleDQN):
    """CQL(H) on double DQN's targets: ``alpha (1/B) sum (logsumexp_a Q(s, a) - Q(s, a_logged))`` beside the loss.

    That term is the cross-entropy of logged actions with the values as logits. The Bellman loss stands without a 1/2
    before it, so that alpha weighs twice what it does in code that has one. The term pushes down what the
    values say of actions that were not taken, and up what they say of others; alpha counts in values as they are
    learnt, divided by ``value_scale``. The sum over actions is over those that could be taken.
    """

    def loss(self, values: Tensor, targets: Tensor, batch: Batch) -> Tensor:
        """The value agent's loss, plus ``cql_alpha`` times the conservative term."""
        conservative = cross_entropy(among(values, batch.eligible), batch.actions)
        return super().loss(values, targets, batch) + self.settings.cql_alpha * conservative
