"""What every algorithm offers: epochs of updates, the networks that its policy consists of, and an exact state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.model import Scorer
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.transitions import Batch, Transitions, input_scaling, minibatches, updates_in_epoch
from presets.schema import AgentSettings


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

        The bounds are ``[min(0, min r), max(0, max r)] / (1 - discount)``, r being the logged rewards of one step
        (section 5.3); there are none without a discount.
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


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (population), maximum and minimum of a signal over an epoch."""

    mean: float
    stdev: float
    maximum: float
    minimum: float

    @classmethod
    def of(cls, values: Tensor) -> Summary:
        values = values.double()
        return cls(values.mean().item(), values.std(correction=0).item(), values.max().item(), values.min().item())


@dataclass(frozen=True)
class Signals:
    """What one update tells.

    Args:
        loss: of the minibatch, averaged over the ensemble; a number without a dimension.
        gradient_norm: over all parameters that were updated.
        values: of every action in the minibatch before the update, any shape, in the rewards' units; None for an
            algorithm without values.
        target_copied: whether the online network was copied into the target network.
    """

    loss: Tensor
    gradient_norm: Tensor
    values: Tensor | None
    target_copied: bool = False


@dataclass(frozen=True)
class EpochStatistics:
    """What one epoch did.

    Args:
        updates: gradient steps.
        target_copies: copies of the online network into the target network.
        loss: over the minibatches' losses.
        gradient_norm: over the minibatches' global norms.
        values: over the values of every action in every minibatch; None for an algorithm without values.
        learning_rate: over the updates.
    """

    updates: int
    target_copies: int
    loss: Summary
    gradient_norm: Summary
    values: Summary | None
    learning_rate: Summary

    @classmethod
    def of(cls, signals: Iterable[Signals], learning_rates: list[float]) -> EpochStatistics:
        """The statistics of an epoch's updates."""
        done = list(signals)
        values = [signal.values.flatten() for signal in done if signal.values is not None]
        return cls(
            updates=len(done),
            target_copies=sum(signal.target_copied for signal in done),
            loss=Summary.of(torch.stack([signal.loss for signal in done])),
            gradient_norm=Summary.of(torch.stack([signal.gradient_norm for signal in done])),
            values=Summary.of(torch.cat(values)) if values else None,
            learning_rate=Summary.of(torch.tensor(learning_rates, dtype=torch.float64)),
        )


class Agent(ABC):
    """One algorithm in the middle of its work; everything random comes from the generators that it is given.

    Args:
        problem: sizes, scaling and bounds.
        settings: the preset's section ``agent``.
        generator: the source of the initial weights.
    """

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
        signals, rates = [], []
        for rows in minibatches(len(data), self.settings.batch_size, rng, self.settings.updates_per_epoch):
            on_update()
            rates.append(self.learning_rate)
            signals.append(self.update(data.batch(rows), rng))
        return EpochStatistics.of(signals, rates)

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
