"""SIGTERM and SIGINT, from the first moment of PID 1 to the script (contract 6, 88, 96).

Imports next to nothing: whatever comes before the handlers is time in which a stop would be lost.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

FORWARDED = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Remembers the signals that asked the job to stop, and passes them on to one process or process group."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self._target: int | None = None
        self._send_signal = os.killpg
        self._passed_on: tuple[int, ...] = FORWARDED

    def install(self) -> None:
        """Handle the signals that are passed on to the script."""
        for signum in FORWARDED:
            signal.signal(signum, self._handle)

    def forward_to(self, pid: int, *, group: bool = True) -> None:
        """From now on signals go to the group that this process leads; those that came before go now.

        A process that leads no group (``group=False``) shares our terminal, which sends it SIGINT itself: only SIGTERM
        is passed on.
        """
        self._target = pid
        self._send_signal = os.killpg if group else os.kill
        self._passed_on = FORWARDED if group else (signal.SIGTERM,)
        for signum in tuple(self.received):
            self._send(signum)

    def forward_to_none(self) -> None:
        """The target is gone; signals are remembered only."""
        self._target = None

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.received.append(signum)
        self._send(signum)

    def _send(self, signum: int) -> None:
        if self._target is None or signum not in self._passed_on:
            return
        try:
            self._send_signal(self._target, signum)
        except ProcessLookupError:
            self._target = None
