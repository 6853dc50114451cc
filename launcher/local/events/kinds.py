"""The kinds of events of a job, one class each: its docstring is the meaning, its fields are what is recorded.

Times are seconds, sizes are bytes. A kind that can come often is ``frequent``: the file keeps room for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Event:
    """What all kinds have.

    Attributes:
        kind: its name in the file.
        frequent: whether it is left out once the file is three quarters full.
    """

    kind: ClassVar[str] = ""
    frequent: ClassVar[bool] = False


@dataclass(frozen=True)
class ShimBegan(Event):
    """A shim took the job, with the version of batchrl that it runs."""

    kind: ClassVar[str] = "shim_began"
    pid: int
    version: str


@dataclass(frozen=True)
class StatusTaken(Event):
    """The job took a secondary status; ``failure_reason`` comes with Failed."""

    kind: ClassVar[str] = "status"
    status: str
    message: str
    failure_reason: str | None = None


@dataclass(frozen=True)
class InputDownloaded(Event):
    """An input channel, or the data of a model, is on disk."""

    kind: ClassVar[str] = "input_downloaded"
    channel: str
    files: int
    size_bytes: int
    seconds: float


@dataclass(frozen=True)
class CheckpointsRestored(Event):
    """The checkpoints that lay in the store are on disk."""

    kind: ClassVar[str] = "checkpoints_restored"
    files: int
    seconds: float


@dataclass(frozen=True)
class ProgramStarted(Event):
    """A container or a process was started; ``handle`` is its id.

    ``memory_limit`` is 0 where it has none of its own; ``image`` is what a container runs, by the user's aliases.
    """

    kind: ClassVar[str] = "program_started"
    executor: str
    handle: str
    instance: int
    memory_limit: int = 0
    image: str | None = None


@dataclass(frozen=True)
class FirstOutput(Event):
    """The program wrote its first bytes, so long after its start."""

    kind: ClassVar[str] = "first_output"
    instance: int
    seconds: float


@dataclass(frozen=True)
class Usage(Event):
    """What the processes of a program use: at growing distances, and when the memory reached a new height.

    ``rss`` counts shared pages once a process; ``silent_seconds`` is how long nothing was written.
    """

    kind: ClassVar[str] = "usage"
    frequent: ClassVar[bool] = True
    instance: int
    processes: int
    rss: int
    highest_rss: int
    cpu_seconds: float
    output_bytes: int
    silent_seconds: float
    free_disk: int
    free_memory: int


@dataclass(frozen=True)
class DiskLow(Event):
    """So little is free on the disk of the data folder; once each time that it halves."""

    kind: ClassVar[str] = "disk_low"
    free_disk: int
    folder: str


@dataclass(frozen=True)
class MemoryLow(Event):
    """So little memory is available on this computer; once each time that it halves."""

    kind: ClassVar[str] = "memory_low"
    free_memory: int
    rss: int


@dataclass(frozen=True)
class StoreFailed(Event):
    """A request to the store failed, and is tried again; the first of a row."""

    kind: ClassVar[str] = "store_failed"
    frequent: ClassVar[bool] = True
    operation: str
    error: str


@dataclass(frozen=True)
class StoreAnswered(Event):
    """The store answers again, after so many failures in a row."""

    kind: ClassVar[str] = "store_answered"
    frequent: ClassVar[bool] = True
    failures: int
    seconds: float


@dataclass(frozen=True)
class StoreUsed(Event):
    """All requests to the store until now. Seconds are those in which at least one was under way."""

    kind: ClassVar[str] = "store_used"
    upload_requests: int
    upload_bytes: int
    upload_seconds: float
    other_requests: int
    other_seconds: float
    failures: int
    failing_seconds: float


@dataclass(frozen=True)
class CheckpointUploaded(Event):
    """An object of the checkpoints was stored: the first one, and later ones at growing distances."""

    kind: ClassVar[str] = "checkpoint_uploaded"
    frequent: ClassVar[bool] = True
    key: str
    count: int


@dataclass(frozen=True)
class CheckpointsFinished(Event):
    """After the program's end the rest of its checkpoints was uploaded, or could not be (``error``)."""

    kind: ClassVar[str] = "checkpoints_finished"
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class StopRequested(Event):
    """Somebody asked for the job to stop; ``by`` is how the request named itself."""

    kind: ClassVar[str] = "stop_requested"
    frequent: ClassVar[bool] = True
    by: str


@dataclass(frozen=True)
class SignalSent(Event):
    """The platform sent a signal to the program."""

    kind: ClassVar[str] = "signal_sent"
    signal: str
    instance: int


@dataclass(frozen=True)
class CutShort(Event):
    """The program is ended before it ended by itself; ``why`` is ``stop``, ``limit`` (of its time) or
    ``interrupt`` (of spot capacity)."""

    kind: ClassVar[str] = "cut_short"
    why: str
    limit_seconds: float


@dataclass(frozen=True)
class ProgramEnded(Event):
    """A program ended; the exit code is 128 + n for signal n. ``oom_kills`` counts processes of the whole computer that
    the kernel ended for want of memory while it ran."""

    kind: ClassVar[str] = "program_ended"
    instance: int
    exit_code: int
    seconds: float
    highest_rss: int
    oom_kills: int


@dataclass(frozen=True)
class OutOfMemory(Event):
    """The container's engine says that the kernel ended the program for want of memory."""

    kind: ClassVar[str] = "out_of_memory"
    instance: int


@dataclass(frozen=True)
class FolderPublished(Event):
    """``model``, ``output data`` or their ``manifest`` was packed and stored, or could not be (``error``)."""

    kind: ClassVar[str] = "folder_published"
    folder: str
    size_bytes: int
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class MetricDropped(Event):
    """A metric definition, or all of them, is looked for no more; ``fault`` says which and why."""

    kind: ClassVar[str] = "metric_dropped"
    fault: str


@dataclass(frozen=True)
class ServerBegan(Event):
    """A new API server found the job running, with its shim."""

    kind: ClassVar[str] = "server_began"
    pid: int
    version: str


@dataclass(frozen=True)
class ShimLost(Event):
    """The API server found the job's shim gone before the job had ended, and ended what was left of it."""

    kind: ClassVar[str] = "shim_lost"
    pid: int


@dataclass(frozen=True)
class EventsDropped(Event):
    """So many events before this one could not be written."""

    kind: ClassVar[str] = "events_dropped"
    count: int
    reason: str


@dataclass(frozen=True)
class LimitReached(Event):
    """The file is nearly full: from here on ``frequent`` kinds are left out."""

    kind: ClassVar[str] = "limit_reached"
    limit_bytes: int


def _kinds(base: type[Event]) -> dict[str, type[Event]]:
    return {one.kind: one for one in base.__subclasses__()}


KINDS: Mapping[str, type[Event]] = _kinds(Event)
