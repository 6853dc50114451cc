"""A running job under watch: its end, a stop, its time limit (contract A11)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from launcher.local.executors.base import Execution

POLL_SECONDS = 0.2


class Cut(Enum):
    """Why a job was ended before it ended by itself."""

    STOP_REQUESTED = "stop"
    TIME_LIMIT = "limit"
    INTERRUPTED = "interrupt"


@dataclass(frozen=True)
class Outcome:
    """How a job's processes ended.

    Args:
        exit_code: of PID 1; 128+n for signal n.
        cut: why they were asked to end, None if they ended by themselves.
    """

    exit_code: int
    cut: Cut | None


@dataclass(frozen=True)
class Limits:
    """Times of one job, in seconds.

    Args:
        max_runtime: MaxRuntimeInSeconds, from the start of its processes (contract 92).
        grace: between SIGTERM and SIGKILL (contract 88).
    """

    max_runtime: float
    grace: float


class Waiter:
    """Waits for the exit code in a thread, so that whoever watches learns of the end at once."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._ended = threading.Event()
        self._code: int | None = None
        self._error: Exception | None = None
        threading.Thread(target=self._run, name="wait", daemon=True).start()

    def _run(self) -> None:
        try:
            self._code = self._execution.wait()
        except Exception as error:
            self._error = error
        self._ended.set()

    def ended_within(self, seconds: float) -> bool:
        """Whether the program ends within so many seconds."""
        return self._ended.wait(seconds)

    def exit_code(self) -> int:
        """The exit code of a program that has ended; raises what waiting for it raised."""
        if self._error is not None:
            raise self._error
        assert self._code is not None
        return self._code


def watch(
    execution: Execution,
    limits: Limits,
    stop_requested: Callable[[], bool],
    on_cut: Callable[[Cut], None],
    clock: Callable[[], float] = time.monotonic,
    interrupted: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Wait for a job's end; end it when it is asked to stop, its time is over, or its capacity is taken away.

    Args:
        execution: the job's processes.
        limits: its times.
        stop_requested: asked five times a second.
        on_cut: told before SIGTERM is sent.
        clock: seconds, monotonic.
        interrupted: asked as often.
    """
    waiter = Waiter(execution)
    started = clock()
    while not waiter.ended_within(POLL_SECONDS):
        if stop_requested():
            return _cut(execution, waiter, limits, Cut.STOP_REQUESTED, on_cut)
        if clock() - started >= limits.max_runtime:
            return _cut(execution, waiter, limits, Cut.TIME_LIMIT, on_cut)
        if interrupted():
            return _cut(execution, waiter, limits, Cut.INTERRUPTED, on_cut)
    return Outcome(waiter.exit_code(), None)


def _cut(execution: Execution, waiter: Waiter, limits: Limits, cut: Cut, on_cut: Callable[[Cut], None]) -> Outcome:
    on_cut(cut)
    execution.terminate()
    if not waiter.ended_within(limits.grace):
        execution.kill()
        waiter.ended_within(60)
    return Outcome(waiter.exit_code(), cut)
