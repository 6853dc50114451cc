"""Conservative Q-learning for discrete actions (Kumar et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from batchrl.agents.dqn import DoubleDQN
from batchrl.agents.losses import positions
from batchrl.agents.transitions import Batch


class CQL(DoubleDQN):
    """CQL(H) on double DQN's targets: ``alpha (1/B) sum (logsumexp_a Q(s, a) - Q(s, a_logged))`` beside the loss.

    The Bellman loss stands without a 1/2 before it (section 5.3), so that alpha weighs twice what it does in code that
    has one. The term pushes down what the values say of actions that were not taken, and up what they say of others;
    alpha counts in values as they are learnt, divided by ``value_scale``.
    """

    def more_loss(self, values: Tensor, batch: Batch, gradient: Tensor) -> Tensor:
        alpha, size = self.settings.cql_alpha, len(batch)
        taken = positions(batch.actions, len(values))
        gradient.add_(values.softmax(dim=2), alpha=alpha / size)
        gradient.scatter_add_(2, taken, gradient.new_full((1, 1, 1), -alpha / size).expand(taken.shape))
        apart = torch.logsumexp(values, dim=2) - values.gather(2, taken).squeeze(2)
        return apart.mean(dim=1).mul_(alpha)
