"""Sends files whose keys name their content: what is there with its size is not sent again.

Memory: at most ``THREADS`` files of up to 8 MiB, or as many uploads in parts (see ``batchrl.contract.multipart``), at a
time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import botocore.exceptions

from batchrl.contract.direct import put_object
from batchrl.contract.errors import InputError
from batchrl.contract.manifest import sha256_of
from batchrl.contract.multipart import NotAccepted, put_file
from batchrl.contract.parallel import run_all
from batchrl.contract.store import Client, list_objects
from batchrl.contract.sync import WHOLE_READ_BYTES
from launcher.session.session import Session
from launcher.staging.datasets import Upload

THREADS = 8


@dataclass(frozen=True)
class Sent:
    """What a transfer did: numbers of files, and bytes that travelled."""

    uploaded: int
    skipped: int
    bytes: int


def send(session: Session, uploads: tuple[Upload, ...], on_bytes: Callable[[int], None] = lambda count: None) -> Sent:
    """Bring files to S3, several at a time.

    Args:
        session: the cloud.
        uploads: what to send.
        on_bytes: told the bytes of every part that was sent.

    Raises:
        InputError: a file changed since it was listed, or the bucket refuses.
        Unreachable: the store does not answer.
    """
    for bucket in sorted({upload.url.bucket for upload in uploads}):
        session.provide_bucket(bucket)
    client = session.s3
    present: dict[str, int] = {}
    for group in sorted({upload.group for upload in uploads}, key=str):
        with session.reported(f"looking at {group}", client):
            present.update(list_objects(client, group))
    missing = [upload for upload in uploads if present.get(upload.url.key) != upload.size]
    run_all([partial(_send, session, client, upload, on_bytes) for upload in missing], THREADS, "upload")
    return Sent(len(missing), len(uploads) - len(missing), sum(upload.size for upload in missing))


def _send(session: Session, client: Client, upload: Upload, on_bytes: Callable[[int], None]) -> None:
    changed = InputError(f"{upload.path} changed while the job was prepared.", "Try again.")
    try:
        with session.reported(f"upload of {upload.path} to {upload.url}", client):
            if upload.size <= WHOLE_READ_BYTES:
                content = upload.path.read_bytes()
                if sha256_of(content) != upload.sha256:
                    raise changed
                put_object(client, upload.url, content, upload.sha256)
                on_bytes(upload.size)
            else:
                with upload.path.open("rb") as file:
                    # Nobody may find wrong content under a key that names its content.
                    put_file(client, upload.url, file, upload.size, accept=upload.sha256.__eq__, on_bytes=on_bytes)
    except NotAccepted:
        raise changed from None
    except OSError as error:
        if isinstance(error, botocore.exceptions.BotoCoreError):
            raise
        raise InputError(f"{upload.path} cannot be read: {error.strerror}.") from error
