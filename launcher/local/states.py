"""The status machine of a training job (contract A12), as pure functions.

The secondary status is what moves; the primary one follows from it and from whether a stop was asked for.

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
"""

from __future__ import annotations

STARTING = "Starting"
PENDING = "Pending"
DOWNLOADING = "Downloading"
TRAINING = "Training"
INTERRUPTED = "Interrupted"
STOPPING = "Stopping"
UPLOADING = "Uploading"
COMPLETED = "Completed"
FAILED = "Failed"
STOPPED = "Stopped"
MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"
MAX_WAIT_TIME_EXCEEDED = "MaxWaitTimeExceeded"
IN_PROGRESS = "InProgress"

_LIMITS = frozenset({STOPPED, MAX_RUNTIME_EXCEEDED, MAX_WAIT_TIME_EXCEEDED})

NEXT: dict[str, frozenset[str]] = {
    STARTING: frozenset({PENDING, DOWNLOADING, TRAINING, INTERRUPTED, STOPPING, STOPPED, FAILED}),
    PENDING: frozenset({STARTING, DOWNLOADING, TRAINING, INTERRUPTED, STOPPING, STOPPED, FAILED}),
    DOWNLOADING: frozenset({TRAINING, INTERRUPTED, STOPPING, STOPPED, FAILED}),
    TRAINING: frozenset({UPLOADING, INTERRUPTED, STOPPING, FAILED}),
    INTERRUPTED: frozenset({STARTING, STOPPING, STOPPED, MAX_WAIT_TIME_EXCEEDED, FAILED}),
    STOPPING: _LIMITS | {UPLOADING, FAILED},
    UPLOADING: _LIMITS | {COMPLETED, STOPPING, FAILED},
}

# The primary status of a job that has ended, by its last secondary status.
TERMINAL = {
    COMPLETED: COMPLETED,
    FAILED: FAILED,
    STOPPED: STOPPED,
    MAX_RUNTIME_EXCEEDED: STOPPED,
    MAX_WAIT_TIME_EXCEEDED: STOPPED,
}
ENDED = frozenset(TERMINAL.values())
STATUSES = ENDED | {IN_PROGRESS, STOPPING}


class IllegalTransition(Exception):
    """A status that cannot follow the one that the job has; a fault of ours, never of a user."""


def successor(current: str, wanted: str, stop_requested: bool) -> str:
    """The secondary status that a job takes.

    A job that was asked to stop ends as Stopped even when its script had just finished well (contract 89).

    Args:
        current: secondary status so far.
        wanted: the one that the shim asks for.
        stop_requested: whether StopTrainingJob was called.

    Raises:
        IllegalTransition: ``wanted`` cannot follow ``current``.
    """
    if wanted not in NEXT.get(current, frozenset()):
        raise IllegalTransition(f"a job cannot go from {current} to {wanted}")
    return STOPPED if wanted == COMPLETED and stop_requested else wanted


def status_of(secondary: str, earlier: str, stop_requested: bool) -> str:
    """The primary status.

    Args:
        secondary: secondary status now.
        earlier: primary status before; a job that is Stopping stays so while it uploads.
        stop_requested: whether StopTrainingJob was called.
    """
    if secondary in TERMINAL:
        return TERMINAL[secondary]
    return STOPPING if stop_requested or STOPPING in (secondary, earlier) else IN_PROGRESS
