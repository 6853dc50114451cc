"""An executor whose programs are told in the job's event file: start, first output, use, signals, end."""

from __future__ import annotations

import time
from collections.abc import Iterator

from batchrl.contract.text import printable
from launcher.local.engine.image import default_image
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import FirstOutput, OutOfMemory, ProgramEnded, ProgramStarted, SignalSent
from launcher.local.events.processes import oom_kills
from launcher.local.events.sampler import Sampler
from launcher.local.executors.address import ServerAddress
from launcher.local.executors.base import DOCKER, Execution, Executor, Program
from launcher.local.host.jobrules import JobRules


class RecordedExecution:
    """One program of another executor.

    Args:
        execution: the program.
        program: what was asked for.
        events: the job's events.
        notice: a line that its output begins with; empty for none.
    """

    def __init__(self, execution: Execution, program: Program, events: EventFile, notice: str = "") -> None:
        self._execution = execution
        self._notice = notice
        self._instance = program.instance
        self._events = events
        self._started = time.monotonic()
        self._oom_kills = oom_kills()
        self._sampler = Sampler(events, execution.handle, program.instance, program.home.root)

    @property
    def handle(self) -> str:
        """See ``Execution``."""
        return self._execution.handle

    @property
    def address(self) -> ServerAddress | None:
        """See ``Execution``."""
        return self._execution.address

    def output(self) -> Iterator[bytes]:
        """See ``Execution``."""
        if self._notice:
            yield f"batchrl: {self._notice}\n".encode()
        first = True
        for chunk in self._execution.output():
            self._sampler.wrote(len(chunk))
            if first:
                first = False
                self._events.add(FirstOutput(self._instance, time.monotonic() - self._started))
            yield chunk

    def wait(self) -> int:
        """See ``Execution``."""
        try:
            code = self._execution.wait()
        finally:
            self._sampler.close()
        seconds = time.monotonic() - self._started
        kills = oom_kills() - self._oom_kills
        self._events.add(ProgramEnded(self._instance, code, seconds, self._sampler.highest_rss, kills))
        return code

    def terminate(self) -> None:
        """See ``Execution``."""
        self._events.add(SignalSent("SIGTERM", self._instance))
        self._execution.terminate()

    def kill(self) -> None:
        """See ``Execution``."""
        self._events.add(SignalSent("SIGKILL", self._instance))
        self._execution.kill()

    def remove(self) -> bool:
        """See ``Execution``."""
        out_of_memory = self._execution.remove()
        if out_of_memory:
            self._events.add(OutOfMemory(self._instance))
        return out_of_memory


class RecordedExecutor:
    """Another executor, whose programs are told.

    Args:
        executor: what starts them.
        events: the job's events.
    """

    def __init__(self, executor: Executor, events: EventFile) -> None:
        self._executor = executor
        self._events = events

    @property
    def name(self) -> str:
        """See ``Executor``."""
        return self._executor.name

    def start(self, program: Program) -> Execution:
        """See ``Executor``."""
        execution = self._executor.start(program)
        limit, image, notice = 0, "", ""  # a process has neither a limit of its own nor an image
        if self.name == DOCKER:
            rules = JobRules.read(program.home.job_rules)
            limit, image = rules.memory, rules.image_for(program.image, default_image())
        if image and image != program.image:
            notice = f"{image} runs in place of the image {printable(program.image)} (batchrl cloud up --image-alias)"
        self._events.add(ProgramStarted(self.name, execution.handle, program.instance, limit, image))
        return RecordedExecution(execution, program, self._events, notice)
