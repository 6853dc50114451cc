"""A body on its way into a file: decoded, hashed and written piece by piece, kept only if it is what was promised."""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import Executor
from dataclasses import dataclass

from launcher.local.store.awschunked import ChunkDecoder
from launcher.local.store.checksums import Promises
from launcher.local.store.contents import Contents, write_all
from launcher.local.store.errors import StoreError, not_implemented
from launcher.local.store.sigv4 import Signed
from launcher.local.store.wire import Request

MAX_PUT_BYTES = 5 * 1024**3
# A piece up to this is hashed and written at once: handing it to another thread would take longer.
SMALL_BYTES = 128 * 1024


@dataclass(frozen=True)
class Received:
    """A body that is in a file, and what it was promised to be.

    Args:
        file: number of the file.
        size: its bytes.
        md5: its MD5 in hex.
        checksums: checksums to keep, in base64 by algorithm.
    """

    file: int
    size: int
    md5: str
    checksums: dict[str, str]


class _Incoming:
    """The state of one body: what decodes it, what it must be."""

    def __init__(self, request: Request, signed: Signed, limit: int, too_large: str) -> None:
        self._promises = Promises(request.headers)
        streaming = signed.payload.startswith("STREAMING-")
        self._decoder = ChunkDecoder(signed.payload, signed) if streaming else None
        self._length = _length(request, streaming)
        self._limit = limit
        self._too_large = too_large
        if not streaming and "aws-chunked" in request.headers.get("content-encoding", ""):
            raise StoreError("InvalidRequest", "aws-chunked bodies say STREAMING-... in x-amz-content-sha256.")
        if self._length is not None and self._length > limit:
            raise StoreError(too_large)
        self.size = 0

    def take(self, data: bytes) -> list[bytes]:
        """Decode and hash a piece; may run in a thread, one piece at a time."""
        pieces = self._decoder.feed(data) if self._decoder else [data]
        for piece in pieces:
            self.size += len(piece)
            if self.size > self._limit:
                raise StoreError(self._too_large)
            self._promises.update(piece)
        return pieces

    def finish(self) -> Promises:
        """Check what was promised."""
        trailers: dict[str, str] = {}
        if self._decoder:
            self._decoder.finish()
            trailers = self._decoder.trailers
        if self._length is not None and self.size != self._length:
            raise StoreError("IncompleteBody")
        self._promises.check(trailers)
        return self._promises


def _length(request: Request, streaming: bool) -> int | None:
    """Bytes of the body once it is decoded; None where only the encoding says where it ends."""
    name = "x-amz-decoded-content-length" if streaming else "content-length"
    text = request.headers.get(name)
    if text is None:
        if request.has_length and not streaming:
            return 0
        raise StoreError("MissingContentLength")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise StoreError("InvalidArgument", f"{name} is no number.")
    return int(text)


async def into_file(request: Request, signed: Signed, contents: Contents, pool: Executor) -> Received:
    """Write a request's body into a new file.

    Raises:
        StoreError: it is not what was promised, or too large; then no file is left.
        OSError: it cannot be written; then no file is left.
    """
    incoming = _Incoming(request, signed, MAX_PUT_BYTES, "EntityTooLarge")
    number = contents.new()
    handle = contents.create(number)
    try:
        async for data in request.body:
            if len(data) <= SMALL_BYTES:
                _absorb(incoming, handle, data)
            else:
                await _in(pool, _absorb, incoming, handle, data)
        promises = incoming.finish()
    except BaseException:
        os.close(handle)
        contents.remove(number)
        raise
    os.close(handle)
    return Received(number, incoming.size, promises.md5, promises.checksums)


def _absorb(incoming: _Incoming, handle: int, data: bytes) -> None:
    for piece in incoming.take(data):
        write_all(handle, piece)


async def _in(pool: Executor, function: object, *arguments: object) -> None:
    """Run in a thread; a caller that is cancelled waits for it, since it uses the caller's file."""
    task = asyncio.get_running_loop().run_in_executor(pool, function, *arguments)  # type: ignore[arg-type, var-annotated]
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await task
        raise


async def into_memory(request: Request, signed: Signed, limit: int) -> bytes:
    """A request's body, for documents.

    Raises:
        StoreError: it is longer than ``limit`` bytes, or not what was promised.
    """
    incoming = _Incoming(request, signed, limit, "MaxMessageLengthExceeded")
    parts: list[bytes] = []
    async for data in request.body:
        parts += incoming.take(data)
    incoming.finish()
    return b"".join(parts)


async def nothing(request: Request) -> None:
    """Refuse a body where none belongs.

    Raises:
        StoreError: there is one.
    """
    async for data in request.body:
        if data:
            raise not_implemented("a body with this operation")
