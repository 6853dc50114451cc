"""A worker: uvicorn on connections that the supervisor accepted and passes on."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from batchrl.serving.app import App
from batchrl.serving.invocation import Service
from batchrl.serving.settings import ServingSettings

# Between two heartbeats of a worker, in seconds.
HEARTBEAT_SECONDS = 0.5
# For what clients had sent before they could know of a stop, in seconds; its answers tell them.
ARRIVAL_SECONDS = 0.02
# For a request to arrive whole after a stop, in seconds.
UPLOAD_SECONDS = 5.0
# An idle connection is kept for so long, in seconds: longer than the pools of usual clients keep theirs.
KEEP_ALIVE_SECONDS = 120
FILES_AT_ONCE = 32


@dataclass(frozen=True)
class Heartbeat:
    """What a worker tells its supervisor, in memory that both share.

    Args:
        report: called with the time (monotonic, in seconds) at which the worker was last known to go on.
        closed: called with the number of connections that it has closed.
    """

    report: Callable[[float], None]
    closed: Callable[[int], None]


class Connection(HttpToolsProtocol):
    """A connection that says when it is lost."""

    on_lost: Callable[[], None]

    @property
    def is_receiving(self) -> bool:
        """Whether a request has begun that has not arrived whole."""
        return self.cycle is not None and self.cycle.more_body

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio when the connection has ended: tell the worker."""
        super().connection_lost(exc)
        self.on_lost()


class Worker(uvicorn.Server):
    """Serves until the supervisor closes its end of the socket; then answers what is under way, and ends.

    Args:
        app: the application.
        entry: socket that brings connections.
        heartbeat: what to tell.
    """

    def __init__(self, app: App, entry: socket.socket, heartbeat: Heartbeat) -> None:
        # On stderr, from warnings on: what uvicorn cannot say to a client.
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        super().__init__(config)
        self._app = app
        self._entry = entry
        self._heartbeat = heartbeat
        self._n_closed = 0
        self._stopping = asyncio.Event()
        self._joining: set[asyncio.Task[object]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the supervisor's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections that the supervisor hands in."""
        self.servers = []
        self.started = True
        asyncio.get_running_loop().add_reader(self._entry, self._take)

    async def main_loop(self) -> None:
        """Report heartbeats until the worker is told to stop."""
        turn = 0
        while not self._stopping.is_set():
            began = self._app.began
            self._heartbeat.report(time.monotonic() if began is None else began)
            await self.on_tick(turn)
            turn += 10  # on_tick sets the date header where this divides by 10
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), HEARTBEAT_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what has arrived, then close the connections."""
        self._app.closing = True
        await asyncio.sleep(ARRIVAL_SECONDS)
        connections = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        deadline = time.monotonic() + UPLOAD_SECONDS
        while self._joining or connections or self.server_state.tasks:
            await asyncio.sleep(0.005)
            if time.monotonic() > deadline:
                for connection in [each for each in connections if isinstance(each, Connection) and each.is_receiving]:
                    connection.transport.close()

    def _take(self) -> None:
        """Take over the connections that wait."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                content, files, _, _ = socket.recv_fds(self._entry, FILES_AT_ONCE, FILES_AT_ONCE)
            except BlockingIOError:
                return
            if not content:
                loop.remove_reader(self._entry)
                self._stopping.set()
                return
            for file in files:
                task = loop.create_task(self._join(socket.socket(fileno=file)))
                self._joining.add(task)
                task.add_done_callback(self._joining.discard)

    async def _join(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(functools.partial(self._protocol, loop), connection)
        except OSError:  # the client has gone
            connection.close()
            self._lost()

    def _protocol(self, loop: asyncio.AbstractEventLoop) -> Connection:
        protocol = Connection(self.config, self.server_state, {}, loop)
        protocol.on_lost = self._lost
        return protocol

    def _lost(self) -> None:
        self._n_closed += 1
        self._heartbeat.closed(self._n_closed)


def run_worker(
    service: Service, settings: ServingSettings, record_seconds: float, entry: socket.socket, heartbeat: Heartbeat
) -> None:
    """What a worker does, to its end.

    Args:
        service: answers requests.
        settings: of the server.
        record_seconds: how long the networks take for one record.
        entry: socket that brings connections.
        heartbeat: what to tell the supervisor.
    """
    Worker(App(service, settings, record_seconds), entry, heartbeat).run()
