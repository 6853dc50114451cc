"""One HTTP/1.1 connection to a model server: a request, its answer, the next request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, cast

import httptools

from launcher.local.executors.address import ServerAddress
from launcher.local.transform.settings import TransformSettings
from launcher.local.transform.spool import Spool

# Bodies up to this size are sent in one piece with their head, and answers of it are not counted (bytes).
SMALL = 64 * 1024
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})

Body = Iterable[bytes]


class Call:
    """One invocation, until it has an answer or is given up.

    Args:
        body: what is sent; read anew for every try.
        size: its bytes.
        told: called in the loop, once, when it is ``done``, with ``status`` and ``answer`` or with ``fault`` set.
    """

    __slots__ = ("answer", "body", "done", "dropped", "fault", "size", "status", "suspect", "told", "tries")

    def __init__(self, body: Body, size: int, told: Callable[[Call], None]) -> None:
        self.body = body
        self.size = size
        self.told = told
        self.tries = 0
        self.status = 0
        self.answer: Body = ()
        self.fault = ""
        self.done = False
        self.dropped = False  # nobody waits for it any more
        self.suspect = False  # it was under way when the server broke, and has had no answer since

    def finish(self) -> None:
        """Say that there will be no other answer."""
        self.done = True
        self.told(self)


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def answered(self, connection: Connection, call: Call) -> None:
        """A call has its whole answer."""

    def closed(self, connection: Connection, call: Call | None, why: str) -> None:
        """A connection has ended; ``call`` is the one it was still to answer, if any."""


def head_of(address: ServerAddress, settings: TransformSettings) -> bytes:
    """The head of every request, up to its length."""
    lines = ["POST /invocations HTTP/1.1", f"Host: {'localhost' if address.host is None else address}"]
    lines += [f"Content-Type: {settings.content_type}"] if settings.content_type else []
    lines += [f"Accept: {settings.accept}"] if settings.accept else []
    return "".join(f"{line}\r\n" for line in lines).encode()


class Connection(asyncio.Protocol):
    """Sends calls one after another; a parser's callbacks gather the answer.

    Args:
        owner: told when an answer is complete and when the connection ends.
        head: of every request, up to its length.
        chunked: whether bodies are sent in chunks, without their length (contract 142).
    """

    def __init__(self, owner: Owner, head: bytes, *, chunked: bool) -> None:
        self._owner = owner
        self._head = head
        self._chunked = chunked
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._sending: Iterator[bytes] | None = None
        self._paused = False
        self._complete = False
        self._keep_alive = False
        self._status = 0
        self._measured = True  # the answer under way says how long it is
        self._begun = False  # its head is complete
        self._small: list[bytes] = []
        self._large: Spool | None = None
        self.call: Call | None = None
        self.started = self._loop.time()  # of the call under way; of the idleness if there is none
        self.reusable = True

    def send(self, call: Call) -> None:
        """Begin an invocation."""
        self.call = call
        call.status = 0
        self.started = self._loop.time()
        self._begun = False
        self._small = []
        if call.size <= SMALL and not self._chunked:
            self._transport.write(b"".join((self._head, b"Content-Length: %d\r\n\r\n" % call.size, *call.body)))
        else:
            self._sending = self._pieces(call)
            self._send_on()

    def take_call(self) -> Call:
        """The call under way, which this connection forgets."""
        assert self.call is not None
        call, self.call = self.call, None
        return call

    def close(self) -> None:
        """Close when all is sent that is on its way."""
        if self._sending is None:
            self.reusable = False
            self._transport.close()
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once; nothing is told of a call that was taken away."""
        self.reusable = False
        self._sending = None
        self._transport.abort()

    def _pieces(self, call: Call) -> Iterator[bytes]:
        if not self._chunked:
            yield self._head + b"Content-Length: %d\r\n\r\n" % call.size
            yield from call.body
            return
        yield self._head + b"Transfer-Encoding: chunked\r\n\r\n"
        for chunk in call.body:
            yield b"%x\r\n" % len(chunk)
            yield chunk
            yield b"\r\n"
        yield b"0\r\n\r\n"

    def _send_on(self) -> None:
        while self._sending is not None and not self._paused:
            if (piece := next(self._sending, None)) is None:
                self._sending = None
            else:
                self._transport.write(piece)

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio when the connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        """Called by asyncio when the transport's buffer is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """Called by asyncio when the transport's buffer has room: send on."""
        self._paused = False
        self._send_on()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio with bytes of an answer: parse them."""
        if self.call is None:  # nothing was asked
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"its answer cannot be read ({error.__context__ or error})")
            self.abort()
            return
        if self._complete:
            self._finish(self._keep_alive and self._sending is None)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio when the connection has ended, whichever side closed it."""
        self.reusable = False
        if self.call is not None and self._begun and not self._measured and error is None:
            # An answer without a length ends with its connection. HTTP knows no difference between that and a server
            # that dies in the middle of one, unless the connection is reset.
            self._finish(False)
        self._end(f"the connection was closed before an answer was complete{f' ({error})' if error else ''}")

    def _finish(self, reusable: bool) -> None:
        self._complete = False
        self.reusable = self.reusable and reusable
        call = self.take_call()
        call.status = self._status
        call.answer = self._small if self._large is None else self._large
        self._large = None
        self._owner.answered(self, call)

    def _end(self, why: str) -> None:
        call, self.call = self.call, None
        self._owner.closed(self, call, why)

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        """Called by the parser when an answer begins."""
        if self._complete:
            # More than was asked for: whose answer that is, and what follows, cannot be told.
            self.reusable = False
        self._measured = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each header."""
        if name.lower() in _LENGTHS:
            self._measured = True

    def on_headers_complete(self) -> None:
        """Called by the parser behind the last header."""
        if not self._complete:
            self._status = self._parser.get_status_code()
            self._begun = self._status >= 200  # after 100 Continue comes the answer itself

    def on_body(self, data: bytes) -> None:
        """Called by the parser with bytes of the body."""
        if self._complete:
            return
        if self._large is not None:
            self._large.append(data)
            return
        self._small.append(data)
        if len(data) > SMALL or len(self._small) > 4:
            self._large = Spool()
            for chunk in self._small:
                self._large.append(chunk)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of an answer."""
        self._complete = self._begun
        self._keep_alive = self._parser.should_keep_alive()  # later it says no
