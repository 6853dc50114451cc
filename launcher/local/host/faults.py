"""Why a job failed, in SageMaker's words (contract 80 to 83)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from batchrl.contract.errors import BatchRLError, InputError

MAX_REASON = 1024
ALGORITHM = "AlgorithmError"
CLIENT = "ClientError"
INTERNAL = "InternalServerError"


class JobFault(Exception):
    """The job cannot go on.

    Args:
        reason: its whole FailureReason, prefix included.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason[:MAX_REASON]


def client_fault(text: str) -> JobFault:
    """What was asked for cannot be done: a missing input, image or bucket, a full disk."""
    return JobFault(f"{CLIENT}: {text}")


def internal_fault(text: str) -> JobFault:
    """A fault that the job's owner did not cause."""
    return JobFault(f"{INTERNAL}: {text}")


def storage_fault(what: str, error: Exception) -> JobFault:
    """A fault of a transfer or of the disk: the owner's where the owner can mend it, ours where not."""
    if isinstance(error, JobFault):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return client_fault(f"{what}: the disk is full ({error.filename or os.strerror(error.errno)}).")
    text = str(error) if isinstance(error, BatchRLError | OSError) else f"{type(error).__name__}: {error}"
    if not text.startswith(what):
        text = f"{what}: {text}"
    return client_fault(text) if isinstance(error, InputError) else internal_fault(text)


def algorithm_reason(exit_code: int, failure_file: Path, out_of_memory: bool) -> str:
    """FailureReason of a script that ended with an exit code other than 0: ``AlgorithmError: <text>, exit code: N``.

    The text is what stands in the job's failure file, cut so that the whole fits 1,024 characters.
    """
    text = _first_characters(failure_file)
    if not text and out_of_memory:
        text = "the container ran out of memory and was killed"
    suffix = f", exit code: {exit_code}"
    room = MAX_REASON - len(f"{ALGORITHM}: ") - len(suffix)
    return f"{ALGORITHM}: {text[:room]}{suffix}"


def _first_characters(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4 * MAX_REASON).decode("utf-8", "replace")[:MAX_REASON].strip()
    except OSError:
        return ""
