"""One training job from Starting to its end: what the platform does around a script (contract A12)."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from batchrl.contract.layout import S3Url
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.paths import FAILURE_NAME
from launcher.local.events.kinds import CheckpointsRestored, MetricDropped
from launcher.local.executors.base import Program
from launcher.local.executors.metricscan import Definitions, MetricWatch, definitions_in
from launcher.local.executors.output import OutputPump
from launcher.local.host.faults import client_fault, combined, kept_note
from launcher.local.jobs.batch import BatchDriver
from launcher.local.jobs.programs import is_isolated, training_program
from launcher.local.jobs.publication import Publication
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

    def _work(self) -> None:
        executor = self._executor_for(str(self._request["ResourceConfig"].get("InstanceType", "")))
        self._definitions = definitions_in(self._request["AlgorithmSpecification"].get("MetricDefinitions"))
        self._prepare()
        self._progress.refuse_if_stopped()
        self._progress.move(states.TRAINING, f"Training in progress ({executor.name}).")
        self._end(self._run(executor))

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
