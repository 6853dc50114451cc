"""What dividing logged episodes tells: the answer of ``python -m batchrl.data divide``, written and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Returns:
    """Undiscounted returns of some episodes.

    Args:
        episodes: how many.
        transitions: steps of all of them.
        mean_return: of an episode.
        standard_error: of that mean; None with one episode.
    """

    episodes: int
    transitions: int
    mean_return: float
    standard_error: float | None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """From a mapping of its fields."""
        return cls(**values)


@dataclass(frozen=True)
class Divided:
    """What was divided.

    Args:
        everything: of all episodes.
        held_out: of those that were held out; None where none were.
        features, actions: sizes of the problem.
    """

    everything: Returns
    held_out: Returns | None
    features: int
    actions: int

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave."""
        held_out = values["held_out"]
        return cls(
            everything=Returns.from_json(values["everything"]),
            held_out=None if held_out is None else Returns.from_json(held_out),
            features=values["features"],
            actions=values["actions"],
        )
