"""A running job under watch."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from launcher.local.executors.address import ServerAddress
from launcher.local.executors.monitor import Cut, Limits, Outcome, watch


class Execution:
    """A program that ends with 143 when it is told to."""

    handle = "none"
    address: ServerAddress | None = None

    def __init__(self) -> None:
        self._told = threading.Event()

    def output(self) -> Iterator[bytes]:
        return iter(())

    def wait(self) -> int:
        self._told.wait(60)
        return 143

    def terminate(self) -> None:
        self._told.set()

    def kill(self) -> None:
        raise AssertionError("it ended within its grace")

    def remove(self) -> bool:
        return False


def test_A92_the_time_limit_counts_from_the_start_of_the_processes() -> None:
    # Whatever the clock showed before, while the job was prepared, does not count.
    times = iter([1000.0, 1000.5, 1009.9, 1010.0])
    cuts: list[Cut] = []
    outcome = watch(Execution(), Limits(max_runtime=10, grace=30), lambda: False, cuts.append, lambda: next(times))
    assert outcome == Outcome(143, Cut.TIME_LIMIT)
    assert cuts == [Cut.TIME_LIMIT]
    assert list(times) == []
