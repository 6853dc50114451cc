"""What every algorithm offers: epochs of updates, the networks that its policy consists of, and an exact state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.model import Scorer
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.statistics import EpochStatistics, Recorder, Signals
from batchrl.agents.transitions import Batch, Transitions, epoch_order, input_scaling, updates_in_epoch
from presets.schema import AgentSettings

# Rows, and numbers in their states, that are gathered together.
BLOCK_ROWS = 16_384
BLOCK_NUMBERS = 4_194_304


@dataclass(frozen=True)
class Problem:
    """What an agent has to know of the data before the first update.

    Args:
        n_features: length of a state, d.
        n_actions: A.
        total_updates: gradient steps of the whole run.
        input_shift: ``[d]``, or None where inputs are not standardised.
        input_scale: ``[d]``, or None.
        value_bounds: least and greatest possible value; None: unknown, or not to be used.
    """

    n_features: int
    n_actions: int
    total_updates: int
    input_shift: Tensor | None = None
    input_scale: Tensor | None = None
    value_bounds: tuple[float, float] | None = None

    @classmethod
    def of(cls, data: Transitions, settings: AgentSettings, epochs: int) -> Problem:
        """The problem that a preset poses with some transitions.

        The bounds are ``[min(0, min r), max(0, max r)] / (1 - discount)``, r being the logged rewards of one
        step; there are none without a discount.
        """
        shift, scale = input_scaling(data.states) if settings.standardise_inputs else (None, None)
        bounds = None
        if settings.value_bounds == "rewards" and settings.discount < 1:
            low, high = data.reward_range
            bounds = (min(0.0, low) / (1 - settings.discount), max(0.0, high) / (1 - settings.discount))
        return cls(
            n_features=data.states.shape[1],
            n_actions=data.n_actions,
            total_updates=epochs * updates_in_epoch(len(data), settings),
            input_shift=shift,
            input_scale=scale,
            value_bounds=bounds,
        )

    def network(self, settings: AgentSettings, generator: torch.Generator, n_outputs: int | None = None) -> Network:
        """A new ensemble for this problem; one output an action unless told otherwise."""
        hidden = (*settings.embedder, *settings.middleware)
        outputs = self.n_actions if n_outputs is None else n_outputs
        shape = NetworkShape(self.n_features, outputs, hidden, settings.ensemble)
        return Network(shape, generator, self.input_shift, self.input_scale)

    def targets(self, batch: Batch, bootstrap: Tensor, settings: AgentSettings) -> Tensor:
        """What values are drawn to, ``r + discount * bootstrap`` within the bounds, ``[E, B]``.

        Args:
            batch: the minibatch.
            bootstrap: values of its next states ``[E, B]``, divided by ``value_scale`` as the result is.
            settings: the preset's section ``agent``.
        """
        scale = settings.value_scale
        targets = torch.addcmul(batch.rewards if scale == 1 else batch.rewards / scale, batch.discounts, bootstrap)
        if self.value_bounds is None:
            return targets
        low, high = self.value_bounds
        return targets.clamp_(low / scale, high / scale)


class Agent(ABC):
    """One algorithm in the middle of its work; everything random comes from the generators that it is given.

    Args:
        problem: sizes, scaling and bounds.
        settings: the preset's section ``agent``.
        generator: the source of the initial weights.
    """

    # Whether its transitions say by ``allowed`` which next actions the data supports, as the section ``bcq`` has it.
    constrained: ClassVar[bool] = False
    # Whether it learns from logs of single decisions alone: what follows a decision, it does not see.
    single_decisions: ClassVar[bool] = False

    def __init__(self, problem: Problem, settings: AgentSettings, generator: torch.Generator) -> None:
        self.problem = problem
        self.settings = settings
        self.updates = 0
        self.build(generator)

    @abstractmethod
    def build(self, generator: torch.Generator) -> None:
        """Make networks and optimisers."""

    def train_epoch(
        self, data: Transitions, rng: np.random.Generator, on_update: Callable[[], None] = lambda: None
    ) -> EpochStatistics:
        """One epoch.

        Args:
            data: the training episodes.
            rng: the source of the shuffle, and of actions where none is supported.
            on_update: called before each update; what it raises ends the epoch.
        """
        size = self.settings.batch_size
        order = epoch_order(len(data), size, rng, self.settings.updates_per_epoch)
        recorder = Recorder()
        start = 0
        while start < len(order):
            block = data.batch(order[start : start + size * self._updates_ahead(data)])
            self.look_ahead(block)
            for batch in block.split(size):
                on_update()
                rate = self.learning_rate
                recorder.add(self.update(batch, rng), rate)
            start += len(block)
        return recorder.statistics()

    def _updates_ahead(self, data: Transitions) -> int:
        """Minibatches that are gathered together."""
        rows = min(BLOCK_ROWS, BLOCK_NUMBERS // data.states.shape[1])
        most = max(1, rows // self.settings.batch_size)
        steady = self.steady_updates()
        return most if steady is None else min(most, steady)

    def steady_updates(self) -> int | None:
        """Updates that ``look_ahead`` may prepare at once; None: any number."""
        return None

    def look_ahead(self, block: Batch) -> None:  # noqa: B027 (most algorithms have nothing to prepare)
        """Prepare for the next minibatches.

        Args:
            block: all of them together, in order; each says by ``part`` where it lies therein.
        """

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """Of the next update."""

    @abstractmethod
    def update(self, batch: Batch, rng: np.random.Generator) -> Signals:
        """One gradient step of every network."""

    @abstractmethod
    def preferences(self) -> Scorer:
        """What the policy prefers: its greedy action is the one with the highest score. Shares the agent's memory."""

    @abstractmethod
    def values(self) -> Scorer | None:
        """``Q(s, a)`` in the rewards' units, or None. Shares the agent's memory."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on: nested dicts of tensors, numbers and texts."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
