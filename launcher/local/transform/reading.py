"""An object as a stream of chunks: taken up where it broke off, decompressed (contract 144).

An object is read once, from its start, as slowly as it is converted. A store that closes such a connection, or is
restarted, is asked for the rest.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions

from batchrl.contract.errors import DamagedContent
from batchrl.contract.etags import etag_md5
from batchrl.contract.layout import S3Url
from batchrl.contract.store import TORN, Client
from launcher.local.host.retry import DOWNLOAD_SECONDS, retry
from launcher.local.transform.outcome import RecordFault

CHUNK_BYTES = 1024 * 1024
# How often in a row a connection may break without a byte having come.
FRUITLESS_READS = 4
_BROKEN = (*TORN, botocore.exceptions.HTTPClientError, OSError)
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS


def read(client: Client, source: S3Url, sleep: Callable[[float], None] = time.sleep) -> Iterator[bytes]:
    """The bytes of an object in chunks of at most 1 MiB.

    Args:
        client: S3 client.
        source: the object.
        sleep: waits for a store that is away, for a minute at most.

    Raises:
        InputError: the object cannot be read: it is gone, or access is denied.
        Unreachable: the store is away.
        DamagedContent: the object was replaced meanwhile, breaks off again and again, or came with other bytes than the
            store's own MD5 of it says; what was yielded then is not to be used.
    """
    at, total, tag, fruitless = 0, -1, None, 0
    wanted, seen = None, hashlib.md5(usedforsecurity=False)
    while at != total:
        answer = _get(client, source, at, sleep)
        if total < 0:
            total, tag = answer["ContentLength"], answer.get("ETag")
            wanted = etag_md5(tag or "", answer.get("ServerSideEncryption") or "")
        elif (answer.get("ETag"), at + answer["ContentLength"]) != (tag, total):
            raise DamagedContent(f"{source} was replaced while it was read.")
        before = at
        with contextlib.closing(answer["Body"]) as body, contextlib.suppress(*_BROKEN):
            while chunk := body.read(CHUNK_BYTES):
                at += len(chunk)
                seen.update(chunk)
                yield chunk
        fruitless = 0 if at > before else fruitless + 1
        if fruitless == FRUITLESS_READS:
            raise DamagedContent(f"{source} breaks off after {at:,} of {total:,} bytes.")
    if wanted is not None and seen.hexdigest() != wanted:
        raise DamagedContent(f"{source} did not arrive as the store has it: its MD5 is not that of its ETag.")


def _get(client: Client, source: S3Url, at: int, sleep: Callable[[float], None]) -> Any:
    answers: list[Any] = []
    rest = {"Range": f"bytes={at}-"} if at else {}
    retry(
        f"read of {source}",
        client,
        lambda: answers.append(client.get_object(Bucket=source.bucket, Key=source.key, **rest)),
        patience=DOWNLOAD_SECONDS,
        sleep=sleep,
    )
    return answers[-1]


def gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What gzip chunks hold, in chunks of at most 1 MiB; several members are read as one, as gzip does.

    Raises:
        RecordFault: they are no gzip, or end too early.
    """
    decoder, members = None, 0
    for chunk in chunks:
        rest, more = chunk, False
        while rest or more:
            if decoder is None:
                if members:
                    rest = rest.lstrip(b"\0")  # what tape drives and some writers append
                if not rest:
                    break
                decoder, members = zlib.decompressobj(_WITH_GZIP_HEADER), members + 1
            try:
                data = decoder.decompress(rest, CHUNK_BYTES)
            except zlib.error as error:
                raise RecordFault(f"CompressionType is Gzip, and the object is none ({error})") from error
            if data:
                yield data
            if decoder.eof:
                rest, more, decoder = decoder.unused_data, False, None
            else:
                rest, more = decoder.unconsumed_tail, len(data) == CHUNK_BYTES
    if decoder is not None:
        raise RecordFault("CompressionType is Gzip, and the object ends in the middle of what was compressed")
