"""What dividing logged episodes tells: the answer of ``python -m batchrl.data divide``, written and read."""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(frozen=True)
class Divided:
    """What was divided.

    Args:
        everything: of all episodes.
        held_out: of those that were held out; None where none were.
        features, actions: sizes of the problem.
        eligible: whether its rows list the actions that could be taken.
    """

    everything: Returns
    held_out: Returns | None
    features: int
    actions: int
    eligible: bool = False
