"""The record of one job, as the job's own shim reads and moves it.

A database that cannot be written for a while (a full disk, a lock) costs a job time, not its end:

======================  ==================================================================================
what is to be recorded  while that cannot be done
======================  ==================================================================================
a status                tried until it is recorded: what follows has to find it
a status on the way     tried once; the next one may follow the one before it, too
columns beside it       kept, and recorded with what is recorded next
a stop, asked for       taken as not asked for; asked again
======================  ==================================================================================
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import StatusTaken
from launcher.local.records.records import JobRecord, Records

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
REPORT_SECONDS = 30.0

log = logging.getLogger(__name__)


class StopRequested(Exception):
    """A stop was asked for before anything was started."""


class Progress:
    """One job in the records; safe to use from several threads.

    Args:
        records: the records.
        record: the job.
        events: where its statuses are told as well.
        sleep: waits so many seconds.
    """

    def __init__(
        self, records: Records, record: JobRecord, events: EventFile, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._records = records
        self._events = events
        self._name = record.name
        self._kind = record.kind
        self._sleep = sleep
        self._lock = threading.Lock()
        self._waiting: dict[str, Any] = {}
        self._reported = 0.0

    def move(self, status: str, message: str, **columns: Any) -> JobRecord:
        """Take the next secondary status, however long the records take; see ``Records.transition``."""
        log.info("%s: %s: %s", self._name, status, message)
        pause = FIRST_PAUSE
        while True:
            try:
                return self._move(status, message, columns)
            except sqlite3.OperationalError as error:
                self._report(error)
            self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def pass_through(self, status: str, message: str) -> None:
        """Take a secondary status that tells what is being done, if the records can take it now."""
        log.info("%s: %s: %s", self._name, status, message)
        try:
            self._move(status, message, {})
        except sqlite3.OperationalError as error:
            self._report(error)

    def note(self, **columns: Any) -> None:
        """Set columns beside the status, now or with what is recorded next; see ``Records.update``."""
        with self._lock:
            self._waiting |= columns
            try:
                self._records.update(self._name, self._kind, **self._waiting)
            except sqlite3.OperationalError as error:
                self._report(error)
            else:
                self._waiting = {}

    def stop_requested(self) -> bool:
        """Whether somebody has asked for the job to stop."""
        try:
            return self._records.get(self._name, self._kind).stop_requested_at is not None
        except sqlite3.OperationalError as error:
            self._report(error)
            return False

    def refuse_if_stopped(self) -> None:
        """Raise ``StopRequested`` where a stop was asked for."""
        if self.stop_requested():
            raise StopRequested

    def _move(self, status: str, message: str, columns: dict[str, Any]) -> JobRecord:
        with self._lock:
            columns = self._waiting | columns
            moved = self._records.transition(self._name, status, message, kind=self._kind, **columns)
            self._waiting = {}
        self._events.add(StatusTaken(moved.secondary_status, message, columns.get("failure_reason")))
        return moved

    def _report(self, error: sqlite3.OperationalError) -> None:
        if time.monotonic() - self._reported > REPORT_SECONDS:
            self._reported = time.monotonic()
            log.warning("%s: its record cannot be written or read now: %s", self._name, error)
