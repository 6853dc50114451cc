"""A job whose one program runs to its end, a training or a processing job: its output, its limits, how it ended."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from batchrl.contract.nofollow import JobFolder
from batchrl.contract.paths import JobPaths
from launcher.local.events.kinds import CutShort
from launcher.local.executors.base import Execution, Executor, Program
from launcher.local.executors.monitor import Cut, Limits, Outcome, watch
from launcher.local.executors.output import OutputPump
from launcher.local.host.faults import MAX_REASON, JobFault, algorithm_reason, internal_fault, storage_fault
from launcher.local.jobs.driver import Driver, stop_grace
from launcher.local.keys.grants import Grant
from launcher.local.keys.places import Places
from launcher.local.records import states
from launcher.local.volumes.tree import HOST, Tree

DEFAULT_MAX_RUNTIME_SECONDS = 86_400.0
# After the end of a job's processes its output is closed; more than this is a fault (seconds).
OUTPUT_DRAIN_SECONDS = 60.0
# Characters of a program's last words in the reason of its failure, where it could not write one.
LAST_WORDS = 600

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """How the program's part of a job ended."""

    outcome: Outcome
    out_of_memory: bool


def new_stream(earlier: str = "") -> str:
    """The name of a log stream, by the time; another one than that of an earlier start."""
    began = int(time.time())
    if earlier:
        began = max(began, int(earlier.rpartition("-")[2]) + 1)
    return f"{HOST}-{began}"


class BatchDriver(Driver):
    """One job with one program, driven to its end.

    Attributes:
        NOUN: what messages call the job.
        MESSAGE_FILE: the file of the job's output folder that says why it failed.
    """

    NOUN: ClassVar[str]
    MESSAGE_FILE: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._name = self.record.name
        self._paths = JobPaths(self._folder.ml)
        self._stream = new_stream()
        # From the program's start until its results are published, its files are all there is of them.
        self._unsaved = False
        self._lost_output = ""
        self._pump: OutputPump | None = None

    @abstractmethod
    def _program(self, grant: Grant | None) -> Program:
        """What is run; without a key under network isolation."""

    @property
    @abstractmethod
    def _isolated(self) -> bool:
        """Whether the program has no network."""

    @abstractmethod
    def _places(self) -> Places:
        """What its key opens."""

    @abstractmethod
    def _publish(self) -> None:
        """Bring all results to S3.

        Raises:
            JobFault: some of them did not come there; the rest did.
        """

    @property
    @abstractmethod
    def _output_folder(self) -> JobFolder:
        """Where the program may say why it failed."""

    @abstractmethod
    def _kept_note(self) -> str:
        """What the reason of a job says whose results are on disk alone."""

    def _beside(self, log_file: Path, pump: OutputPump) -> AbstractContextManager[None]:
        """What goes on as long as the program writes to its log."""
        return nullcontext()

    def _interrupted(self) -> bool:
        """Whether the capacity on which the program runs is taken away."""
        return False

    def _over_limit(self) -> tuple[str, str]:
        """The status of a job whose time is over, and its message."""
        return (
            states.MAX_RUNTIME_EXCEEDED,
            f"{self.NOUN.capitalize()} runtime exceeded MaxRuntimeInSeconds provided",
        )

    def _write_tree(self, tree: Tree) -> None:
        """The job's folders, empty but for what the platform says in them."""
        self._remove_trees()
        try:
            tree.write()
        except OSError as error:
            raise storage_fault("preparing the job's folder", error) from error

    def _run(self, executor: Executor) -> Run:
        """Start the program, with the job's own key as long as it runs, and see it to its end."""
        key: AbstractContextManager[Grant | None] = nullcontext()
        if not self._isolated:
            key = self._key(str(self._request["RoleArn"]), self._places())
        with key as grant:
            execution = executor.start(self._program(grant))
            self._unsaved = True
            self._progress.note(container=execution.handle)
            try:
                return self._accompany(execution)
            except BaseException:
                execution.kill()
                raise

    def _accompany(self, execution: Execution) -> Run:
        """Read the program's output and wait for its end, which a stop or the time limit may bring."""
        stream = self._stream
        log_file = self._folder.log_file(stream)
        pump = self._pump = OutputPump(
            execution.output,
            log_file,
            lambda: self._progress.note(log_stream=f"{self._name}/{stream}"),
            execution.kill,
        )
        pump.start()
        with self._beside(log_file, pump):
            outcome = watch(
                execution, self._limits(), self._progress.stop_requested, self._on_cut, interrupted=self._interrupted
            )
            log.info("%s: its processes ended with exit code %d (%s)", self._name, outcome.exit_code, outcome.cut)
            if not pump.finish(OUTPUT_DRAIN_SECONDS):
                log.warning("the output of %s was not closed %.0f s after its end", self._name, OUTPUT_DRAIN_SECONDS)
        out_of_memory = execution.remove()
        if pump.fault is not None:
            self._lost_output = f"the output of the job could not be read any more, so it was ended: {pump.fault}"
        return Run(outcome, out_of_memory)

    def _end(self, run: Run) -> None:
        """Publish and take the terminal status; a program's own failure comes before that of an upload."""
        code, cut = run.outcome.exit_code, run.outcome.cut
        reason = internal_fault(self._lost_output).reason if self._lost_output else None
        if code and cut is None and reason is None:
            said = self._pump.last_words()[-LAST_WORDS:] if self._pump else ""
            reason = algorithm_reason(code, self._output_folder, run.out_of_memory, said, self.MESSAGE_FILE)
        try:
            self._publish()
        except JobFault as fault:
            raise JobFault(reason or fault.reason) from fault
        self._unsaved = False
        self._progress.note(published_at=time.time())
        if reason is not None:
            raise JobFault(reason)
        self._remove_trees()
        noun = self.NOUN.capitalize()
        if cut is Cut.TIME_LIMIT:
            self._progress.move(*self._over_limit())
        elif cut is Cut.STOP_REQUESTED:
            self._progress.move(states.STOPPED, f"{noun} stopped")
        else:
            self._progress.move(states.COMPLETED, f"{noun} completed")

    def _tell(self, lines: list[str]) -> None:
        """Words of ours at the end of the job's log."""
        if self._pump is not None:
            for line in lines:
                self._pump.say(f"batchrl: {line}")
            self._pump.settle()

    def _stopped(self) -> None:
        self._remove_trees()
        super()._stopped()

    def _fail(self, reason: str) -> None:
        if self._unsaved:
            note = self._kept_note()
            reason = reason[: MAX_REASON - len(note)] + note
        else:
            self._remove_trees()
        super()._fail(reason)

    def _on_cut(self, cut: Cut) -> None:
        self._events.add(CutShort(cut.value, self._max_runtime))
        if cut is not Cut.INTERRUPTED:
            limit = "MaxWaitTime" if self._over_limit()[0] == states.MAX_WAIT_TIME_EXCEEDED else "MaxRuntime"
            told = f"Stopping the {self.NOUN}" if cut is Cut.STOP_REQUESTED else f"{limit}InSeconds exceeded"
            self._progress.pass_through(states.STOPPING, told)

    @property
    def _max_runtime(self) -> float:
        """MaxRuntimeInSeconds."""
        condition = self._request.get("StoppingCondition") or {}
        return float(condition.get("MaxRuntimeInSeconds") or DEFAULT_MAX_RUNTIME_SECONDS)

    def _limits(self) -> Limits:
        return Limits(self._max_runtime, stop_grace())
