"""One HTTP/1.1 connection: bounded heads, bodies at the pace at which they are taken, answers at that of the reader."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from launcher.local.store.contents import READ_BYTES, Contents
from launcher.local.store.incoming import PIECE_BYTES, Disconnected, IncomingBody
from launcher.local.store.objecthead import http_date
from launcher.local.store.wire import Request, Response, Slices

MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 200
# How long a connection may take for a head, wait between requests, and stand still within one, in seconds.
HEAD_SECONDS = 15.0
IDLE_SECONDS = 75.0
STILL_SECONDS = 60.0
LINGER_SECONDS = 1.0

_request_ids = itertools.count(int.from_bytes(os.urandom(6), "big") << 16)


class Handler(Protocol):
    """What answers requests."""

    def begin(self, request: Request) -> tuple[str | None, Callable[[], Awaitable[Response]]]:
        """Check a head: whose key signed it, if any, and what answers it. It raises nothing and reads no body."""
        ...

    def head_refused(self, code: str) -> Response:
        """The answer to a head that cannot be read, or comes when there are too many."""
        ...

    def log_fault(self, request: Request) -> None:
        """Log the exception that is handled."""
        ...


class Connection(asyncio.Protocol):
    """One caller.

    Args:
        handler: answers its requests.
        contents: where bodies of answers lie.
        pool: threads that read files.
        on_change: called with the connection when it opens, when a signature held, and when it closes; whether it may
            go on.
    """

    def __init__(
        self, handler: Handler, contents: Contents, pool: Executor, on_change: Callable[[Connection, str], bool]
    ) -> None:
        self._handler = handler
        self._contents = contents
        self._pool = pool
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._body: IncomingBody | None = None
        self._reading = True
        self._keep = False
        self._deaf = False  # what still comes is not looked at
        self._drained: asyncio.Future[None] | None = None
        self._new_head()
        self.sender: str | None = None  # access key of its first request whose signature held
        self.since = self.touched = self._loop.time()

    def _new_head(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._loose_bytes = 0  # after the head, and since the last of the body: extensions of chunks, trailers
        self._in_head = True
        self._hosts = 0

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=PIECE_BYTES)
        if not self._on_change(self, "open"):
            self._deaf = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._deaf = True
        if self._body:
            self._body.break_off()
        if self._drained and not self._drained.done():
            self._drained.set_exception(Disconnected())
        self._on_change(self, "closed")

    def pause_writing(self) -> None:
        """The reader is slow."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self.touched = self._loop.time()
        if self._drained and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self._deaf:
            return
        self.touched = self._loop.time()
        if self._in_head and not self._head_bytes and self._task is None:
            self.since = self.touched
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._loose_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self._deaf:
                self._refuse_head("InvalidRequest")
        except httptools.HttpParserUpgrade:
            self._refuse_head("NotImplemented")
        else:
            if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self._deaf:
                self._refuse_head("RequestHeaderSectionTooLarge")
            elif self._loose_bytes > MAX_HEAD_BYTES and not self._deaf:
                self.close(at_once=True)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._task is not None:  # the caller did not wait for its answer
            self._deaf = True
            return
        head_bytes = self._head_bytes
        self._new_head()
        self._head_bytes = head_bytes or 1

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer: those come after the head was checked, so that none of them counts."""
        if not self._in_head:
            return
        text = name.decode("latin-1").lower()
        self._hosts += text == "host"
        known = self._headers.get(text)
        given = value.decode("latin-1")
        self._headers[text] = given if known is None else f"{known},{given}"

    def on_headers_complete(self) -> None:
        """The head is whole: who sent it is checked now, before any byte of the body is looked at."""
        self._in_head = False
        self._head_bytes = 0
        if self._deaf:
            return
        size = len(self._url) + sum(len(name) + len(value) for name, value in self._headers.items())
        if size > MAX_HEAD_BYTES or len(self._headers) > MAX_HEADERS:
            self._refuse_head("RequestHeaderSectionTooLarge")
            return
        if self._hosts != 1:
            self._refuse_head("InvalidRequest")
            return
        self._keep = self._parser.should_keep_alive()
        expects = self._headers.get("expect", "").lower() == "100-continue"
        self._body = body = IncomingBody(self, expects)
        path, query = _target(self._url)
        chunked = "transfer-encoding" in self._headers
        request = Request(self._parser.get_method().decode(), path, query, self._headers, not chunked, body)
        sender, answer = self._handler.begin(request)
        if sender is not None:
            self.sender = self.sender or sender
            if not self._on_change(self, "let in"):
                self._refuse_head("SlowDown")
                return
        self._task = self._loop.create_task(self._answer(request, body, answer))

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._loose_bytes = 0
        if self._body and not self._deaf:
            self._body.feed(data)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._body and not self._deaf:
            self._body.end()

    # What the body calls.

    def pause(self) -> None:
        """Stop reading for now."""
        if self._reading and self._transport:
            self._reading = False
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self.touched = self._loop.time()
        if not self._reading and self._transport and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def say_continue(self) -> None:
        """Tell the caller to send its body."""
        if self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # What the server calls.

    def overdue(self, now: float) -> bool:
        """Whether it has taken more time than it may."""
        if self._task is not None:
            return now - self.touched > STILL_SECONDS and (self._drained is not None or self._waits_for_body())
        if self._in_head and self._head_bytes:
            return now - self.since > HEAD_SECONDS
        return now - self.touched > IDLE_SECONDS

    def _waits_for_body(self) -> bool:
        return self._body is not None and not self._body.ended and self._reading

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._task is not None

    def close(self, *, at_once: bool = False) -> None:
        """End the connection."""
        self._deaf = True
        if self._transport:
            if at_once:
                self._transport.abort()
            else:
                self._transport.close()

    # Answers.

    def _refuse_head(self, code: str) -> None:
        """Answer a head that cannot be read, and end."""
        self._deaf = True
        if self._transport and self._task is None:
            response = self._handler.head_refused(code)
            assert isinstance(response.body, bytes)
            head = _head(response, len(response.body), keep=False, with_length=True)
            self._transport.write(head + response.body)
            self._loop.call_later(LINGER_SECONDS, self.close)

    async def _answer(self, request: Request, body: IncomingBody, answer: Callable[[], Awaitable[Response]]) -> None:
        try:
            response = await answer()
            keep = body.ended and not self._deaf and self._keep
            await self._send(request, response, keep)
        except Disconnected:
            self.close(at_once=True)
            return
        except (
            Exception
        ):  # part of the answer is sent perhaps: the caller must not take it for whole, nor wait for more
            self._handler.log_fault(request)
            self.close(at_once=True)
            return
        finally:
            self._task = None
        if not keep:
            # What the caller still sends is read and dropped for a moment: a reset could overtake the answer.
            self._deaf = True
            self.resume()
            self._loop.call_later(0 if body.ended else LINGER_SECONDS, self.close)
            return
        self._body = None
        self._in_head, self._head_bytes = True, 0
        self.touched = self._loop.time()
        self.resume()

    async def _send(self, request: Request, response: Response, keep: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise Disconnected
        body = response.body
        size = body.size if isinstance(body, Slices) else len(body)
        bodiless = request.method == "HEAD" or response.status in (204, 304)
        head = _head(response, size, keep, response.status not in (204, 304))
        if bodiless:
            transport.write(head)
        elif isinstance(body, bytes):
            transport.write(head + body)
        else:
            with self._contents.reading(body):
                await self._send_slices(transport, head, body)
        if self._drained is not None:
            await self._drained

    async def _send_slices(self, transport: asyncio.Transport, head: bytes, slices: Slices) -> None:
        for number, offset, length in slices.pieces:
            handle = self._contents.open(number)
            try:
                while length:
                    data = await self._read(handle, min(length, READ_BYTES), offset)
                    if not data:  # the file is shorter than its row says: the caller must not take it for whole
                        raise Disconnected
                    offset += len(data)
                    length -= len(data)
                    if transport.is_closing():
                        raise Disconnected
                    transport.write(head + data if head else data)
                    head = b""
                    if self._drained is not None:
                        await self._drained
            finally:
                os.close(handle)
        if head:
            transport.write(head)

    async def _read(self, handle: int, length: int, offset: int) -> bytes:
        """Bytes of a file: at once where they lie in memory, else by a thread."""
        buffer = bytearray(length)
        try:
            count = os.preadv(handle, [buffer], offset, os.RWF_NOWAIT)
        except OSError:
            count = 0
        if not count:
            return await self._loop.run_in_executor(self._pool, os.pread, handle, length, offset)
        return bytes(memoryview(buffer)[:count]) if count < length else bytes(buffer)


def _target(url: bytes) -> tuple[str, str]:
    """Path and query as they were sent."""
    text = url.decode("utf-8", "surrogateescape")
    if not text.startswith("/"):  # the absolute form, which proxies use
        _, _, rest = text.partition("://")
        text = f"/{rest.partition('/')[2]}"
    path, _, query = text.partition("?")
    return path, query


def _head(response: Response, size: int, keep: bool, with_length: bool) -> bytes:
    status = HTTPStatus(response.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Date: {http_date(int(time.time()))}",
        "Server: batchrl",
        f"x-amz-request-id: {next(_request_ids):016X}",
    ]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if with_length:
        lines.append(f"Content-Length: {size}")
    if not keep:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
