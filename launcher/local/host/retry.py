"""A store that is restarted costs a job time, not its results."""

from __future__ import annotations

import time
from collections.abc import Callable

import botocore.exceptions

from batchrl.contract.errors import DamagedContent, Unreachable
from batchrl.contract.store import Client, reported

# How long a store may be away before a finished job is given up, and before one that has not begun is (seconds).
UPLOAD_SECONDS = 600.0
DOWNLOAD_SECONDS = 60.0
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0


def retry(
    what: str,
    client: Client,
    action: Callable[[], None],
    *,
    patience: float = UPLOAD_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Repeat a transfer until the store does it.

    Args:
        what: named in the error.
        client: S3 client.
        action: the transfer.
        patience: seconds to go on for.
        clock: seconds, monotonic.
        sleep: waits.

    Raises:
        InputError: the store refuses it (no such bucket, access denied): repeating would not help.
        Unreachable, DamagedContent: it did not work in that time.
    """
    deadline, pause = clock() + patience, FIRST_PAUSE
    while True:
        try:
            with reported(what, client):
                _unwrapped(action)
            return
        except (Unreachable, DamagedContent):
            if clock() >= deadline:
                raise
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _unwrapped(action: Callable[[], None]) -> None:
    """Run something; of an error of s3transfer's, raise what it wraps."""
    try:
        action()
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
        raise
    except Exception as error:
        wrapped = error.__cause__ or error.__context__
        if isinstance(wrapped, botocore.exceptions.ClientError | botocore.exceptions.BotoCoreError):
            raise wrapped from error
        raise
