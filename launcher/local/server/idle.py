"""When an API server may leave: nobody has asked it anything for half an hour, and no job runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

IDLE_SECONDS = 30 * 60.0


class IdleWatch:
    """Knows since when nothing has happened.

    Args:
        busy: whether something goes on that makes no requests: a job.
        in_use: the same, for what is dearer to find out; asked only when the time is over.
        seconds: how long nothing must have happened.
        clock: seconds, never running back.
    """

    def __init__(
        self,
        busy: Callable[[], bool],
        in_use: Callable[[], bool] = lambda: False,
        seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._busy = busy
        self._in_use = in_use
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
            waited = self._clock() - self._latest
        if waited < self._seconds:
            return False
        if self._in_use():
            self.touch()
            return False
        return True
