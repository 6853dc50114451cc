"""When a door may leave: nobody has asked it anything for half an hour, and no job runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

IDLE_SECONDS = 30 * 60.0


class IdleWatch:
    """Knows since when nothing has happened.

    Args:
        busy: whether something goes on that makes no requests: a job, a transfer.
        seconds: how long nothing must have happened.
        clock: seconds, never running back.
    """

    def __init__(
        self, busy: Callable[[], bool], seconds: float = IDLE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._busy = busy
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._latest = clock()

    def touch(self) -> None:
        """Something happened."""
        with self._lock:
            self._latest = max(self._latest, self._clock())

    def expired(self) -> bool:
        """Whether it is time to leave."""
        if self._busy():
            self.touch()
            return False
        with self._lock:
            return self._clock() - self._latest >= self._seconds
