"""One training job from Starting to its end: what the platform does around a script (contract A12)."""

from __future__ import annotations

import contextlib
import logging
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

from batchrl.contract.layout import S3Url
from batchrl.contract.paths import JobPaths
from launcher.local.events.kinds import CheckpointsRestored, CutShort, MetricDropped
from launcher.local.executors.base import Execution, Executor
from launcher.local.executors.metricscan import Definitions, MetricWatch, definitions_in
from launcher.local.executors.monitor import Cut, Limits, Outcome, watch
from launcher.local.executors.output import OutputPump
from launcher.local.host.faults import (
    MAX_REASON,
    JobFault,
    algorithm_reason,
    client_fault,
    combined,
    internal_fault,
    kept_note,
    storage_fault,
)
from launcher.local.jobs.driver import Driver, stop_grace
from launcher.local.jobs.programs import is_isolated, training_program
from launcher.local.jobs.publication import Publication
from launcher.local.keys.grants import Grant
from launcher.local.keys.places import training_places
from launcher.local.records import states
from launcher.local.volumes.inputs import download_channels
from launcher.local.volumes.tree import HOST, checkpoint_path, plan_tree

DEFAULT_MAX_RUNTIME_SECONDS = 86_400.0
# After the end of a job's processes its output is closed; more than this is a fault (seconds).
OUTPUT_DRAIN_SECONDS = 60.0
# Characters of a script's last words in the reason of its failure, where it could not write one.
LAST_WORDS = 600

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """How the script's part of a job ended."""

    outcome: Outcome
    out_of_memory: bool


class TrainingDriver(Driver):
    """One job, driven to its end."""

    STOPPED = "The job was stopped before its script was started"
    FAILED = "Training job failed"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._name = self.record.name
        self._paths = JobPaths(self._folder.ml)
        self._stream = f"{HOST}-{int(time.time())}"
        # From the script's start until its results are published, its files are all there is of them.
        self._unsaved = False
        self._lost_output = ""
        self._pump: OutputPump | None = None

    @cached_property
    def _publication(self) -> Publication:
        return Publication(self.client, self.record, self._folder, self._events)

    def _work(self) -> None:
        executor = self._executor_for(str(self._request["ResourceConfig"].get("InstanceType", "")))
        definitions = definitions_in(self._request["AlgorithmSpecification"].get("MetricDefinitions"))
        self._prepare()
        self._progress.refuse_if_stopped()
        self._progress.move(states.TRAINING, f"Training in progress ({executor.name}).")
        self._end(self._train(executor, definitions))

    def _prepare(self) -> None:
        """Tree, channels and checkpoints, all before PID 1 starts."""
        self._progress.refuse_if_stopped()
        if (count := self._request["ResourceConfig"].get("InstanceCount", 1)) != 1:
            raise client_fault(f"InstanceCount {count}: the local cloud runs jobs on one host.")
        self._remove_trees()
        try:
            plan_tree(self._request, self._paths).write()
        except OSError as error:
            raise storage_fault("preparing the job's folder", error) from error
        checkpoints = self._publication.checkpoints
        if self._request.get("InputDataConfig") or checkpoints is not None:
            self._progress.move(states.DOWNLOADING, "Downloading input data")
        download_channels(
            self.client, self._request, self._paths, lambda: not self._progress.stop_requested(), self._events
        )
        if checkpoints is not None:
            began, count = time.monotonic(), checkpoints.restore()
            log.info("%d checkpoint files restored", count)
            self._events.add(CheckpointsRestored(count, time.monotonic() - began))

    def _train(self, executor: Executor, definitions: Definitions) -> Run:
        local_path, folder = checkpoint_path(self._request), self._publication.folders.checkpoints
        checkpoints = (local_path, folder.place) if local_path and folder else None
        with self._own_key() as grant:
            execution = executor.start(training_program(self.record, self.home, self.address, grant, checkpoints))
            self._unsaved = True
            self._progress.note(container=execution.handle)
            try:
                return self._accompany(execution, definitions)
            except BaseException:
                execution.kill()
                raise

    def _own_key(self) -> AbstractContextManager[Grant | None]:
        """The job's key while its program runs; none under network isolation."""
        if is_isolated(self._request):
            return contextlib.nullcontext()
        return self._key(str(self._request["RoleArn"]), training_places(self._name, self._request))

    def _accompany(self, execution: Execution, definitions: Definitions) -> Run:
        stream = self._stream
        log_file = self._folder.log_file(stream)
        pump = self._pump = OutputPump(
            execution.output,
            log_file,
            lambda: self._progress.note(log_stream=f"{self._name}/{stream}"),
            execution.kill,
        )

        def tell(fault: str) -> None:
            log.warning("%s", fault)
            self._events.add(MetricDropped(fault))
            pump.say(f"batchrl: {fault}")

        metrics = MetricWatch(definitions, log_file, lambda latest: self._progress.note(metrics=latest), tell)
        pump.start()
        metrics.start()
        if self._publication.checkpoints is not None:
            self._publication.checkpoints.start()
        outcome = watch(execution, self._limits(), self._progress.stop_requested, self._on_cut)
        log.info("%s: its processes ended with exit code %d (%s)", self._name, outcome.exit_code, outcome.cut)
        if not pump.finish(OUTPUT_DRAIN_SECONDS):
            log.warning("the output of %s was not closed %.0f s after its end", self._name, OUTPUT_DRAIN_SECONDS)
        metrics.finish()
        out_of_memory = execution.remove()
        if pump.fault is not None:
            self._lost_output = f"the output of the job could not be read any more, so it was ended: {pump.fault}"
        return Run(outcome, out_of_memory)

    def _publish(self) -> None:
        """Bring all of it to S3, and say in the job's log what was left out.

        Raises:
            JobFault: some of it did not come there; the rest did.
        """
        published = self._publication.publish()
        self._progress.note(model_artifacts=str(published.model), size_bytes=published.size_bytes)
        self._tell(published.left_out)
        if published.faults:
            raise combined(published.faults)
        self._unsaved = False
        self._progress.note(published_at=time.time())

    def _tell(self, lines: list[str]) -> None:
        """Words of ours at the end of the job's log."""
        if self._pump is not None:
            for line in lines:
                self._pump.say(f"batchrl: {line}")
            self._pump.settle()

    def _end(self, run: Run) -> None:
        """Publish and take the terminal status; a script's own failure comes before that of an upload."""
        code, cut = run.outcome.exit_code, run.outcome.cut
        reason = internal_fault(self._lost_output).reason if self._lost_output else None
        if code and cut is None and reason is None:
            said = self._pump.last_words()[-LAST_WORDS:] if self._pump else ""
            reason = algorithm_reason(code, self._publication.folders.output, run.out_of_memory, said)
        self._progress.move(states.UPLOADING, "Uploading generated training model")
        try:
            self._publish()
        except JobFault as fault:
            raise JobFault(reason or fault.reason) from fault
        if reason is not None:
            raise JobFault(reason)
        self._remove_trees()
        if cut is Cut.TIME_LIMIT:
            self._progress.move(
                states.MAX_RUNTIME_EXCEEDED, "Training job runtime exceeded MaxRuntimeInSeconds provided"
            )
        elif cut is Cut.STOP_REQUESTED:
            self._progress.move(states.STOPPED, "Training job stopped")
        else:
            self._progress.move(states.COMPLETED, "Training job completed")

    def _stopped(self) -> None:
        self._remove_trees()
        super()._stopped()

    def _fail(self, reason: str) -> None:
        if self._unsaved:
            note = kept_note(self._paths.root, self._name)
            reason = reason[: MAX_REASON - len(note)] + note
        else:
            self._remove_trees()
        super()._fail(reason)

    def _on_cut(self, cut: Cut) -> None:
        self._events.add(CutShort(cut.value, self._limits().max_runtime))
        message = "Stopping the training job" if cut is Cut.STOP_REQUESTED else "MaxRuntimeInSeconds exceeded"
        self._progress.pass_through(states.STOPPING, message)

    def _checkpoint_url(self) -> S3Url | None:
        config = self._request.get("CheckpointConfig")
        return S3Url.parse(config["S3Uri"]) if config else None

    def _limits(self) -> Limits:
        condition = self._request.get("StoppingCondition") or {}
        return Limits(float(condition.get("MaxRuntimeInSeconds") or DEFAULT_MAX_RUNTIME_SECONDS), stop_grace())
