"""The platform's client of a model server: POST /invocations, several at once (contract 135, 136, 171 to 173).

What is tried again (contract 172 leaves it open, so it is pinned here): a connection that could not be made or broke,
an answer that did not come in time, and the statuses 429 and 5xx, after a short pause that doubles. Every other status
is the server's last word. A connection that was idle for a second is not used again: servers close such, and what is
sent at that moment is lost.

After a broken connection nothing is sent until the server's keeper has said that it lives. Which of the invocations
under way broke it cannot be told, so that all of them are suspects: each is sent again alone, nothing beside it, until
it has an answer. Only one that breaks the server alone has used up a try; its neighbours have lost nothing but time.

It lives in one event loop and is made of callbacks: with a request a record there is no time for a task each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Executor
from typing import Protocol

from launcher.local.executors.address import ServerAddress
from launcher.local.modelserver.http import ENDED
from launcher.local.transform.connection import Call, Connection, head_of
from launcher.local.transform.settings import TransformSettings

IDLE_SECONDS = 1.0
CONNECT_SECONDS = 10.0
FIRST_PAUSE = 0.1
TOO_MANY = 429
NO_RESPONSE = "Unable to get response from algorithm"


class Server(Protocol):
    """Who keeps a model server alive."""

    @property
    def address(self) -> ServerAddress:
        """Where it listens."""

    def recover(self, useful: bool) -> bool:
        """Called from a thread after a broken connection: True when it answers (again), False when it is gone.

        Args:
            useful: whether it has answered an invocation since the last call.
        """


class ModelClient:
    """Invokes a model server; ``max_concurrent`` invocations are under way at most, the others wait their turn.

    Args:
        server: the server's keeper; where it listens may change when it is recovered.
        settings: of the job.
        threads: where it is asked to recover the server.
    """

    def __init__(self, server: Server, settings: TransformSettings, threads: Executor) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._threads = threads
        self._settings = settings
        self._waiting: deque[Call] = deque()
        self._suspects: deque[Call] = deque()
        self._alone: Call | None = None  # the suspect under way
        self._unreached = 0  # connections that failed one after another
        self._useful = False
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._mending: asyncio.Task[None] | None = None
        self._lost = ""  # why nothing can be invoked any more

    @property
    def lost(self) -> str:
        """Why nothing can be invoked any more; empty while something can."""
        return self._lost

    def submit(self, call: Call) -> None:
        """Invoke; ``call.told`` is called when there is an answer or none can be had."""
        if self._lost:
            self._give_up(call, self._lost)
        else:
            self._waiting.append(call)
            self._dispatch()

    def tick(self) -> None:
        """Break off what takes longer than an invocation may; to be called several times a second."""
        now, limit = self._loop.time(), self._settings.timeout_seconds
        for connection in [one for one in self._open if one.call is not None and now - one.started > limit]:
            call = connection.take_call()
            connection.abort()
            self._over(call)
            self._again(call, f"no answer within {limit:g} s")

    def close(self) -> None:
        """Drop all connections; what was under way gets no answer."""
        self._lost = self._lost or "it is not needed any more"
        self._waiting.clear()
        self._suspects.clear()
        for task in (*self._opening, *filter(None, [self._mending])):
            task.cancel()
        for connection in tuple(self._open):
            connection.call = None
            connection.abort()

    # What a connection tells.

    def answered(self, connection: Connection, call: Call) -> None:
        """An answer is complete; the connection takes the next call, or is closed."""
        self._useful = True
        self._over(call)
        call.suspect = False
        if connection.reusable:
            self._use(connection)
        else:
            connection.close()
        if call.status == TOO_MANY or call.status >= 500:
            self._again(call, f"status {call.status}")
        else:
            call.finish()
        self._dispatch()

    def closed(self, connection: Connection, call: Call | None, why: str) -> None:
        """A connection has ended, perhaps with a call that has no answer."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if call is not None:
            self._over(call)
            self._broken(call, why)
        self._dispatch()

    def _use(self, connection: Connection) -> None:
        """Give a free connection the next call, or keep it for one."""
        if (due := self._due()) is None:
            connection.started = self._loop.time()
            self._idle.append(connection)
            return
        call = due.popleft()
        if call.suspect:
            self._alone = call
        connection.send(call)

    def _due(self) -> deque[Call] | None:
        """The queue whose first call may be sent now; None if none may."""
        for queue in (self._suspects, self._waiting):
            while queue and queue[0].dropped:
                queue.popleft()
        if self._mending is not None or self._alone is not None:
            return None
        if self._suspects:
            return None if self._under_way() else self._suspects
        return self._waiting or None

    def _under_way(self) -> bool:
        return any(connection.call is not None for connection in self._open)

    def _over(self, call: Call) -> None:
        """A call is not under way any more."""
        if call is self._alone:
            self._alone = None

    def _dispatch(self) -> None:
        while self._due() is not None and (connection := self._idle_connection()) is not None:
            self._use(connection)
        if (due := self._due()) is not None:
            calls = 1 if due is self._suspects else len(due)
            wanted = min(calls, self._settings.max_concurrent - len(self._open))
            while len(self._opening) < wanted:
                task = self._loop.create_task(self._connect())
                self._opening.add(task)
                task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._dispatch()

    def _idle_connection(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if self._loop.time() - connection.started < IDLE_SECONDS:
                return connection
            self._open.discard(connection)
            connection.close()
        return None

    async def _connect(self) -> None:
        if self._mending is not None:
            return
        why = "it was closed at once"
        try:
            address = self._server.address
            chunked = self._settings.max_payload_bytes is None
            connection = Connection(self, head_of(address, self._settings), chunked=chunked)
            async with asyncio.timeout(CONNECT_SECONDS):
                if address.path is not None:
                    await self._loop.create_unix_connection(lambda: connection, address.path)
                else:
                    await self._loop.create_connection(lambda: connection, *address.host_and_port)
            if not address.is_held:
                connection.abort()
                why = ENDED
            elif connection.reusable:
                # It is used before anything else can happen to it: whatever does is then told of a call.
                self._unreached = 0
                self._open.add(connection)
                self._use(connection)
                return
        except TimeoutError:
            why = f"it takes longer than {CONNECT_SECONDS:g} s"
        except Exception as error:
            why = str(error) or type(error).__name__
        # While the server is being looked after, a connection that fails says nothing.
        if (due := self._due()) is not None:
            self._unreached += 1
            self._have_mended()
            # Nothing was sent: a try is used up only where the server's keeper says that it lives, and it does not.
            if self._unreached > 1 and not self._under_way():
                self._again(due.popleft(), f"no connection to the server: {why}")

    # What is tried again.

    def _have_mended(self) -> None:
        if self._mending is None and not self._lost:
            self._mending = self._loop.create_task(self._mend())

    def _broken(self, call: Call, why: str) -> None:
        alone = self._mending is None and not self._under_way()
        self._have_mended()
        call.suspect = True
        if alone or self._lost:
            self._again(call, why)
        elif not call.dropped:
            self._suspects.append(call)

    async def _mend(self) -> None:
        why = "the server is gone"
        useful, self._useful = self._useful, False
        try:
            alive = await self._loop.run_in_executor(self._threads, self._server.recover, useful)
        except Exception as error:
            alive, why = False, f"the server is gone ({error})"
        self._mending = None
        if not alive:
            self._lost = why
            for queue in (self._suspects, self._waiting):
                while queue:
                    self._give_up(queue.popleft(), why)
        self._dispatch()

    def _again(self, call: Call, why: str) -> None:
        call.tries += 1
        if call.dropped:
            return
        if call.tries <= self._settings.retries and not self._lost:
            self._loop.call_later(FIRST_PAUSE * 2 ** (call.tries - 1), self._resubmit, call)
        elif call.status:
            call.finish()
        else:
            tried = f", tried {call.tries} times" if call.tries > 1 else ""
            self._give_up(call, why + tried)

    def _resubmit(self, call: Call) -> None:
        if self._lost:
            self._give_up(call, self._lost)
        else:
            (self._suspects if call.suspect else self._waiting).appendleft(call)
            self._dispatch()

    def _give_up(self, call: Call, why: str) -> None:
        call.status = 0
        call.fault = f"{NO_RESPONSE}: {why}"
        call.finish()
