"""A large file in parts: read once, hashed and sent at the same time.

Memory: ``PARTS_AT_ONCE`` parts and one more, each of 16 MiB (more only for files of over 150 GB).

The object appears when all parts are there and the file has been accepted, with what was read of it: until then, and
where something fails, what was stored under its key before stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

import botocore.exceptions

from batchrl.contract.layout import S3Url

MIB = 1024 * 1024
PART_BYTES = 16 * MIB
# S3 takes 10,000.
MOST_PARTS = 9_000
PARTS_AT_ONCE = 4


class NotAccepted(Exception):
    """What was read is not to be stored: the object was not made, and what stood there stands."""


def put_file(
    client: Any,
    url: S3Url,
    file: BinaryIO,
    size: int,
    *,
    hashed: bool = True,
    accept: Callable[[str], bool] = lambda digest: True,
    on_bytes: Callable[[int], object] = lambda count: None,
) -> str:
    """Store a file from where it is read next to its end.

    Args:
        client: S3 client.
        url: where to.
        file: open to read.
        size: its bytes; where it turns out to hold more, or less, nothing is stored.
        hashed: whether its digest is wanted.
        accept: told the digest when all was sent, and before the object appears; False leaves it unmade.
        on_bytes: told the bytes of every part that was sent.

    Returns:
        The sha256 of what was stored, in hex; empty where it is not wanted.

    Raises:
        NotAccepted: ``accept`` said no, or the file has another size.
        botocore.exceptions.ClientError: the store refuses.
        botocore.exceptions.BotoCoreError: it does not answer.
        OSError: the file cannot be read.
    """
    part_bytes = max(PART_BYTES, -(-size // MOST_PARTS // MIB) * MIB)
    seen = hashlib.sha256() if hashed else None
    place = {"Bucket": url.bucket, "Key": url.key}
    upload = client.create_multipart_upload(**place)["UploadId"]
    try:
        tags = _send_parts(client, url, upload, file, size, part_bytes, seen, on_bytes)
        digest = seen.hexdigest() if seen else ""
        if not accept(digest):
            raise NotAccepted
        parts = [{"ETag": tag, "PartNumber": number} for number, tag in enumerate(tags, 1)]
        client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            client.abort_multipart_upload(**place, UploadId=upload)
        raise
    return digest


def _send_parts(
    client: Any,
    url: S3Url,
    upload: str,
    file: BinaryIO,
    size: int,
    part_bytes: int,
    seen: Any,
    on_bytes: Callable[[int], object],
) -> list[str]:
    """Their ETags, in order."""
    sending: list[Future[str]] = []

    def send(number: int, content: bytes) -> str:
        answer = client.upload_part(Bucket=url.bucket, Key=url.key, UploadId=upload, PartNumber=number, Body=content)
        on_bytes(len(content))
        return str(answer["ETag"])

    with ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="part") as pool:
        try:
            left = size
            while content := file.read(part_bytes):
                if (left := left - len(content)) < 0:
                    break  # one that grows as fast as it is read has no end
                sending.append(pool.submit(partial(send, len(sending) + 1, content)))
                if seen:
                    seen.update(content)
                if len(sending) >= PARTS_AT_ONCE:
                    sending[-PARTS_AT_ONCE].result()
            if left:
                raise NotAccepted
            return [future.result() for future in sending]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
