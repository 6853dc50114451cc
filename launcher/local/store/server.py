"""The listeners of the store: how many callers each may have, how long they may take, and the end without haste."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from concurrent.futures import Executor

from launcher.local.store.connection import Connection, Handler
from launcher.local.store.contents import Contents

# Callers of one listener at a time; each may hold two pieces of a body in memory.
MAX_CONNECTIONS = 512
# Those of one access key: no job may take them all.
MAX_CONNECTIONS_PER_KEY = MAX_CONNECTIONS // 2
LOOK_SECONDS = 2.0
END_SECONDS = 3.0
BACKLOG = 512


class Listener:
    """One socket that the store listens at.

    When it is full, the caller that has been there longest without a verified request leaves for the next one; where
    all had one, the one that has been idle longest. When an access key has as many as it may, the one of its own that
    has been idle longest leaves for its next. Nobody whose request is being answered is sent away.

    Args:
        listening: the socket.
        handler: answers requests.
        contents: where bodies of answers lie.
        pool: threads that read files.
    """

    def __init__(self, listening: socket.socket, handler: Handler, contents: Contents, pool: Executor) -> None:
        self._socket = listening
        self._handler = handler
        self._contents = contents
        self._pool = pool
        self._strangers: dict[Connection, None] = {}
        self._known: set[Connection] = set()
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Take callers."""
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if self._socket.family == socket.AF_UNIX else loop.create_server
        self._server = await create(self._connection, sock=self._socket, backlog=BACKLOG)

    def _connection(self) -> Connection:
        return Connection(self._handler, self._contents, self._pool, self._changed)

    def _changed(self, connection: Connection, what: str) -> bool:
        if what == "open":
            if len(self._strangers) + len(self._known) >= MAX_CONNECTIONS and not self._make_room():
                return False
            self._strangers[connection] = None
        elif what == "let in":
            if connection in self._strangers:
                same = [other for other in self._known if other.sender == connection.sender]
                if len(same) >= MAX_CONNECTIONS_PER_KEY and not self._end_idle(same):
                    return False
                del self._strangers[connection]
                self._known.add(connection)
        else:
            self._strangers.pop(connection, None)
            self._known.discard(connection)
        return True

    def _make_room(self) -> bool:
        if not self._strangers:
            return self._end_idle(self._known)
        first = next(iter(self._strangers))
        del self._strangers[first]
        first.close(at_once=True)
        return True

    def _end_idle(self, among: Iterable[Connection]) -> bool:
        """End the one of these known callers that has been idle longest; false where all are being answered."""
        idle = min((one for one in among if not one.busy), key=lambda one: one.touched, default=None)
        if idle is None:
            return False
        self._known.discard(idle)
        idle.close(at_once=True)
        return True

    def look(self) -> None:
        """End connections that take too long."""
        now = asyncio.get_running_loop().time()
        for connection in [*self._strangers, *self._known]:
            if connection.overdue(now):
                connection.close(at_once=True)

    async def end(self) -> None:
        """Take no more callers; let requests under way end for a moment."""
        if self._server:
            self._server.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + END_SECONDS
        while any(connection.busy for connection in self._known) and loop.time() < deadline:
            await asyncio.sleep(0.02)
        for connection in [*self._strangers, *self._known]:
            connection.close(at_once=True)
