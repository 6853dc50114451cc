"""One object written as it comes, stored whole or not at all (contract 151).

Up to one part it is put in one request; above that as parts of 8 MiB, larger ones where 10,000 of them would not do.
Memory: two parts, one that fills and one that is being sent. Its size is asked for when it is stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import botocore.exceptions

from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.store import HIDDEN, MISSING, Client
from launcher.local.host.retry import UPLOAD_SECONDS, retry

PART_BYTES = 8 * 1024 * 1024
# So many have that size (some stores want it of all), then it doubles every thousand: 10,000 parts hold 4 TB.
PARTS_OF_ONE_SIZE = 2000
NO_SUCH_UPLOAD = "NoSuchUpload"


class Sink:
    """Where one object's result goes; ``write`` costs nothing, ``send`` and ``finish`` wait for the store.

    Args:
        client: S3 client.
        target: the object to write.
        sleep: waits while the store is away.
    """

    def __init__(self, client: Client, target: S3Url, sleep: Callable[[float], None] = time.sleep) -> None:
        self.size = 0
        self.publishing = False  # it may be there
        self.stored = False  # it is there, whole
        self._client = client
        self._target = target
        self._sleep = sleep
        self._buffer = bytearray()
        self._upload: str | None = None
        self._before: tuple[Any, ...] | None = None  # what lay there when the upload was begun
        self._parts: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._buffer += data
        self.size += len(data)

    @property
    def full(self) -> bool:
        """Whether a part should be taken and sent now."""
        return len(self._buffer) >= part_size(len(self._parts))

    def take(self) -> bytes:
        """The bytes that wait to be sent."""
        part = bytes(self._buffer)
        self._buffer = bytearray()
        return part

    def send(self, part: bytes) -> None:
        """Send one part; parts are sent one after another.

        Raises:
            InputError: the store refuses it.
            Unreachable: it was away for ten minutes.
        """
        if self._upload is None:
            self._before = self._identity()
            self._upload = self._persist(self._client.create_multipart_upload)["UploadId"]
        number = len(self._parts) + 1
        answer = self._persist(self._client.upload_part, UploadId=self._upload, PartNumber=number, Body=part)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def finish(self) -> None:
        """Store the object: from here on it is there.

        Raises:
            InputError: the store refuses it.
            Unreachable: it was away for ten minutes.
            DamagedContent: what was stored has another size; it is removed.
        """
        rest = self.take()
        if self._upload is not None and rest:
            self.send(rest)
        self.publishing = True
        if self._upload is None:
            self._persist(self._client.put_object, Body=rest)
        else:
            self._complete(self._upload)
        stored = self._persist(self._client.head_object)["ContentLength"]
        if stored != self.size:
            self._persist(self._client.delete_object)
            raise DamagedContent(f"{self._target}: {stored:,} bytes were stored, {self.size:,} were sent.")
        self.stored = True

    def _complete(self, upload: str) -> None:
        try:
            self._persist(
                self._client.complete_multipart_upload, UploadId=upload, MultipartUpload={"Parts": self._parts}
            )
        except InputError as error:
            # An answer that was lost is asked for again, of an upload that is no more: then the object is another.
            there = self._identity() if _code(error) == NO_SUCH_UPLOAD else None
            if there is None or there == self._before or there[0] != self.size:
                raise
        self._upload = None

    def _identity(self) -> tuple[Any, ...] | None:
        """What tells the object that lies there from any other; None where there is none, or none may be looked at."""
        try:
            found = self._persist(self._client.head_object)
        except InputError as error:
            if _code(error) in MISSING | HIDDEN:
                return None
            raise
        return found["ContentLength"], found.get("ETag"), found.get("LastModified")

    def abort(self) -> None:
        """Leave nothing behind; does nothing to an object that is stored. Faults of the store are passed over."""
        upload, self._upload = self._upload, None
        self._buffer = bytearray()
        if upload is not None:
            try:
                self._client.abort_multipart_upload(Bucket=self._target.bucket, Key=self._target.key, UploadId=upload)
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
                return

    def _persist(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        answers: list[Any] = []
        retry(
            f"upload of {self._target}",
            self._client,
            lambda: answers.append(operation(Bucket=self._target.bucket, Key=self._target.key, **arguments)),
            patience=UPLOAD_SECONDS,
            sleep=self._sleep,
        )
        return answers[-1]


def _code(error: InputError) -> str:
    """What the store calls its refusal."""
    cause = error.__cause__
    return cause.response.get("Error", {}).get("Code", "") if isinstance(cause, botocore.exceptions.ClientError) else ""


def part_size(sent: int) -> int:
    """Bytes of the next part after ``sent`` others."""
    doublings = 0 if sent < PARTS_OF_ONE_SIZE else (sent - PARTS_OF_ONE_SIZE) // 1000 + 1
    return PART_BYTES << doublings
