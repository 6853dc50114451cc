"""One training job from Starting to its end: what the platform does around a script (contract A12)."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from batchrl.contract.layout import S3Url
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.paths import FAILURE_NAME
from launcher.local.events.kinds import CheckpointsRestored, MetricDropped
from launcher.local.executors.base import Program
from launcher.local.executors.metricscan import Definitions, MetricWatch, definitions_in
from launcher.local.executors.monitor import Cut, Limits
from launcher.local.executors.output import OutputPump
from launcher.local.host.faults import client_fault, combined, kept_note
from launcher.local.host.jobrules import JobRules
from launcher.local.jobs.batch import BatchDriver, new_stream
from launcher.local.jobs.programs import is_isolated, training_program
from launcher.local.jobs.publication import Publication
from launcher.local.jobs.spot import SpotCapacity
from launcher.local.keys.grants import Grant
from launcher.local.keys.places import Places, training_places
from launcher.local.records import states
from launcher.local.volumes.inputs import download_channels
from launcher.local.volumes.tree import checkpoint_path, plan_tree

log = logging.getLogger(__name__)


class TrainingDriver(BatchDriver):
    """One job, driven to its end."""

    NOUN = "training job"
    MESSAGE_FILE = FAILURE_NAME
    STOPPED = "The job was stopped before its script was started"
    FAILED = "Training job failed"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._definitions: Definitions = []

    @cached_property
    def _publication(self) -> Publication:
        return Publication(self.client, self.record, self._folder, self._events)

    @cached_property
    def _spot(self) -> SpotCapacity:
        return SpotCapacity(self.record, self._folder, JobRules.read(self.home.job_rules))

    def _work(self) -> None:
        executor = self._executor_for(str(self._request["ResourceConfig"].get("InstanceType", "")))
        self._definitions = definitions_in(self._request["AlgorithmSpecification"].get("MetricDefinitions"))
        while True:
            self._prepare()
            self._progress.refuse_if_stopped()
            self._progress.move(states.TRAINING, f"Training in progress ({executor.name}).")
            self._spot.begin()
            run = self._run(executor)
            if run.outcome.cut is not Cut.INTERRUPTED:
                return self._end(run)
            self._spot.end()
            if not self._starts_again():
                return None

    def _prepare(self) -> None:
        """Tree, channels and checkpoints, all before PID 1 starts."""
        self._progress.refuse_if_stopped()
        if (count := self._request["ResourceConfig"].get("InstanceCount", 1)) != 1:
            raise client_fault(f"InstanceCount {count}: the local cloud runs jobs on one host.")
        self._write_tree(plan_tree(self._request, self._paths))
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

    def _program(self, grant: Grant | None) -> Program:
        local_path, folder = checkpoint_path(self._request), self._publication.folders.checkpoints
        checkpoints = (local_path, folder.place) if local_path and folder else None
        return training_program(self.record, self.home, self.address, grant, checkpoints)

    def _starts_again(self) -> bool:
        """Save the checkpoints of a program whose capacity was taken away: they are all that the next one finds of it
        (contract 64). False where the job has waited too long, and has ended.

        Raises:
            JobFault: some checkpoints did not reach S3.
            StopRequested: nothing is to start again.
        """
        self._progress.move(states.INTERRUPTED, "The spot capacity was taken away")
        if self._publication.checkpoints is not None:
            self._publication.checkpoints.finish()
        del self._publication
        self._unsaved = False
        if self._spot.waited_too_long:
            self._remove_trees()
            self._progress.move(*self._over_limit())
            return False
        self._progress.refuse_if_stopped()
        self._progress.move(states.STARTING, "Starting again, from the checkpoints")
        self._stream = new_stream(self._stream)
        return True

    def _interrupted(self) -> bool:
        return self._spot.is_taken()

    def _limits(self) -> Limits:
        return replace(super()._limits(), max_runtime=self._spot.left_to_run(self._max_runtime))

    def _over_limit(self) -> tuple[str, str]:
        if self._spot.waited_too_long:
            return states.MAX_WAIT_TIME_EXCEEDED, "Training job wait time exceeded MaxWaitTimeInSeconds provided"
        return super()._over_limit()

    @property
    def _isolated(self) -> bool:
        return is_isolated(self._request)

    def _places(self) -> Places:
        return training_places(self._name, self._request)

    @contextlib.contextmanager
    def _beside(self, log_file: Path, pump: OutputPump) -> Iterator[None]:
        """Metrics are read from the log, checkpoints go to S3."""

        def tell(fault: str) -> None:
            log.warning("%s", fault)
            self._events.add(MetricDropped(fault))
            pump.say(f"batchrl: {fault}")

        metrics = MetricWatch(self._definitions, log_file, lambda latest: self._progress.note(metrics=latest), tell)
        metrics.start()
        if self._publication.checkpoints is not None:
            self._publication.checkpoints.start()
        yield
        metrics.finish()

    def _publish(self) -> None:
        """Bring all of it to S3, and say in the job's log what was left out.

        Raises:
            JobFault: some of it did not come there; the rest did.
        """
        self._progress.move(states.UPLOADING, "Uploading generated training model")
        published = self._publication.publish()
        self._progress.note(model_artifacts=str(published.model), size_bytes=published.size_bytes)
        self._tell(published.left_out)
        if published.faults:
            raise combined(published.faults)

    @property
    def _output_folder(self) -> JobFolder:
        return self._publication.folders.output

    def _kept_note(self) -> str:
        return kept_note(self._paths.root, self._name)

    def _checkpoint_url(self) -> S3Url | None:
        config = self._request.get("CheckpointConfig")
        return S3Url.parse(config["S3Uri"]) if config else None
