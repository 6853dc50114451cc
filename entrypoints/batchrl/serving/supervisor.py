"""The processes of the server: one that accepts connections and sees to it that its workers live (contract 185 to 187).

The model is loaded once, before the workers are forked: they share its memory, and start in milliseconds. The
supervisor passes every connection on to the worker that has the fewest. (Workers that accept by themselves from one
socket share connections very unevenly: of 64 that came at once, one of two workers got 58.) Closing its end of a
worker's socket tells the worker to answer what it has and to end; so the death of the supervisor ends all of them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from batchrl.contract.errors import EXIT_DONE, BatchRLError
from batchrl.serving.worker import Heartbeat

STOPS = (signal.SIGTERM, signal.SIGINT)
# Of the 30 seconds between SIGTERM and SIGKILL (contract 185).
DRAIN_SECONDS = 25.0
# A worker that dies sooner than this after its start may do so again and again.
SHORT_LIFE_SECONDS = 2.0
MOST_SHORT_LIVES = 5
LOOK_SECONDS = 1.0
WAKE_BYTES = 4096
HEARTBEAT_SLOT, CLOSED_SLOT, SLOTS = 0, 1, 2
SLOT_BYTES = 8

# What a worker does: serve what comes by a socket, and tell how it is.
Work = Callable[[socket.socket, Heartbeat], None]


@dataclass
class Child:
    """A worker, as the supervisor sees it.

    Args:
        pid: its process.
        slot: the first of its places in the shared memory.
        exit: where connections are passed to it.
        started: monotonic, in seconds.
        given: connections that it got.
    """

    pid: int
    slot: int
    exit: socket.socket
    started: float
    given: int = 0


class Supervisor:
    """Runs workers until a signal asks to stop.

    Args:
        listener: listening socket.
        count: of workers.
        work: what each does.
        timeout: seconds without a heartbeat after which a worker is taken for stuck.
    """

    def __init__(self, listener: socket.socket, count: int, work: Work, timeout: float) -> None:
        self._listener = listener
        self._count = count
        self._work = work
        self._timeout = timeout
        self._children: list[Child] = []
        self._shared = memoryview(mmap.mmap(-1, count * SLOTS * SLOT_BYTES)).cast("d")
        self._stopped = False
        self._short_lives = 0

    def run(self) -> int:
        """Serve; returns the exit code."""
        wake, wake_end = os.pipe()
        for end in (wake, wake_end):
            os.set_blocking(end, False)
        self._listener.setblocking(False)
        for signum in STOPS:
            signal.signal(signum, self._stop)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in range(self._count):
            self._start(number * SLOTS)
        sources: list[socket.socket | int] = [self._listener, wake]
        while not self._stopped:
            ready, _, _ = select.select(sources, [], [], LOOK_SECONDS)
            if wake in ready:
                os.read(wake, WAKE_BYTES)
            if not self._stopped and not self._replace_the_dead():
                return BatchRLError.exit_code
            if self._listener in ready:
                self._accept()
            self._end_the_stuck()
        return self._drain()

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self._stopped = True

    def _accept(self) -> None:
        """Pass on all connections that wait."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # none is left, or its client has gone
                return
            with connection:
                self._pass_on(connection)

    def _pass_on(self, connection: socket.socket) -> None:
        for child in sorted(self._children, key=self._open):
            try:
                socket.send_fds(child.exit, [b"c"], [connection.fileno()])
            except OSError:  # it has died, or takes nothing any more
                continue
            child.given += 1
            return

    def _open(self, child: Child) -> float:
        """Connections that a worker has open."""
        return child.given - self._shared[child.slot + CLOSED_SLOT]

    def _start(self, slot: int) -> None:
        self._shared[slot + HEARTBEAT_SLOT] = time.monotonic()
        self._shared[slot + CLOSED_SLOT] = 0
        exit_end, entry = socket.socketpair()
        exit_end.setblocking(False)
        entry.setblocking(False)
        # A stop that comes now waits until it reaches who it is for.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        pid = os.fork()
        if pid == 0:
            self._be_worker(slot, exit_end, entry)
        self._children.append(Child(pid, slot, exit_end, time.monotonic()))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        entry.close()

    def _be_worker(self, slot: int, exit_end: socket.socket, entry: socket.socket) -> None:
        """What a fork does, to its end."""
        code = BatchRLError.exit_code
        try:
            signal.set_wakeup_fd(-1)
            for signum in STOPS:
                # The group gets what the supervisor gets; it alone decides.
                signal.signal(signum, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            self._listener.close()
            exit_end.close()
            for other in self._children:
                other.exit.close()
            self._work(entry, self._heartbeat(slot))
            code = EXIT_DONE
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _heartbeat(self, slot: int) -> Heartbeat:
        def report(moment: float) -> None:
            self._shared[slot + HEARTBEAT_SLOT] = moment

        def closed(count: int) -> None:
            self._shared[slot + CLOSED_SLOT] = count

        return Heartbeat(report, closed)

    def _replace_the_dead(self) -> bool:
        """Start a worker for each that died; False where they die as soon as they are started."""
        for child, status in self._reaped():
            lived = time.monotonic() - child.started
            _say(f"worker {child.pid} {_ended(status)} after {lived:.0f} s; another one takes its place")
            self._short_lives = self._short_lives + 1 if lived < SHORT_LIFE_SECONDS else 0
            if self._short_lives >= MOST_SHORT_LIVES:
                _say(f"Error: {MOST_SHORT_LIVES} workers died one after the other; this server ends")
                return False
            self._start(child.slot)
        return True

    def _reaped(self) -> Iterator[tuple[Child, int]]:
        """Workers that have ended, with their wait statuses."""
        for child in list(self._children):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._children.remove(child)
                child.exit.close()
                yield child, status

    def _end_the_stuck(self) -> None:
        for child in self._children:
            silent = time.monotonic() - self._shared[child.slot + HEARTBEAT_SLOT]
            if silent > self._timeout:
                _say(f"worker {child.pid} has done one thing for {silent:.0f} s; it is ended")
                self._shared[child.slot + HEARTBEAT_SLOT] = time.monotonic()
                os.kill(child.pid, signal.SIGKILL)

    def _drain(self) -> int:
        """Let the workers answer what has come, then end."""
        self._accept()
        self._listener.close()
        for child in self._children:
            child.exit.close()
        deadline = time.monotonic() + DRAIN_SECONDS
        failed = False
        while self._children and time.monotonic() < deadline:
            for _, status in self._reaped():
                failed = failed or status != 0
            time.sleep(0.005)
        for child in self._children:
            _say(f"worker {child.pid} had not answered all after {DRAIN_SECONDS:.0f} s; it is ended")
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
        return BatchRLError.exit_code if failed or self._children else EXIT_DONE


def _say(text: str) -> None:
    """A line in the log; a log that nobody reads is no reason to stop serving."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
