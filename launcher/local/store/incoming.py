"""The body of a request while it comes in: a little of it in memory, the rest waits with the sender."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

# A connection holds about this much of a body before it stops reading.
PIECE_BYTES = 256 * 1024


class Disconnected(Exception):
    """The caller has gone."""


class Source(Protocol):
    """Where a body comes from."""

    def pause(self) -> None:
        """Stop reading for now."""

    def resume(self) -> None:
        """Read on."""

    def say_continue(self) -> None:
        """Tell the caller to send its body."""


class IncomingBody:
    """The body of one request.

    Args:
        connection: where it comes from.
        expects_continue: whether the caller waits for a word before it sends.
    """

    def __init__(self, connection: Source, expects_continue: bool) -> None:
        self._connection = connection
        self._expects_continue = expects_continue
        self._held: list[bytes] = []
        self._size = 0
        self._wake: asyncio.Future[None] | None = None
        self.ended = False
        self.broken = False

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._held.append(data)
        self._size += len(data)
        if self._size >= PIECE_BYTES:
            self._connection.pause()
            self._rouse()

    def end(self) -> None:
        """Say that it is whole."""
        self.ended = True
        self._rouse()

    def break_off(self) -> None:
        """Say that no more comes, though it is not whole."""
        self.broken = True
        self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._expects_continue:
            self._expects_continue = False
            self._connection.say_continue()
        while True:
            while self._size < PIECE_BYTES and not self.ended and not self.broken:
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
            if self.broken:
                raise Disconnected
            data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held.clear()
            self._size = 0
            if data:
                self._connection.resume()
                yield data
            elif self.ended:
                return
