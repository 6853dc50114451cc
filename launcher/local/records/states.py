"""The status machines of training jobs (contract A12), transform jobs (contract 176), tuning jobs and endpoints: pure.

The secondary status is what moves; the primary one follows from it and from whether a stop was asked for. The API shows
a secondary status of training jobs alone.

A training job:

===================  ================================================================================
secondary status     may be followed by
===================  ================================================================================
Starting             Pending, Downloading, Training, Interrupted, Stopping, Stopped, Failed
Pending              Starting, Downloading, Training, Interrupted, Stopping, Stopped, Failed
Downloading          Training, Interrupted, Stopping, Stopped, Failed
Training             Uploading, Interrupted, Stopping, Failed
Interrupted          Starting, Stopping, Stopped, MaxWaitTimeExceeded, Failed (spot, contract 102)
Stopping             Uploading, Stopped, MaxRuntimeExceeded, MaxWaitTimeExceeded, Failed (contract 101)
Uploading            Completed, Stopping, Stopped, MaxRuntimeExceeded, MaxWaitTimeExceeded, Failed
===================  ================================================================================

A transform job: Starting, then Transforming, then Completed, Failed or, by way of Stopping, Stopped.
A processing job: Starting, Downloading, Processing, Uploading, with the ends of a training job.
A tuning job: Starting, then Tuning, with the ends of a transform job.
An endpoint: Creating, InService, and Deleting until its record is gone; Failed from all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TRAINING = "Training"
STARTING = "Starting"
PENDING = "Pending"
DOWNLOADING = "Downloading"
TRANSFORMING = "Transforming"
PROCESSING = "Processing"
TUNING = "Tuning"
INTERRUPTED = "Interrupted"
STOPPING = "Stopping"
UPLOADING = "Uploading"
COMPLETED = "Completed"
FAILED = "Failed"
STOPPED = "Stopped"
MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"
MAX_WAIT_TIME_EXCEEDED = "MaxWaitTimeExceeded"
IN_PROGRESS = "InProgress"
CREATING = "Creating"
IN_SERVICE = "InService"
DELETING = "Deleting"

_LIMITS = frozenset({STOPPED, MAX_RUNTIME_EXCEEDED, MAX_WAIT_TIME_EXCEEDED})

# The primary status of a job that has ended, by its last secondary status.
TERMINAL = {
    COMPLETED: COMPLETED,
    FAILED: FAILED,
    STOPPED: STOPPED,
    MAX_RUNTIME_EXCEEDED: STOPPED,
    MAX_WAIT_TIME_EXCEEDED: STOPPED,
}
ENDED = frozenset(TERMINAL.values())


class IllegalTransition(Exception):
    """A status that cannot follow the one that the job has; a fault of ours, never of a user."""


@dataclass(frozen=True)
class Machine:
    """The statuses of one kind of job.

    Args:
        following: which secondary statuses may follow each; the first one is that of a new job.
        begun: secondary statuses in which it uses resources.
        running: primary status of a job that has not ended and was not asked to stop; None where it is the secondary.
        stopping: primary status of a job that was asked to stop.
    """

    following: Mapping[str, frozenset[str]]
    begun: frozenset[str]
    running: str | None
    stopping: str

    @property
    def first(self) -> str:
        """The status that a new record has."""
        return next(iter(self.following))

    def successor(self, current: str, wanted: str, stop_requested: bool) -> str:
        """The secondary status that a job takes.

        A job that was asked to stop ends as Stopped even when its script had just finished well (contract 89).

        Args:
            current: secondary status so far.
            wanted: the one that the shim asks for.
            stop_requested: whether it was asked to stop.

        Raises:
            IllegalTransition: ``wanted`` cannot follow ``current``.
        """
        if wanted not in self.following.get(current, frozenset()):
            raise IllegalTransition(f"a job cannot go from {current} to {wanted}")
        return STOPPED if wanted == COMPLETED and stop_requested else wanted

    def status_of(self, secondary: str, earlier: str, stop_requested: bool) -> str:
        """The primary status.

        Args:
            secondary: secondary status now.
            earlier: primary status before; a job that is Stopping stays so while it uploads.
            stop_requested: whether it was asked to stop.
        """
        if secondary in TERMINAL:
            return TERMINAL[secondary]
        if stop_requested or self.stopping in (secondary, earlier):
            return self.stopping
        return self.running or secondary


# How jobs end that publish what their program leaves, however it ended.
_PUBLISHING = {
    STOPPING: _LIMITS | {UPLOADING, FAILED},
    UPLOADING: _LIMITS | {COMPLETED, STOPPING, FAILED},
}
TRAINING_JOB = Machine(
    following={
        STARTING: frozenset({PENDING, DOWNLOADING, TRAINING, INTERRUPTED, STOPPING, STOPPED, FAILED}),
        PENDING: frozenset({STARTING, DOWNLOADING, TRAINING, INTERRUPTED, STOPPING, STOPPED, FAILED}),
        DOWNLOADING: frozenset({TRAINING, INTERRUPTED, STOPPING, STOPPED, FAILED}),
        TRAINING: frozenset({UPLOADING, INTERRUPTED, STOPPING, FAILED}),
        INTERRUPTED: frozenset({STARTING, STOPPING, STOPPED, MAX_WAIT_TIME_EXCEEDED, FAILED}),
        **_PUBLISHING,
    },
    begun=frozenset({DOWNLOADING, TRAINING}),
    running=IN_PROGRESS,
    stopping=STOPPING,
)
TRANSFORM_JOB = Machine(
    following={
        STARTING: frozenset({TRANSFORMING, STOPPING, STOPPED, FAILED}),
        TRANSFORMING: frozenset({STOPPING, COMPLETED, STOPPED, FAILED}),
        STOPPING: frozenset({STOPPED, FAILED}),
    },
    begun=frozenset({TRANSFORMING}),
    running=IN_PROGRESS,
    stopping=STOPPING,
)
PROCESSING_JOB = Machine(
    following={
        STARTING: frozenset({DOWNLOADING, PROCESSING, STOPPING, STOPPED, FAILED}),
        DOWNLOADING: frozenset({PROCESSING, STOPPING, STOPPED, FAILED}),
        PROCESSING: frozenset({UPLOADING, STOPPING, FAILED}),
        **_PUBLISHING,
    },
    begun=frozenset({DOWNLOADING, PROCESSING}),
    running=IN_PROGRESS,
    stopping=STOPPING,
)
TUNING_JOB = Machine(
    following={
        STARTING: frozenset({TUNING, STOPPING, STOPPED, FAILED}),
        TUNING: frozenset({STOPPING, COMPLETED, STOPPED, FAILED}),
        STOPPING: frozenset({STOPPED, FAILED}),
    },
    begun=frozenset({TUNING}),
    running=IN_PROGRESS,
    stopping=STOPPING,
)
ENDPOINT = Machine(
    following={
        CREATING: frozenset({IN_SERVICE, DELETING, FAILED}),
        IN_SERVICE: frozenset({DELETING, FAILED}),
        DELETING: frozenset({FAILED}),
    },
    begun=frozenset({IN_SERVICE}),
    running=None,
    stopping=DELETING,
)
