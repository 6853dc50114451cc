"""Why a job failed, in SageMaker's words (contract 80 to 83)."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from batchrl.contract.errors import BatchRLError, InputError
from batchrl.contract.files import NO_ROOM
from batchrl.contract.nofollow import JobFolder, LeftOut
from batchrl.contract.paths import FAILURE_NAME
from batchrl.contract.text import storable

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
        self.reason = storable(reason)[:MAX_REASON]


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
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return client_fault(f"{what}: the disk is full ({error.filename or os.strerror(error.errno)}).")
    text = str(error) if isinstance(error, BatchRLError | OSError) else f"{type(error).__name__}: {error}"
    if not text.startswith(what):
        text = f"{what}: {text}"
    return client_fault(text) if isinstance(error, InputError) else internal_fault(text)


def kept_note(root: Path, name: str) -> str:
    """What the reason of a job says whose results are on disk alone."""
    return f" (its files are kept in {root}; batchrl recover {name} publishes them)"


def recovered_note(name: str) -> str:
    """What stands in that note's place once they are published."""
    return f" (its results were published later, by batchrl recover {name})"


def combined(faults: list[JobFault]) -> JobFault:
    """Several faults as one, each named; a fault of ours among them makes it ours."""
    if len(faults) == 1:
        return faults[0]
    ours = any(fault.reason.startswith(INTERNAL) for fault in faults)
    texts = (fault.reason.partition(": ")[2] for fault in faults)
    return JobFault(f"{INTERNAL if ours else CLIENT}: {'; '.join(texts)}")


def algorithm_reason(
    exit_code: int, output: JobFolder, out_of_memory: bool, last_words: str = "", name: str = FAILURE_NAME
) -> str:
    """FailureReason of a script that ended with an exit code other than 0: ``AlgorithmError: <text>, exit code: N``.

    Args:
        exit_code: of the script.
        output: its output folder, where a file holds the text. It is cut so that all fits 1,024 characters.
        out_of_memory: whether it was killed for want of memory.
        last_words: the end of what it printed, which stands in for a file that could not be written.
        name: of that file.
    """
    text = first_characters(output, name)
    if not text and out_of_memory:
        text = "the container ran out of memory and was killed"
    text = text or last_words
    suffix = f", exit code: {exit_code}"
    room = MAX_REASON - len(f"{ALGORITHM}: ") - len(suffix)
    return f"{ALGORITHM}: {text[:room]}{suffix}"


def first_characters(output: JobFolder, name: str) -> str:
    """The beginning of a file that a job left, 1,024 characters at most; empty where there is none."""
    try:
        return output.read(name, 4 * MAX_REASON).decode("utf-8", "replace")[:MAX_REASON].strip()
    except (LeftOut, InputError) as error:
        return f"its file {output}/{name} is not read: {error.args[0]}"
    except OSError:
        return ""


def is_full_disk(error: Exception) -> bool:
    """Whether something failed for want of room, in a file or in a database."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in NO_ROOM
