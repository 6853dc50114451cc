"""The family of errors that a user may see, and the exit code of each.

A message says what was wrong, where (file, row, column, key), and what would be right; ``hint`` says what to do next.
Exit codes: 0 done, 1 job failed, 2 wrong input, 3 cloud or store unreachable, 4 job stopped, 70 a fault of our own,
130 interrupted.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
# The local cloud's code for an answer that its full disk forbids.
DISK_FULL = "DiskFull"


SHOWN = 200


def shortened(text: object, most: int = SHOWN) -> str:
    """What a message quotes of a text that somebody else wrote, however long that is."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[:most]}... ({len(whole):,} characters)"


class BatchRLError(Exception):
    """A fault that is reported as a message, never as a traceback.

    Args:
        message: what was wrong and where.
        hint: what the user can do next; printed on a line of its own.
    """

    exit_code = 70

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class JobFailed(BatchRLError):
    """The job ended with status Failed.

    Args:
        message, hint: as of others.
        brief: the message for who has read the job's log, without what that says; None where it is the same.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None, brief: str | None = None) -> None:
        super().__init__(message, hint)
        self.brief = message if brief is None else brief


class InputError(BatchRLError):
    """What the user gave is wrong: nothing was started and nothing was written."""

    exit_code = 2


class NoRoom(InputError):
    """The disk of the local cloud is full."""


class Unreachable(BatchRLError):
    """The cloud, the object store or the container engine could not be reached."""

    exit_code = 3


class JobStopped(BatchRLError):
    """The job ended with status Stopped: on request, or at its time limit."""

    exit_code = 4


class DamagedContent(BatchRLError):
    """Bytes that were read do not have the size or the sha256 that was published for them."""

    exit_code = 3
