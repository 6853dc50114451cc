"""One processing job from Starting to its end: inputs, the program, outputs.

=====================================  ===============================================================================
what becomes of it                     its outputs
=====================================  ===============================================================================
it ends well, by itself                sent; then it is Completed
it fails, is stopped, or out of time   sent as well: what it wrote may tell why, and is not lost
some cannot be sent                    the others are; it is Failed, and the reason names the folder that keeps them
=====================================  ===============================================================================
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from batchrl.contract.layout import S3Url
from batchrl.contract.nofollow import JobFolder
from launcher.api.processing_rules import brought, inputs_of
from launcher.local.events.kinds import FolderPublished, InputDownloaded
from launcher.local.executors.base import Program
from launcher.local.executors.output import OutputPump
from launcher.local.host.faults import JobFault, combined, first_characters, storage_fault
from launcher.local.jobs.batch import BatchDriver
from launcher.local.jobs.programs import processing_program
from launcher.local.keys.grants import Grant
from launcher.local.keys.places import Places, processing_places
from launcher.local.records import states
from launcher.local.volumes.artifacts import told
from launcher.local.volumes.inputs import fetch
from launcher.local.volumes.outputs import Output
from launcher.local.volumes.processingtree import MESSAGE_NAME, message_folder, plan_processing_tree

log = logging.getLogger(__name__)


class ProcessingDriver(BatchDriver):
    """One job, driven to its end."""

    NOUN = "processing job"
    MESSAGE_FILE = MESSAGE_NAME
    STOPPED = "The processing job was stopped before its program was started"
    FAILED = "Processing job failed"

    @cached_property
    def _outputs(self) -> list[Output]:
        return Output.all_of(self.client, self._folder, self._request)

    def _work(self) -> None:
        executor = self._executor_for(str(self._request["ProcessingResources"]["ClusterConfig"]["InstanceType"]))
        self._prepare()
        self._progress.refuse_if_stopped()
        self._progress.move(states.PROCESSING, f"Processing ({executor.name})")
        self._end(self._run(executor))

    def _prepare(self) -> None:
        """Tree and inputs, all before the program starts."""
        self._progress.refuse_if_stopped()
        self._write_tree(plan_processing_tree(self.record, self._paths))
        wanted = [one for one in inputs_of(self._request) if brought(one)]
        if wanted:
            self._progress.move(states.DOWNLOADING, "Downloading inputs")
        for one in wanted:
            self._progress.refuse_if_stopped()
            name, source = one["InputName"], S3Url.parse(one["S3Input"]["S3Uri"])
            what, began = f"input '{name}': download of {source}", time.monotonic()
            try:
                fetched = fetch(self.client, source, self._paths.local(one["S3Input"]["LocalPath"]), what)
            except Exception as error:
                raise storage_fault(what, error) from error
            seconds = time.monotonic() - began
            self._events.add(InputDownloaded(name, fetched.files, fetched.size_bytes, seconds))

    def _program(self, grant: Grant | None) -> Program:
        return processing_program(self.record, self.home, self.address, grant)

    @property
    def _isolated(self) -> bool:
        return bool((self._request.get("NetworkConfig") or {}).get("EnableNetworkIsolation"))

    def _places(self) -> Places:
        return processing_places(self._request)

    @contextlib.contextmanager
    def _beside(self, log_file: Path, pump: OutputPump) -> Iterator[None]:
        """Continuous outputs go to S3 as they are written."""
        for output in self._outputs:
            output.start()
        yield

    def _publish(self) -> None:
        self._progress.move(states.UPLOADING, "Uploading outputs")
        if message := first_characters(message_folder(self._folder), MESSAGE_NAME):
            self._progress.note(exit_message=message)
        faults: list[JobFault] = []
        for output in self._outputs:
            began, error = time.monotonic(), None
            try:
                output.finish()
            except JobFault as fault:
                faults.append(fault)
                error = fault.reason
            self._events.add(FolderPublished(output.name, output.size_bytes, time.monotonic() - began, error))
            self._tell(told(output.left_out, f"output '{output.name}'"))
        self._progress.note(size_bytes=sum(output.size_bytes for output in self._outputs))
        if faults:
            raise combined(faults)

    @property
    def _output_folder(self) -> JobFolder:
        return message_folder(self._folder)

    def _kept_note(self) -> str:
        return f" (its files are kept in {self._paths.root})"
