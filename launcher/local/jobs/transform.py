"""One transform job from Starting to its end: servers, objects, and what became of them (contract B)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from launcher.local.executors.base import Executor
from launcher.local.host.faults import ALGORITHM, JobFault, client_fault, storage_fault
from launcher.local.jobs.driver import Driver, stop_grace
from launcher.local.jobs.programs import serving_program
from launcher.local.jobs.progress import StopRequested
from launcher.local.keys.grants import Grant
from launcher.local.logs.joblogs import StreamWriter
from launcher.local.modelserver.server import ModelServer, start_all, stop_all
from launcher.local.records import states
from launcher.local.records.jobrecord import MODEL_MEMBER
from launcher.local.transform.counts import Counts
from launcher.local.transform.outcome import Outcome
from launcher.local.transform.run import transform
from launcher.local.transform.settings import TransformSettings, batch_variables
from launcher.local.transform.sources import SourceObject, partition, source_objects
from launcher.local.volumes.modeldata import provide

# All results are stored when the servers are told to end: nothing is in flight.
END_GRACE_SECONDS = 10.0
STOP_POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


class TransformDriver(Driver):
    """One job, driven to its end."""

    STOPPED = "The transform job was stopped"
    FAILED = "The transform job failed"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._output = S3Url.parse(self._request["TransformOutput"]["S3OutputPath"])
        self._started = int(time.time())
        self._stop = _StopWatch(self._progress.stop_requested)

    def _work(self) -> None:
        parts = partition(self._objects(), self.record.instances)
        self._progress.refuse_if_stopped()
        executor = self._executor_for(str(self._request["TransformResources"]["InstanceType"]))
        with self._serving_key([self._request[MODEL_MEMBER]]) as grant, self._stop:
            servers = [self._server(executor, grant, instance) for instance in range(1, len(parts) + 1)]
            try:
                outcomes = self._transform(servers, parts)
            finally:
                stop_all(servers)
                self._remove_trees()
        self._end(outcomes)

    def _objects(self) -> Sequence[SourceObject]:
        what = "listing the input"
        try:
            objects = source_objects(self.client, self._request)
        except Exception as error:
            raise storage_fault(what, error) from error
        if not objects:
            source = self._request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
            raise client_fault(
                f"no S3 objects found under S3 URL '{source}'. Check that bucket and prefix are spelled right "
                "and that the data was uploaded before the job was started."
            )
        return objects

    def _server(self, executor: Executor, grant: Grant | None, instance: int) -> ModelServer:
        program = serving_program(
            self.record,
            self.home,
            self.address,
            grant,
            self._request[MODEL_MEMBER],
            instance_type=str(self._request["TransformResources"]["InstanceType"]),
            instance=instance,
            environment=batch_variables(self._request) | (self._request.get("Environment") or {}),
        )
        log_file = self._folder.log_file(self._stream(instance))
        return ModelServer(executor, program, log_file, self._grace(), proceed=lambda: not self._stop.requested)

    def _transform(self, servers: Sequence[ModelServer], parts: Sequence[Sequence[SourceObject]]) -> list[Outcome]:
        container = self._request[MODEL_MEMBER]["PrimaryContainer"]
        provide(self.client, container, self._folder.roots(len(parts)))
        try:
            start_all(servers)
        except JobFault:
            if self._stop.requested:
                raise StopRequested from None
            raise
        self._progress.note(container=servers[0].handle, log_stream=f"{self.record.name}/{self._stream(1)}")
        self._progress.move(states.TRANSFORMING, "Transforming")
        try:
            settings = TransformSettings.of(self._request, servers[0].execution_parameters())
        except InputError as error:
            raise JobFault(f"{ALGORITHM}: {error.message}") from error
        calls = [
            partial(self._instance, instance, server, objects, settings)
            for instance, (server, objects) in enumerate(zip(servers, parts, strict=True), start=1)
        ]
        with ThreadPoolExecutor(len(calls), thread_name_prefix="instance") as pool:
            futures = [pool.submit(call) for call in calls]
        return [future.result() for future in futures]

    def _instance(
        self, instance: int, server: ModelServer, objects: Sequence[SourceObject], settings: TransformSettings
    ) -> Outcome:
        """All objects of one instance, with the data log that the platform keeps of them (contract 134, 177)."""
        writer = StreamWriter(self._folder.log_file(f"{self._stream(instance)}/data-log"))
        lock = threading.Lock()

        def note(line: str) -> None:
            with lock:
                writer.write(line)

        note(settings.described())
        try:
            outcome = transform(
                self.client, objects, self._output, server, settings, note, lambda: self._stop.requested
            )
            note(outcome.described())
            return outcome
        finally:
            writer.close()

    def _end(self, outcomes: Sequence[Outcome]) -> None:
        """Take the terminal status: one bad object makes the job Failed, the others' results stay (contract 152)."""
        written = [url for outcome in outcomes for url in outcome.written]
        if self._progress.stop_requested():
            self._forget_results(written)
            raise StopRequested
        self._progress.note(size_bytes=sum(outcome.size_bytes for outcome in outcomes))
        counts = Counts.of(outcomes)
        try:
            counts.write(self._folder.counts)
        except OSError as error:  # the results are stored; that they were counted is worth less
            log.warning("the counts of %s are not kept: %s", self.record.key, error)
        faults = [fault for outcome in outcomes for fault in outcome.faults]
        if not faults:
            ended = self._progress.move(states.COMPLETED, f"The transform job completed: {counts.objects} objects")
            if ended.status == states.STOPPED:  # it was asked for in this moment
                self._forget_results(written)
            return
        total = counts.failed + counts.objects
        listed = "; ".join(f"{fault.url}: {fault.message}" for fault in faults)
        raise JobFault(f"{faults[0].kind}: {counts.failed} of {total} objects could not be transformed: {listed}")

    def _forget_results(self, written: Sequence[S3Url]) -> None:
        """A job that is stopped stores no output (contract 153)."""
        for url in written:
            try:
                self.client.delete_object(Bucket=url.bucket, Key=url.key)
            except Exception as error:
                log.warning("%s of the stopped job could not be deleted: %s", url, error)

    def _stream(self, instance: int) -> str:
        return f"i-{instance}-{self._started}"

    @staticmethod
    def _grace() -> float:
        return min(stop_grace(), END_GRACE_SECONDS)


class _StopWatch:
    """Looks for a stop in the records a few times a second, so that whoever asks has the answer at hand.

    Args:
        stop_requested: asks the records.
    """

    def __init__(self, stop_requested: Callable[[], bool]) -> None:
        self._stop_requested = stop_requested
        self._found = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stop", daemon=True)

    @property
    def requested(self) -> bool:
        return self._found.is_set()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(STOP_POLL_SECONDS):
            try:
                if self._stop_requested():
                    self._found.set()
                    return
            except Exception:
                log.exception("the records cannot be read; they are asked again")
