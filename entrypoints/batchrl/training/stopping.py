"""SIGTERM during the epochs: end between two updates, keep the last complete epoch (contract 88)."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

EXIT_TERMINATED = 128 + signal.SIGTERM


class TrainingStopped(Exception):
    """The run was asked to stop."""


class StopRequests:
    """While it is entered, SIGTERM is noted instead of ending the process at once."""

    def __init__(self) -> None:
        self._asked = False
        self._before: signal._HANDLER = None

    def __enter__(self) -> StopRequests:
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def check(self) -> None:
        """End the epoch if the process was asked to stop.

        Raises:
            Stopped: it was.
        """
        if self._asked:
            raise TrainingStopped

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
