"""One object to one file, which appears under its name only when it is whole and what it should be (contract A7)."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import botocore.exceptions

from batchrl.contract.direct import read_object
from batchrl.contract.errors import DamagedContent
from batchrl.contract.files import whole_file
from batchrl.contract.layout import S3Url
from batchrl.contract.ranges import RANGED_BYTES, Replaced, read_parts
from batchrl.contract.store import TORN, Client


@dataclass(frozen=True)
class Transfer:
    """One object and the file that it becomes.

    Args:
        url: the object.
        size: its bytes, as it was listed.
        file: where it goes.
        etag: as it was listed; empty where that was not asked for.
        modified: when it was stored, by the store's clock; None where that was not asked for.
        prefix: the synced folder whose manifest or pointers may list it; None where there is none.
    """

    url: S3Url
    size: int
    file: Path
    etag: str = ""
    modified: datetime | None = None
    prefix: S3Url | None = None

    @property
    def name(self) -> str:
        """Its path below the synced folder; its whole key where there is none."""
        return self.url.key.removeprefix((self.prefix / "").key) if self.prefix else self.url.key


@dataclass(frozen=True)
class Copy:
    """What is known of a copy when it has been read to its end.

    Args:
        size: its bytes.
        digest: in hex, by the algorithm that the check asked for; empty where it asked for none.
    """

    size: int
    digest: str = ""


class Check:
    """What a copy must be, beyond as long as the store says; this check is content with every one."""

    def algorithm(self, etag: str) -> str:
        """By which digest (``sha256``, ``md5``) a copy of an object with this ETag is told; empty for none."""
        return ""

    def accepts(self, copy: Copy, etag: str) -> bool:
        """Whether a copy of an object with this ETag is good; its digest is of ``algorithm(etag)``."""
        return True

    def renew(self) -> None:
        """Ask again what a good copy is: the object may have been replaced meanwhile."""


@dataclass(frozen=True)
class Manner:
    """How objects are copied.

    Args:
        check: makes what decides about the copies of one object.
        keep: whether a file that is there, and good, stays as it is; else every object is read.
        attempts: how often an object is read before it is given up.
        pause: seconds between two attempts.
        passes: whether a refusal of the store's may be over at the next attempt.
        hint: what its user can do about an object that was given up.
        on_bytes: told the number of bytes of each chunk that arrived.
    """

    check: Callable[[Transfer], Check] = lambda transfer: Check()
    keep: bool = False
    attempts: int = 3
    pause: float = 0.0
    passes: Callable[[botocore.exceptions.ClientError], bool] = lambda error: False
    hint: str | None = None
    on_bytes: Callable[[int], object] = lambda count: None


def bring(client: Client, transfer: Transfer, manner: Manner, streams: int = 1) -> bool:
    """Make sure of one file; what is there already is replaced at once, or stays.

    Args:
        client: S3 client.
        transfer: the object and its file.
        manner: how.
        streams: how many parts of a large object may be on their way at once.

    Returns:
        Whether the object had to be read.

    Raises:
        DamagedContent: no attempt gave a good copy.
        botocore.exceptions.ClientError: the store refuses.
        OSError: the disk is full or the folder not writable; ``filename`` is the file, the temporary one is removed.
    """
    check = manner.check(transfer)
    if manner.keep and transfer.file.is_file() and _is_good(transfer.file, transfer.etag, check):
        return False
    try:
        transfer.file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(transfer.file) as temporary:
            _read_good(client, transfer, temporary, check, manner, streams)
    except OSError as error:
        if error.errno is None or isinstance(error, botocore.exceptions.BotoCoreError):
            raise
        raise OSError(error.errno, error.strerror, str(transfer.file)) from error
    return True


def _is_good(file: Path, etag: str, check: Check) -> bool:
    with file.open("rb") as content:
        seen = _hasher(check.algorithm(etag))
        digest = hashlib.file_digest(content, lambda: seen).hexdigest() if seen else ""
        return check.accepts(Copy(os.fstat(content.fileno()).st_size, digest), etag)


def _hasher(algorithm: str) -> Any:
    return hashlib.new(algorithm, usedforsecurity=algorithm != "md5") if algorithm else None


def _read_good(client: Client, transfer: Transfer, file: Path, check: Check, manner: Manner, streams: int) -> None:
    fault = ""
    for attempt in range(manner.attempts):
        if attempt:
            time.sleep(manner.pause)
            check.renew()
        try:
            if _read(client, transfer, file, check, manner.on_bytes, streams):
                return
            fault = "its content is not what was published"
        except TORN as error:
            fault = str(error).rstrip(".")
        except botocore.exceptions.ClientError as error:
            if not manner.passes(error):
                raise
            fault = str(error).rstrip(".")
    raise DamagedContent(f"{transfer.url} cannot be read whole in {manner.attempts} tries: {fault}.", manner.hint)


def _read(
    client: Client, transfer: Transfer, file: Path, check: Check, on_bytes: Callable[[int], object], streams: int
) -> bool:
    """Copy an object as it comes, and hash it on the way; returns whether the copy is good."""
    if streams > 1 and transfer.size >= RANGED_BYTES and transfer.etag:
        seen = _hasher(check.algorithm(transfer.etag))
        try:
            with file.open("w+b") as target:
                read_parts(client, transfer.url, transfer.size, transfer.etag, target.fileno(), seen, streams, on_bytes)
        except Replaced:
            pass  # it is read as it is now
        else:
            return check.accepts(Copy(transfer.size, _digest(seen)), transfer.etag)
    answer = read_object(client, transfer.url)
    seen = _hasher(check.algorithm(answer.etag))
    received = 0
    with file.open("wb") as target:
        for chunk in answer.chunks:
            target.write(chunk)
            if seen:
                seen.update(chunk)
            received += len(chunk)
            on_bytes(len(chunk))
    if received != answer.length:
        raise botocore.exceptions.IncompleteReadError(actual_bytes=received, expected_bytes=answer.length)
    return check.accepts(Copy(received, _digest(seen)), answer.etag)


def _digest(seen: Any) -> str:
    return str(seen.hexdigest()) if seen else ""
