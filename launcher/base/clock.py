"""Time as an argument, so that everything that waits can be tested without waiting."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that pass."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The computer's monotonic clock."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread for so many seconds."""
        time.sleep(seconds)


class Pace:
    """How long to wait between questions: short at first, longer while nothing happens.

    Args:
        first: seconds of the first pause.
        longest: seconds that a pause grows to.
    """

    GROWTH = 1.5

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def pause(self) -> float:
        """Seconds to wait now."""
        seconds, self._next = self._next, min(self._next * self.GROWTH, self._longest)
        return seconds

    def restart(self) -> None:
        """Something happened: be quick again."""
        self._next = self._first
