"""How the benchmarks say what they measured: one line a figure, beside what is wanted of it."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.session.session import LocalSession

WIDTH = 74


@dataclass(frozen=True)
class Figure:
    """One measurement.

    Args:
        what: what was measured, with its conditions.
        measured: the value.
        unit: ``s`` for seconds, ``x`` for a ratio.
        wanted: the bound it is held against, in the same unit.
        at_least: whether the bound is a lower one.
    """

    what: str
    measured: float
    unit: str
    wanted: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    def __str__(self) -> str:
        bound = f"at {'least' if self.at_least else 'most'} {self.wanted:g} {self.unit}"
        verdict = "" if self.holds else "   NOT MET"
        return f"  {self.what:<{WIDTH}} {self.measured:8.2f} {self.unit}   wanted {bound}{verdict}"


def show(*figures: Figure) -> None:
    """Print figures as soon as they are known."""
    for figure in figures:
        print(figure, flush=True)


def cannot(what: str, why: str) -> None:
    """Say that a figure could not be measured here, and why."""
    print(f"  {what:<{WIDTH}} not measured: {why}", flush=True)


def median_seconds(action: Callable[[], object], repeats: int) -> float:
    """The median wall time of an action, in seconds."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


@contextmanager
def warm_cloud() -> Iterator[LocalSession]:
    """A local cloud of its own in a temporary data folder, up and answering; stopped and removed at the end."""
    from launcher.local import cloud
    from launcher.session.session import Session

    with tempfile.TemporaryDirectory(prefix="batchrl-bench-") as folder:
        session = Session.local(folder)
        try:
            session.sagemaker.list_training_jobs(MaxResults=1)
            yield session
        finally:
            cloud.down(Path(folder), stop_jobs=True)


def beside_python(name: str) -> str:
    """The path of a command that was installed with this Python."""
    return str(Path(sys.executable).parent / name)
