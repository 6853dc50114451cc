"""What the updates of an epoch tell, summed up in a bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Updates whose signals are kept before they are summed up together.
UPDATES_AT_ONCE = 64


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (population), maximum and minimum of a signal over an epoch."""

    mean: float
    stdev: float
    maximum: float
    minimum: float


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

    @property
    def diverged(self) -> bool:
        """Whether a loss was no finite number: nothing can be learnt from there on."""
        return not math.isfinite(self.loss.mean)


class Recorder:
    """Collects the signals of an epoch, in order."""

    def __init__(self) -> None:
        self._updates = 0
        self._target_copies = 0
        self._loss, self._norm, self._values, self._rate = Moments(), Moments(), Moments(), Moments()
        self._pending: list[Signals] = []
        self._pending_rates: list[float] = []

    def add(self, signals: Signals, learning_rate: float) -> None:
        """One update."""
        self._updates += 1
        self._target_copies += signals.target_copied
        self._pending.append(signals)
        self._pending_rates.append(learning_rate)
        if len(self._pending) == UPDATES_AT_ONCE:
            self._sum_up()

    def statistics(self) -> EpochStatistics:
        """Of all updates so far; there is at least one."""
        if self._pending:
            self._sum_up()
        return EpochStatistics(
            updates=self._updates,
            target_copies=self._target_copies,
            loss=self._loss.summary(),
            gradient_norm=self._norm.summary(),
            values=self._values.summary() if self._values.count else None,
            learning_rate=self._rate.summary(),
        )

    def _sum_up(self) -> None:
        self._loss.add(torch.stack([signals.loss for signals in self._pending]))
        self._norm.add(torch.stack([signals.gradient_norm for signals in self._pending]))
        self._rate.add(torch.tensor(self._pending_rates, dtype=torch.float64))
        if values := [signals.values.flatten() for signals in self._pending if signals.values is not None]:
            self._values.add(torch.cat(values))
        self._pending, self._pending_rates = [], []


class Moments:
    """Running count, mean, squared deviations and range, in float64 (Chan, Golub & LeVeque 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = 0.0
        self._squares = 0.0
        self._maximum = -math.inf
        self._minimum = math.inf

    def add(self, values: Tensor) -> None:
        """Further values ``[n]``, n > 0."""
        values = values.double()
        n, mean = values.numel(), values.mean().item()
        apart, total = mean - self._mean, self.count + n
        self._squares += (values - mean).square().sum().item() + apart**2 * self.count * n / total
        self._mean += apart * n / total
        self.count = total
        # Written so that a value that is not a number stays visible.
        self._maximum = torch.tensor([self._maximum, values.max().item()], dtype=torch.float64).max().item()
        self._minimum = torch.tensor([self._minimum, values.min().item()], dtype=torch.float64).min().item()

    def summary(self) -> Summary:
        """Mean, standard deviation, largest and smallest of what was added."""
        return Summary(self._mean, math.sqrt(self._squares / self.count), self._maximum, self._minimum)
