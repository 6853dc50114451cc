"""The policy that is scored and acted with: explicit, from values and supported actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from batchrl.data.dataset import Flags, Floats32, Floats64

if TYPE_CHECKING:
    # Not for serving, whose start pydantic would lengthen.
    from presets.schema import OpeSettings

# Probabilities that are computed together.
NUMBERS_AT_ONCE = 4_194_304


@dataclass(frozen=True)
class TargetPolicy:
    """How values become probabilities.

    Args:
        kind: softmax of the values, greedy, or greedy with random exceptions.
        temperature: of the softmax.
        epsilon: probability of a random action, uniform over the allowed ones.
    """

    kind: Literal["softmax", "epsilon_greedy", "greedy"] = "softmax"
    temperature: float = 1.0
    epsilon: float = 0.1

    @classmethod
    def of(cls, settings: OpeSettings) -> TargetPolicy:
        """The target policy that a preset's ``ope`` section names."""
        return cls(settings.target_policy, settings.softmax_temperature, settings.epsilon)

    @classmethod
    def beside(cls, settings: OpeSettings) -> TargetPolicy:
        """The one that Coach scored, a softmax of the values, which is shown beside the target policy."""
        return cls("softmax", settings.softmax_temperature, settings.epsilon)

    def __str__(self) -> str:
        match self.kind:
            case "softmax":
                return f"softmax of values at temperature {self.temperature:g}"
            case "epsilon_greedy":
                return f"greedy with {self.epsilon:g} random actions"
            case "greedy":
                return "greedy"

    def probabilities(self, values: Floats32, allowed: Flags | None = None, at_random: Flags | None = None) -> Floats64:
        """Probability of every action.

        Args:
            values: ``[B, A]``.
            allowed: ``[B, A]``, at least one a row; None allows all.
            at_random: ``[B]``, states in which every allowed action is equally likely.

        Returns:
            ``[B, A]``; rows sum to 1. Ties of a greedy choice go to the first action.
        """
        result = np.empty(values.shape)
        # In blocks, so that what is needed on the way does not multiply the memory of many actions.
        size = max(1, NUMBERS_AT_ONCE // max(1, values.shape[1]))
        for start in range(0, len(values), size):
            rows = slice(start, start + size)
            some, drawn = (None if flags is None else flags[rows] for flags in (allowed, at_random))
            result[rows] = self._of_block(values[rows], some, drawn)
        return result

    def _of_block(self, values: Floats32, allowed: Flags | None, at_random: Flags | None) -> Floats64:
        scores = values.astype(np.float64)
        if allowed is None:
            allowed = np.ones(scores.shape, dtype=np.bool_)
        scores = np.where(allowed, scores, -np.inf)
        if self.kind == "softmax":
            exponents = np.exp((scores - scores.max(axis=1, keepdims=True)) / self.temperature)
            result: Floats64 = exponents / exponents.sum(axis=1, keepdims=True)
        else:
            result = np.zeros_like(scores)
            np.put_along_axis(result, scores.argmax(axis=1)[:, None], 1.0, axis=1)
            if self.kind == "epsilon_greedy":
                uniform = allowed / allowed.sum(axis=1, keepdims=True)
                result = (1 - self.epsilon) * result + self.epsilon * uniform
        if at_random is not None:
            drawn = allowed[at_random]
            result[at_random] = drawn / drawn.sum(axis=1, keepdims=True)
        return result
