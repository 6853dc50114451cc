"""When the next event of a kind that could come at any moment is due: at growing distances; files stay small."""

from __future__ import annotations


class Spacing:
    """Due at once, then after ``shortest`` seconds, then ever later: a job of ten days has a few hundred.

    Args:
        shortest: seconds between two events at the beginning.
        growth: share of the time so far that has to pass beside that.
    """

    def __init__(self, shortest: float, growth: float = 0.02) -> None:
        self._shortest = shortest
        self._growth = growth
        self._began: float | None = None
        self._next = 0.0

    def due(self, now: float) -> bool:
        """Whether one is due; the answer True counts as taken."""
        if self._began is None:
            self._began = now
        elif now < self._next:
            return False
        self._next = now + max(self._shortest, self._growth * (now - self._began))
        return True
