"""One model server: started, pinged until it is well, started again when it dies, ended (contract 130, 181, 185).

=======================================  ===========================================================================
the server                               what becomes of it
=======================================  ===========================================================================
has ended                                started again, unless it did nothing useful since the last ``MOST_FRUITLESS``
                                         starts: then it is given up
runs, and answers /ping                  left alone
runs, and does not answer /ping          waited for: it may be busy; started again after ``UNWELL_SECONDS``
=======================================  ===========================================================================
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from batchrl.contract import jsontext
from launcher.local.executors.address import ServerAddress
from launcher.local.executors.base import Execution, Executor, Program
from launcher.local.executors.monitor import Waiter
from launcher.local.executors.output import OutputPump
from launcher.local.host.faults import ALGORITHM, JobFault
from launcher.local.logs.joblogs import LogReader
from launcher.local.modelserver.http import Unanswered, ask

PING_SECONDS = 2.0  # contract 130
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.02, 0.25
DEFAULT_START_SECONDS = 600.0
# So many starts in a row, none of which led to an answer, and a server is given up. Each record that ends a server
# costs as many as it is tried, so that several such records may follow one another.
MOST_FRUITLESS = 40
# A server that runs may be busy for so long that it does not answer /ping (seconds).
UNWELL_SECONDS = 120.0
RECOVER_POLL_SECONDS = 0.2
# How often a server is pinged that is looked at all the time (seconds).
TEND_PING_SECONDS = 5.0
OUTPUT_DRAIN_SECONDS = 10.0
SHOWN_LINES = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Run:
    """One start of the program."""

    execution: Execution
    waiter: Waiter
    pump: OutputPump


class ModelServer:
    """One model server; its methods may be called from several threads.

    Args:
        executor: what runs it.
        program: what it is.
        log_file: takes what it writes, whichever of its starts it was.
        grace: seconds between SIGTERM and SIGKILL.
        start_seconds: how long it may take to answer /ping.
        proceed: asked while it is waited for; False ends the waiting.
    """

    def __init__(
        self,
        executor: Executor,
        program: Program,
        log_file: Path,
        grace: float,
        start_seconds: float = DEFAULT_START_SECONDS,
        proceed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._executor = executor
        self._program = program
        self._log_file = log_file
        self._grace = grace
        self._start_seconds = start_seconds
        self._proceed = proceed
        self._lock = threading.Lock()
        self._stopped = False
        self._run: _Run | None = None
        self._fruitless = 0  # starts since it was last of use
        self._pinged = 0.0
        self._well = 0.0  # when it was so last

    @property
    def address(self) -> ServerAddress:
        """Where it listens, since its last start."""
        assert self._run is not None and self._run.execution.address is not None
        return self._run.execution.address

    @property
    def handle(self) -> str:
        """What finds its processes again."""
        return "" if self._run is None else self._run.execution.handle

    def start(self) -> None:
        """Start it and wait until it answers /ping with 200.

        Raises:
            JobFault: it cannot be started, ended before it answered, or did not answer in time.
        """
        with self._lock:
            self._start()

    def tend(self) -> bool:
        """Look after it, which takes a moment as long as it is well; to be called several times a second.

        Returns:
            False when it is given up.
        """
        with self._lock:
            if self._has_ended():
                return self._start_again("has ended")
            now = time.monotonic()
            if now - self._pinged < TEND_PING_SECONDS:
                return True
            self._pinged = now
            if self._is_well():
                self._fruitless = 0
            elif now - self._well > UNWELL_SECONDS:
                return self._start_again("does not answer any more")
            return True

    def recover(self, useful: bool) -> bool:
        """After a broken connection: wait until it answers /ping, started again where that is needed.

        Args:
            useful: whether it has answered an invocation since the last call.

        Returns:
            False when it is given up.
        """
        with self._lock:
            if useful:
                self._fruitless = 0
            deadline = time.monotonic() + UNWELL_SECONDS
            while not self._has_ended():
                if self._is_well():
                    return True
                if self._is_over():
                    return False
                if time.monotonic() > deadline:
                    return self._start_again("does not answer any more")
                time.sleep(RECOVER_POLL_SECONDS)
            return self._start_again("has ended")

    def execution_parameters(self) -> Mapping[str, Any] | None:
        """What /execution-parameters says; None where that is not implemented (contract 131)."""
        try:
            answer = ask(self.address, "GET", "/execution-parameters", timeout=PING_SECONDS)
            parsed = jsontext.parsed(answer.body) if answer.status == HTTPStatus.OK else None
        except (Unanswered, ValueError):
            return None
        return parsed if isinstance(parsed, dict) else None

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after the grace; one that has ended is no error. It is not started again after that."""
        self._stopped = True
        with self._lock:
            self._end()

    def _is_over(self) -> bool:
        return self._stopped or not self._proceed()

    def _has_ended(self) -> bool:
        return self._run is None or self._run.waiter.ended_within(0)

    def _is_well(self) -> bool:
        """Whether it runs and answers /ping."""
        if self._has_ended() or self._run is None or (address := self._run.execution.address) is None:
            return False
        try:
            well = ask(address, "GET", "/ping", timeout=PING_SECONDS).status == HTTPStatus.OK
        except Unanswered:
            return False
        if well:
            self._well = time.monotonic()
        return well

    def _start_again(self, why: str) -> bool:
        if self._is_over():
            return False
        if self._fruitless >= MOST_FRUITLESS:
            log.error("the model server %s is given up after %d starts in a row", self._program.name, MOST_FRUITLESS)
            return False
        log.warning("the model server %s %s; starting it again", self._program.name, why)
        try:
            self._end()
            self._start()
        except JobFault as fault:
            log.error("%s", fault.reason)
            return False
        return True

    def _start(self) -> None:
        self._fruitless += 1
        execution = self._executor.start(self._program)
        pump = OutputPump(execution.output, self._log_file, lambda: None, execution.kill)
        pump.start()
        self._run = run = _Run(execution, Waiter(execution), pump)
        try:
            self._await_ping(run)
        except BaseException:
            self._end()
            raise

    def _await_ping(self, run: _Run) -> None:
        deadline, pause = time.monotonic() + self._start_seconds, FIRST_POLL_SECONDS
        while not self._is_well():
            if run.waiter.ended_within(pause):
                run.pump.finish(OUTPUT_DRAIN_SECONDS)
                raise JobFault(
                    f"{ALGORITHM}: the model server ended with exit code {run.waiter.exit_code()} before it answered "
                    f"/ping.{self._last_lines()}"
                )
            if self._is_over():
                raise JobFault(f"{ALGORITHM}: the model server was stopped before it answered /ping.")
            if time.monotonic() > deadline:
                raise JobFault(
                    f"{ALGORITHM}: the model server did not answer /ping with 200 within {self._start_seconds:.0f} s."
                    f"{self._last_lines()}"
                )
            pause = min(2 * pause, LONGEST_POLL_SECONDS)

    def _end(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if not run.waiter.ended_within(0):
            run.execution.terminate()
            if not run.waiter.ended_within(self._grace):
                run.execution.kill()
                run.waiter.ended_within(OUTPUT_DRAIN_SECONDS)
        run.pump.finish(OUTPUT_DRAIN_SECONDS)
        if run.execution.remove():
            log.warning("the model server %s ran out of memory", self._program.name)

    def _last_lines(self) -> str:
        events = LogReader(self._log_file).backward(None, limit=SHOWN_LINES).events
        return " Its log ends with: " + " | ".join(event.message for event in events) if events else ""


def start_all(servers: Sequence[ModelServer]) -> None:
    """Start servers at the same time; when one cannot be started, all are ended.

    Raises:
        JobFault: that of the first server, in their order, which could not be started.
    """
    try:
        _each(servers, ModelServer.start)
    except BaseException:
        stop_all(servers)
        raise


def stop_all(servers: Sequence[ModelServer]) -> None:
    """End servers at the same time."""
    _each(servers, ModelServer.stop)


def _each(servers: Sequence[ModelServer], action: Callable[[ModelServer], None]) -> None:
    with ThreadPoolExecutor(max(1, len(servers)), thread_name_prefix="server") as pool:
        futures = [pool.submit(action, server) for server in servers]
    for future in futures:
        future.result()
