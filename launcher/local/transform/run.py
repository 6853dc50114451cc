"""All objects of one instance of a transform job (contract 136, 151 to 153)."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import uvloop

from batchrl.contract.errors import BatchRLError, InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client
from launcher.local.host.faults import ALGORITHM, CLIENT, INTERNAL
from launcher.local.transform.client import NO_RESPONSE, ModelClient, Server
from launcher.local.transform.convert import Conversion, ConversionContext, ConversionStopped
from launcher.local.transform.outcome import ObjectFault, Outcome, RecordFault
from launcher.local.transform.settings import MIB, TransformSettings
from launcher.local.transform.sources import SourceObject

# How often is looked whether the job is to stop, and whether an invocation takes too long (seconds).
TICK_SECONDS = 0.1
THREADS = 8
# Objects are converted side by side as far as this goes; each weighs a little, and more the larger it is (bytes). What
# becomes of an object is larger than itself, by about as much.
ROOM = 40 * MIB
EACH = 2 * MIB
MOST = 16 * MIB
GROWTH, GROWTH_OF_GZIP = 4, 20


def transform(
    client: Client,
    objects: Sequence[SourceObject],
    output: S3Url,
    server: Server,
    settings: TransformSettings,
    log: Callable[[str], None],
    stopped: Callable[[], bool],
) -> Outcome:
    """Convert objects, each to a result that is stored whole or not at all.

    An object that cannot be converted does not keep others from it. Memory: below 300 MB, whatever is converted.

    Args:
        client: S3 client.
        objects: this instance's.
        output: the request's S3OutputPath.
        server: it answers; until ``recover`` says that it is gone for good.
        settings: of the job.
        log: takes lines of the data log; called in this thread.
        stopped: asked ten times a second; once it is True, nothing more is published.
    """

    async def all_converted() -> Outcome:
        keeper = ThreadPoolExecutor(1, thread_name_prefix="recover")
        readers = ThreadPoolExecutor(THREADS, thread_name_prefix="read")
        writers = ThreadPoolExecutor(THREADS, thread_name_prefix="write")
        model = ModelClient(server, settings, keeper)
        job = ConversionContext(client, settings, model, readers, writers, log, threading.Event())
        try:
            return await _Instance(job, objects, output, stopped).run()
        finally:
            model.close()
            # Whoever publishes is waited for; whoever reads, or looks after a server, is not.
            readers.shutdown(wait=False, cancel_futures=True)
            keeper.shutdown(wait=False, cancel_futures=True)
            writers.shutdown(wait=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(all_converted())


class _Instance:
    def __init__(
        self, job: ConversionContext, objects: Sequence[SourceObject], output: S3Url, stopped: Callable[[], bool]
    ) -> None:
        self._job = job
        self._objects = objects
        self._output = output
        self._stopped = stopped
        self._records = 0
        self._error_records = 0
        self._bytes = 0
        self._converted = 0
        self._written: dict[int, S3Url] = {}
        self._faults: dict[int, ObjectFault] = {}
        self._broken: Exception | None = None  # a fault of our own
        self._left = ROOM
        self._changed = asyncio.Event()

    async def run(self) -> Outcome:
        """Convert them all, or as far as it goes before the job is stopped."""
        work = asyncio.create_task(self._work())
        watch = asyncio.create_task(self._watch(work))
        try:
            await asyncio.wait({work})
        finally:
            watch.cancel()
        if self._broken is not None:
            raise self._broken
        if not work.cancelled():
            work.result()
        return Outcome(
            self._converted,
            self._records,
            self._error_records,
            self._bytes,
            tuple(url for _, url in sorted(self._written.items())),
            tuple(fault for _, fault in sorted(self._faults.items())),
            self._job.stop.is_set(),
        )

    async def _watch(self, work: asyncio.Task[None]) -> None:
        try:
            while not self._stopped() and self._broken is None:
                self._job.model.tick()
                await asyncio.sleep(TICK_SECONDS)
        except Exception as error:
            self._broken = error
        self._job.stop.set()
        work.cancel()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for index, source in enumerate(self._objects):
                weight = EACH + min((source.size or 0) * self._growth, MOST)
                while self._left < weight:
                    self._changed.clear()
                    await self._changed.wait()
                self._left -= weight
                group.create_task(self._convert(index, source, weight))

    @property
    def _growth(self) -> int:
        return GROWTH_OF_GZIP if self._job.settings.gzip else GROWTH

    async def _convert(self, index: int, source: SourceObject, weight: int) -> None:
        target = source.target(self._output)
        try:
            if self._job.model.lost:
                raise RecordFault(f"{NO_RESPONSE}: {self._job.model.lost}", ALGORITHM)
            conversion = Conversion(self._job, source, target)
            try:
                await conversion.run()
            except asyncio.CancelledError:
                if conversion.sink.publishing:
                    self._written[index] = target
                raise
            self._written[index] = target
            self._converted += 1
            self._records += conversion.records
            self._error_records += conversion.error_records
            self._bytes += conversion.sink.size
        except ConversionStopped:
            pass
        except RecordFault as fault:
            self._fail(index, source, fault)
        except (BatchRLError, OSError) as error:
            self._fail(index, source, _storage_fault(source, error))
        except Exception as error:
            self._broken = self._broken or error
        finally:
            self._left += weight
            self._changed.set()

    def _fail(self, index: int, source: SourceObject, fault: RecordFault) -> None:
        self._faults[index] = ObjectFault(source.url, fault.message, fault.kind)
        for line in fault.log:
            self._job.log(f"{source.url.bucket}/{source.url.key}: {line}")


def _storage_fault(source: SourceObject, error: BatchRLError | OSError) -> RecordFault:
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return RecordFault(f"the disk is full ({error})" if full else str(error), CLIENT if full else INTERNAL)
    text = error.message.removeprefix(f"read of {source.url}: ")
    return RecordFault(text, CLIENT if isinstance(error, InputError) else INTERNAL)
