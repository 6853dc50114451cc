"""What a fault brought to light: findings by category, none of which may be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# The categories of findings, as the table's columns.
LOST = "lost"
UNTRUE = "untrue"
HUNG = "hung"
LEFT = "left"
UNJUDGED = "unjudged"
CATEGORIES = {
    LOST: "a checkpoint or a result was lost, damaged without a word, or differs from the undisturbed run's",
    UNTRUE: "the status, its reason or an answer does not say what happened",
    HUNG: "a job or a command did not come to an end within its limit",
    LEFT: "processes, containers, networks, sockets, temporary files or folders were left behind",
    UNJUDGED: "the harness could not go on, so that nobody knows",
}
POLL_SECONDS = 0.03


class TooLate(Exception):
    """The moment of the fault had passed when it came: the job had ended."""


class Given(Exception):
    """The fault cannot be judged any further; what was found stands."""


@dataclass
class Findings:
    """Findings of one fault, and notes on how it went."""

    found: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, holds: object, category: str, text: str) -> bool:
        """Note a finding unless something holds; returns whether it does."""
        if not holds:
            with self._lock:
                self.found.append((category, text))
        return bool(holds)

    def note(self, text: str) -> None:
        """Remember how it went, for the log of the fault."""
        with self._lock:
            self.notes.append(text)


def eventually(happened: Callable[[], object], seconds: float) -> bool:
    """Whether something becomes true within a time; polled, so that a fast machine does not wait."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return bool(happened())
        time.sleep(POLL_SECONDS)
    return True
