"""Behaviour cloning: the policy that took the logged actions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.learning import LossAgent
from batchrl.agents.losses import among, cross_entropy
from batchrl.agents.model import Scorer
from batchrl.agents.transitions import Batch


class BehaviorCloning(LossAgent):
    """``loss = -(1/B) sum log softmax(f(s))_a`` over the logged actions (Pomerleau 1991).

    The logits are the preferences, so that the greedy policy takes the most frequent action. There are no values.
    """

    def build(self, generator: torch.Generator) -> None:
        """Make the network."""
        self.policy = self.make_learner("network", generator)

    def losses(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Cross entropy of the logged actions."""
        return {"network": cross_entropy(among(self.policy.outputs(batch.states), batch.eligible), batch.actions)}

    def preferences(self) -> Scorer:
        """The network's outputs, which rank the actions."""
        return Scorer(self.policy.network)

    def values(self) -> None:
        """None: cloning estimates no values."""
