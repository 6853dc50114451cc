"""Observations of Gymnasium's spaces as flat states, of all copies at once, in the order of its own ``flatten``.

==============  ==================================================================================
space           its numbers
==============  ==================================================================================
Box             its values, row by row
MultiBinary     its values, row by row
Discrete        one-hot
MultiDiscrete   one-hot, each of its parts in turn
Tuple, Dict     those of each part in turn; a Dict's parts have the order of its space
==============  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.spaces.utils import flatdim

from batchrl.contract.errors import InputError
from batchrl.policies import Floats32

AnySpace = gym.Space[Any]
SIZED = (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)
KNOWN = "Box, Discrete, MultiDiscrete, MultiBinary, and Tuple and Dict of these"


def flat_size(space: AnySpace, env_name: str) -> int:
    """How many numbers an observation is.

    Args:
        space: what one environment observes.
        env_name: the environment, for messages.

    Raises:
        InputError: a part of the space has no fixed number of numbers.
    """
    for place, part in _parts(space, ""):
        if not isinstance(part, SIZED):
            where = f"in its part {place} " if place else ""
            raise InputError(
                f"environment {env_name} observes {where}{type(part).__name__}, which is no fixed number of columns.",
                f"States can be made of {KNOWN}: wrap the environment so that it observes those, and register that.",
            )
    return int(flatdim(space))


def _parts(space: AnySpace, place: str) -> Iterator[tuple[str, AnySpace]]:
    """Every space in a space that holds no others, with its place: ``['arm'][0]``."""
    match space:
        case gym.spaces.Dict():
            for key, part in space.spaces.items():
                yield from _parts(part, f"{place}[{key!r}]")
        case gym.spaces.Tuple():
            for number, part in enumerate(space.spaces):
                yield from _parts(part, f"{place}[{number}]")
        case _:
            yield place, space


def flat_states(space: AnySpace, observations: Any, n: int) -> Floats32:
    """States ``[n, d]`` of a batch of observations.

    Args:
        space: what one environment observes; see ``flat_size``.
        observations: of ``n`` of them, as a vector environment has them: arrays with ``n`` rows, in tuples and mappings
            where the space has parts.
        n: how many.

    Raises:
        InputError: a discrete observation is none of its space.
    """
    match space:
        case gym.spaces.Discrete():
            sizes, start = np.array([int(space.n)]), np.array([int(space.start)])
            return _one_hot(np.asarray(observations).reshape(n, 1) - start, sizes, space)
        case gym.spaces.MultiDiscrete():
            numbers = np.asarray(observations).reshape(n, -1) - np.asarray(space.start).reshape(-1)
            return _one_hot(numbers, np.asarray(space.nvec).reshape(-1), space)
        case gym.spaces.Tuple():
            given = zip(space.spaces, observations, strict=True)
            return _beside([flat_states(part, seen, n) for part, seen in given], n)
        case gym.spaces.Dict():
            return _beside([flat_states(part, observations[key], n) for key, part in space.spaces.items()], n)
        case _:
            return np.asarray(observations, dtype=np.float32).reshape(n, flatdim(space))


def _beside(parts: list[Floats32], n: int) -> Floats32:
    return np.concatenate([np.zeros((n, 0), np.float32), *parts], axis=1)


def _one_hot(numbers: npt.NDArray[Any], sizes: npt.NDArray[Any], space: AnySpace) -> Floats32:
    """``[n, sum of sizes]`` of numbers ``[n, k]``, each below its size."""
    wrong = (numbers < 0) | (numbers >= sizes)
    if wrong.any():
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise InputError(
            f"an environment observes something outside of its own space {space}: {(numbers[row]).tolist()}, counted "
            "from the first of each."
        )
    states: Floats32 = np.zeros((len(numbers), int(sizes.sum())), dtype=np.float32)
    states[np.arange(len(numbers))[:, None], np.cumsum(sizes) - sizes + numbers] = 1
    return states
