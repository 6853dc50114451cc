"""DQN, double DQN, and double DQN whose bootstrap keeps to supported actions (BCQ)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.losses import among
from batchrl.agents.transitions import Batch
from batchrl.agents.values import ValueAgent


class DQN(ValueAgent):
    """``bootstrap = max_a Q-(s', a)`` (Mnih et al. 2015), over the actions that the transitions allow."""

    def bootstrap(
        self, target_next: Tensor, online_next: Tensor | None, batch: Batch, rng: np.random.Generator
    ) -> Tensor:
        """The target network's largest value, [E, B]."""
        return among(target_next, batch.allowed).amax(dim=2)


class DoubleDQN(ValueAgent):
    """``bootstrap = Q-(s', argmax_a Q(s', a))`` (van Hasselt et al. 2016).

    Where the transitions say which actions are allowed, the argmax is over those (batch-constrained: Fujimoto et al.
    2019, and Coach's action drop); where the mask allows none and the fallback is random, the action is drawn. An
    action that is not eligible is never allowed.
    """

    needs_online_next = True

    def bootstrap(
        self, target_next: Tensor, online_next: Tensor | None, batch: Batch, rng: np.random.Generator
    ) -> Tensor:
        """The target network's value of the action that the online network prefers, [E, B]."""
        assert online_next is not None
        if batch.allowed is not None:
            online_next = among(online_next, batch.allowed)
            if batch.at_random is not None and batch.at_random.any():
                shape = (len(online_next), int(batch.at_random.sum()), online_next.shape[2])
                drawn = torch.from_numpy(rng.random(shape, dtype=np.float32))
                online_next[:, batch.at_random] = among(drawn, batch.allowed[batch.at_random])
        best = online_next.argmax(dim=2, keepdim=True)
        return target_next.gather(2, best).squeeze(2)


class BatchConstrainedDQN(DoubleDQN):
    """Double DQN on transitions that say which actions are allowed (BCQ)."""

    constrained = True
