"""Adam on a network's flat parameters, and the schedule of its step size."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from batchrl.agents import fused
from batchrl.agents.networks import Network
from presets.schema import AgentSettings

BETA1 = 0.9


class Adam:
    """Adam (Kingma & Ba 2015).

    Epsilon is added after the bias correction, as PyTorch does; TensorFlow 1 adds it before: the same epsilon is
    smaller here by ``sqrt(1 - beta2^t)``, a factor of 10 in the first step and 1 in the limit. L2 covers biases too, as
    in Coach.

    Args:
        network: whose parameters are changed, by its gradient.
        settings: the preset's section ``agent``.
        total_updates: steps of the whole run, for the schedule; None keeps the step size constant.
    """

    def __init__(self, network: Network, settings: AgentSettings, total_updates: int | None = None) -> None:
        self._network = network
        self._settings = settings
        self._total_updates = total_updates
        self._steps = torch.zeros(())
        self._first = torch.zeros_like(network.parameters)
        self._second = torch.zeros_like(network.parameters)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        settings = self._settings
        if settings.lr_schedule == "constant" or self._total_updates is None:
            return settings.learning_rate
        done = min(1.0, float(self._steps) / max(self._total_updates - 1, 1))
        share = settings.lr_final_fraction + (1 - settings.lr_final_fraction) * (1 + math.cos(math.pi * done)) / 2
        return settings.learning_rate * share

    def descend(self, output_gradient: Tensor) -> Tensor:
        """Propagate the derivatives of a loss back, and update the parameters.

        Args:
            output_gradient: see ``Network.backward``.

        Returns:
            The norm of the gradient by all parameters, a number without a dimension.
        """
        self._network.backward(output_gradient)
        norm: Tensor = torch.linalg.vector_norm(self._network.gradient)
        self.step()
        return norm

    def step(self) -> None:
        """One update of the parameters, by the network's gradient."""
        rate = self.learning_rate
        self._steps += 1
        fused.adam_step(
            self._network.parameters,
            self._network.gradient,
            self._first,
            self._second,
            self._steps,
            rate=rate,
            beta1=BETA1,
            beta2=self._settings.adam_beta2,
            epsilon=self._settings.adam_epsilon,
            l2=self._settings.l2,
        )

    def state_dict(self) -> dict[str, Any]:
        """The moments and the number of steps; they are the optimiser's own tensors."""
        return {"steps": self._steps, "first": self._first, "second": self._second}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave."""
        self._steps.copy_(state["steps"])
        self._first.copy_(state["first"])
        self._second.copy_(state["second"])
