"""How many copies of an environment fit into a bound of memory: one is built and measured before the others.

A copy's memory is what Python and NumPy hold more after it was built and reset (``tracemalloc``, to the byte), or what
the process holds more for itself (``RssAnon``, which counts libraries in C as well), whichever is larger. The first
copy also pays for what all of them share, such as imported modules: where it alone says that not all fit, a second one
decides. What copies take later, while they are played, is not foreseen.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

GIB = 2**30
MIB = 2**20
STATUS = Path("/proc/self/status")


class Closable(Protocol):
    """Something that was built to be measured."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True)
class Fitting:
    """How many copies are built.

    Args:
        copies: of those that are wanted, as many as the bound holds; at least one.
        bytes_each: what one takes, in bytes.
    """

    copies: int
    bytes_each: int


def fitting(build: Callable[[], Closable], wanted: int, limit_bytes: int) -> Fitting:
    """Build one copy, or two at a time within the bound, measure, and let go of them.

    Args:
        build: builds one copy that is ready to be played.
        wanted: copies that are asked for, at least 1.
        limit_bytes: what all copies may take together.
    """
    first, taken = _measured(build)
    try:
        if wanted * taken <= limit_bytes:
            return Fitting(wanted, taken)
        if 2 * taken <= limit_bytes:
            second, taken = _measured(build)
            second.close()
            del second
        return Fitting(min(wanted, max(1, limit_bytes // max(taken, 1))), taken)
    finally:
        first.close()


def _measured(build: Callable[[], Closable]) -> tuple[Closable, int]:
    traced_already = tracemalloc.is_tracing()
    gc.collect()
    if not traced_already:
        tracemalloc.start()
    try:
        traced, anonymous = tracemalloc.get_traced_memory()[0], _anonymous_bytes()
        built = build()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - traced
    finally:
        if not traced_already:
            tracemalloc.stop()
    return built, max(grown, _anonymous_bytes() - anonymous, 0)


def _anonymous_bytes() -> int:
    """What the process holds in memory for itself; 0 where the system does not say."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)
