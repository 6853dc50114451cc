"""One step of policy improvement: the values of the logging policy, then greedy once (Brandfonbrener et al. 2021)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from batchrl.agents.transitions import Batch
from batchrl.agents.values import ValueAgent


class OneStep(ValueAgent):
    """Expected SARSA: ``bootstrap = sum_a pi_b(a | s') Q-(s', a)``, pi_b being the logging policy.

    The values never run ahead of the log, which can therefore check them: ``sum_a pi_b(a | s_0) Q(s_0, a)`` estimates
    what the logged episodes returned. Where reward comes late, one step of improvement is not enough.
    """

    def bootstrap(
        self, target_next: Tensor, online_next: Tensor | None, batch: Batch, rng: np.random.Generator
    ) -> Tensor:
        """The value that the logging policy's next action has on average, [E, B]."""
        return (target_next * batch.next_behavior).sum(dim=2)
