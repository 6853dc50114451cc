"""One model server: started, pinged until it is well, started again when it dies, ended (contract 130, 181, 185)."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from launcher.local.executors.base import Execution, Executor, Program
from launcher.local.faults import ALGORITHM, JobFault
from launcher.local.joblogs import LogReader
from launcher.local.metricscan import MetricScanner
from launcher.local.monitor import Waiter
from launcher.local.output import OutputPump
from launcher.local.serving.address import ServerAddress
from launcher.local.serving.http import Unanswered, ask

PING_SECONDS = 2.0  # contract 130
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.02, 0.25
DEFAULT_START_SECONDS = 600.0
# After this many starts a server that dies again and again is given up.
MOST_STARTS = 10
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
        self._run: _Run | None = None
        self._starts = 0

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

    def is_well(self) -> bool:
        """Whether it answers /ping."""
        if self._run is None or self._run.waiter.ended_within(0):
            return False
        try:
            return ask(self.address, "GET", "/ping", timeout=PING_SECONDS).status == HTTPStatus.OK
        except Unanswered:
            return False

    def recover(self) -> bool:
        """After a broken connection: whether it answers, started again if it had ended; False when it is given up."""
        with self._lock:
            if self.is_well():
                return True
            if not self._proceed() or self._starts >= MOST_STARTS:
                return False
            log.warning("the model server %s does not answer any more; starting it again", self._program.name)
            try:
                self._end()
                self._start()
            except JobFault as fault:
                log.error("%s", fault.reason)
                return False
            return True

    def execution_parameters(self) -> Mapping[str, Any] | None:
        """What /execution-parameters says; None where that is not implemented (contract 131)."""
        try:
            answer = ask(self.address, "GET", "/execution-parameters", timeout=PING_SECONDS)
            parsed = json.loads(answer.body) if answer.status == HTTPStatus.OK else None
        except (Unanswered, ValueError):
            return None
        return parsed if isinstance(parsed, dict) else None

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after the grace; one that has ended is no error."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        self._starts += 1
        execution = self._executor.start(self._program)
        pump = OutputPump(execution.output(), self._log_file, MetricScanner(()), lambda: None, lambda scanned: None)
        pump.start()
        self._run = run = _Run(execution, Waiter(execution), pump)
        try:
            self._await_ping(run)
        except BaseException:
            self._end()
            raise

    def _await_ping(self, run: _Run) -> None:
        deadline, pause = time.monotonic() + self._start_seconds, FIRST_POLL_SECONDS
        while not self.is_well():
            if run.waiter.ended_within(pause):
                run.pump.finish(OUTPUT_DRAIN_SECONDS)
                raise JobFault(
                    f"{ALGORITHM}: the model server ended with exit code {run.waiter.exit_code()} before it answered "
                    f"/ping.{self._last_lines()}"
                )
            if not self._proceed():
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
