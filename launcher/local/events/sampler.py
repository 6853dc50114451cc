"""A look at a program every few seconds: memory, processor time, output, free disk. What is worth it is an event."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from pathlib import Path

from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import DiskLow, MemoryLow, Usage
from launcher.local.events.processes import available_memory, processes_of
from launcher.local.events.spacing import Spacing

FIRST_SECONDS = 0.5
EVERY_SECONDS = 10.0
USAGE_EVERY = 60.0
# Memory that is so much higher than at the last event is told at once.
NEW_HEIGHT = 1.1
LOW_DISK = 1_000_000_000
LOW_MEMORY = 512 * 1024 * 1024

log = logging.getLogger(__name__)


class Sampler:
    """Looks at one program, in a thread.

    Args:
        events: the job's events.
        handle: of the program (``Execution.handle``).
        instance: which one it is.
        folder: on the disk that is watched.
    """

    def __init__(self, events: EventFile, handle: str, instance: int, folder: Path) -> None:
        self._events = events
        self._handle = handle
        self._instance = instance
        self._folder = folder
        self._ended = threading.Event()
        self._spacing = Spacing(USAGE_EVERY)
        self._told_rss = 0
        self._low_disk, self._low_memory = LOW_DISK, LOW_MEMORY
        self._output_bytes = 0
        self._output_at = time.monotonic()
        self.highest_rss = 0
        threading.Thread(target=self._run, name="usage", daemon=True).start()

    def wrote(self, count: int) -> None:
        """The program wrote so many bytes."""
        self._output_bytes += count
        self._output_at = time.monotonic()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def _run(self) -> None:
        pause = FIRST_SECONDS
        while not self._ended.wait(pause):
            try:
                self.look()
            except Exception:
                log.exception("the processes of %s cannot be looked at", self._handle)
            pause = min(2 * pause, EVERY_SECONDS)

    def look(self) -> None:
        """One look."""
        found = processes_of(self._handle)
        if not found:
            return
        rss = sum(one.rss for one in found)
        self.highest_rss = max(self.highest_rss, rss)
        disk, memory, now = shutil.disk_usage(self._folder).free, available_memory(), time.monotonic()
        if disk < self._low_disk:
            self._low_disk = disk // 2
            self._events.add(DiskLow(disk, str(self._folder)))
        if memory < self._low_memory:
            self._low_memory = memory // 2
            self._events.add(MemoryLow(memory, rss))
        if self._spacing.due(now) or rss > NEW_HEIGHT * self._told_rss:
            self._told_rss = self.highest_rss
            cpu = sum(one.cpu_seconds for one in found)
            silent = now - self._output_at
            self._events.add(
                Usage(
                    self._instance,
                    len(found),
                    rss,
                    self.highest_rss,
                    cpu,
                    self._output_bytes,
                    silent,
                    disk,
                    memory,
                )
            )
