"""Behaviour cloning: the policy that took the logged actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from batchrl.agents.agent import Agent
from batchrl.agents.losses import cross_entropy
from batchrl.agents.model import Scorer
from batchrl.agents.optimiser import Adam
from batchrl.agents.statistics import Signals
from batchrl.agents.transitions import Batch


class BehaviorCloning(Agent):
    """``loss = -(1/B) sum log softmax(f(s))_a`` over the logged actions (Pomerleau 1991).

    The logits are the preferences, so that the greedy policy takes the most frequent action. There are no values.
    """

    def build(self, generator: torch.Generator) -> None:
        self.network = self.problem.network(self.settings, generator)
        self.optimiser = Adam(self.network, self.settings, self.problem.total_updates)

    @property
    def learning_rate(self) -> float:
        return self.optimiser.learning_rate

    def update(self, batch: Batch, rng: np.random.Generator) -> Signals:
        loss, gradient = cross_entropy(self.network.forward(batch.states), batch.actions)
        norm = self.optimiser.descend(gradient)
        self.updates += 1
        return Signals(loss.mean(), norm, None)

    def preferences(self) -> Scorer:
        return Scorer(self.network)

    def values(self) -> None:
        return None

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.updates = state["updates"]
