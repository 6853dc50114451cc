"""Limits that settings alone show: least sizes of what is divided and fitted, and the memory of simulators."""

from __future__ import annotations

import math

LEAST_HELD_OUT = 2
# The target network of fitted Q evaluation has to move at least so many times the effective horizon:
# fewer, and all policies get nearly the same values.
COPIES_PER_HORIZON = 5
# What copies of an environment may take together, in GiB: with the libraries (0.3) and the recorded steps, a process
# that plays stays below 2 GB.
COPIES_GIB = 1.0


def held_out_size(episodes: int, share: float) -> int:
    """How many episodes are held out; a division must leave at least ``LEAST_HELD_OUT`` others."""
    return max(LEAST_HELD_OUT, round(share * episodes))


def effective_horizon(longest: float, discount: float) -> float:
    """Steps over which rewards are carried, of episodes of at most ``longest`` steps."""
    return min(longest, 1 / (1 - discount)) if discount < 1 else longest


def least_fqe_updates(horizon: float) -> int:
    """Gradient steps below which fitted Q evaluation cannot carry rewards over an effective horizon."""
    return math.ceil(COPIES_PER_HORIZON * horizon)
