"""What became of a transform's objects."""

from __future__ import annotations

from dataclasses import dataclass

from batchrl.contract.layout import S3Url
from launcher.local.host.faults import CLIENT


class RecordFault(Exception):
    """An object cannot be converted: the message says which of its records, and why.

    Args:
        message: what was wrong; the object's URL is put before it.
        kind: whose fault it is: ``ClientError``, ``AlgorithmError`` or ``InternalServerError``.
        log: lines for the data log; the message where there are none.
    """

    def __init__(self, message: str, kind: str = CLIENT, log: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.log = log or (message,)


@dataclass(frozen=True)
class ObjectFault:
    """An object that was not converted; nothing of it was stored (contract 151).

    Args:
        url: the object.
        message: the line, and what was wrong.
        kind: whose fault it is: ``ClientError``, ``AlgorithmError`` or ``InternalServerError``.
    """

    url: S3Url
    message: str
    kind: str = CLIENT


@dataclass(frozen=True)
class Outcome:
    """What one instance did.

    Args:
        converted: number of objects.
        records: records in them that were sent.
        error_records: those of them that our server answered with an error record.
        size_bytes: bytes of their results.
        written: what was published, in the order of the input; also what was being published when the job was stopped.
        faults: objects that failed (contract 152).
        stopped: whether it was stopped before its end (contract 153).
    """

    converted: int
    records: int
    error_records: int
    size_bytes: int
    written: tuple[S3Url, ...]
    faults: tuple[ObjectFault, ...]
    stopped: bool

    def described(self) -> str:
        """As the last line of the data log."""
        bad = f", {self.error_records:,} of them answered by an error record" if self.error_records else ""
        return f"Objects: {self.converted:,}, with {self.records:,} records{bad}; failed: {len(self.faults):,}"
