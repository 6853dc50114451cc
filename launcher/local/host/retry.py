"""A store that is restarted costs a job time, not its results."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import botocore.exceptions

from batchrl.contract.errors import DamagedContent, NoRoom, Unreachable
from batchrl.contract.files import NO_ROOM
from batchrl.contract.store import Client, reported

# How long a store may be away before a finished job is given up, and before one that has not begun is (seconds).
UPLOAD_SECONDS = 600.0
DOWNLOAD_SECONDS = 60.0
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0

T = TypeVar("T")


def retry(
    what: str,
    client: Client,
    action: Callable[[], T],
    *,
    patience: float = UPLOAD_SECONDS,
    waits_for_room: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Repeat a transfer until it is done; which faults are worth that is decided by ``batchrl.contract.store``.

    Args:
        what: named in the error.
        client: S3 client.
        action: the transfer.
        patience: seconds to go on for.
        waits_for_room: whether to go on where the disk is full, too: somebody may make room meanwhile.
        clock: seconds, monotonic.
        sleep: waits.

    Raises:
        InputError: the store refuses it (no such bucket, access denied): repeating would not help.
        Unreachable, DamagedContent: it did not work in that time.
        OSError: the disk is full, or does not do what it should.
    """
    deadline, pause = clock() + patience, FIRST_PAUSE
    while True:
        try:
            with reported(what, client):
                return _unwrapped(action)
        except (Unreachable, DamagedContent):
            if clock() >= deadline:
                raise
        except (NoRoom, OSError) as error:
            full = isinstance(error, NoRoom) or error.errno in NO_ROOM
            if not (full and waits_for_room) or clock() >= deadline:
                raise
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _unwrapped(action: Callable[[], T]) -> T:
    """Run something; of an error of s3transfer's, raise what it wraps."""
    try:
        return action()
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
        raise
    except Exception as error:
        wrapped = error.__cause__ or error.__context__
        if isinstance(wrapped, botocore.exceptions.ClientError | botocore.exceptions.BotoCoreError):
            raise wrapped from error
        raise
