"""The record of one job, as the job's own shim reads and moves it."""

from __future__ import annotations

import logging
from typing import Any

from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import StatusTaken
from launcher.local.records.records import JobRecord, Records

log = logging.getLogger(__name__)


class StopRequested(Exception):
    """A stop was asked for before anything was started."""


class Progress:
    """One job in the records.

    Args:
        records: the records.
        record: the job.
        events: where its statuses are told as well.
    """

    def __init__(self, records: Records, record: JobRecord, events: EventFile) -> None:
        self._records = records
        self._events = events
        self._name = record.name
        self._kind = record.kind

    def move(self, status: str, message: str, **columns: Any) -> JobRecord:
        """Take the next secondary status; see ``Records.transition``."""
        log.info("%s: %s: %s", self._name, status, message)
        moved = self._records.transition(self._name, status, message, kind=self._kind, **columns)
        self._events.add(StatusTaken(moved.secondary_status, message, columns.get("failure_reason")))
        return moved

    def note(self, **columns: Any) -> None:
        """Set columns beside the status; see ``Records.update``."""
        self._records.update(self._name, self._kind, **columns)

    def stop_requested(self) -> bool:
        """Whether somebody has asked for the job to stop."""
        return self._records.get(self._name, self._kind).stop_requested_at is not None

    def refuse_if_stopped(self) -> None:
        """Raise ``StopRequested`` where a stop was asked for."""
        if self.stop_requested():
            raise StopRequested
