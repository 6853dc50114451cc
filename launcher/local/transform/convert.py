"""One object: read, cut, sent, put together in the order of the input, stored (contract 136, 147, 150 to 152).

Two coroutines share a queue of what was sent: one reads ahead and sends as far as the queue has room, the other takes
the oldest answer as soon as it is there and hands its result to the sink.

With AssembleWith Line an answer that does not end with a newline gets one, also an answer without a byte, so that there
are neither blank lines nor two answers on one line; without it, answers follow each other as they are (contract 150;
whether AWS adds a second newline is not known).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client
from launcher.api.transform_rules import LINE_TYPES
from launcher.local.host.faults import ALGORITHM, CLIENT
from launcher.local.transform.client import NO_RESPONSE, ModelClient
from launcher.local.transform.connection import Call
from launcher.local.transform.jsonrecords import error_line, error_text
from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.payloads import Payload, blocks, packed, single, whole
from launcher.local.transform.processing import Processing
from launcher.local.transform.reading import gunzip, read
from launcher.local.transform.settings import MIB, TransformSettings
from launcher.local.transform.sink import Sink
from launcher.local.transform.sources import SourceObject

# What is sent and not yet stored, an object: so many bodies for each request slot, or so many bytes.
QUEUED_A_SLOT = 8
QUEUED_BYTES = 4 * MIB
ERROR_RECORDS_LOGGED = 5
MESSAGE_LINES = 20
MESSAGE_BYTES = 2048
MESSAGE_SHOWN = 300
# Answers above this are worked on in pieces, and others have their turn in between (bytes).
LONG_PIECE = 64 * 1024


class ConversionStopped(Exception):
    """The job is being stopped: nothing is read or stored any more."""


@dataclass
class ConversionContext:
    """What the conversions of one instance share.

    Args:
        client: S3 client.
        settings: of the job.
        model: the server.
        readers: threads that read and cut.
        writers: threads that store; they are waited for at the end.
        log: takes lines of the data log.
        stop: set when nothing is to be published any more.
    """

    client: Client
    settings: TransformSettings
    model: ModelClient
    readers: Executor
    writers: Executor
    log: Callable[[str], None]
    stop: threading.Event
    processing: Processing = field(init=False)

    def __post_init__(self) -> None:
        self.processing = Processing(self.settings)

    def pause(self, seconds: float) -> None:
        """Wait in a thread.

        Raises:
            Stopped: the job is being stopped.
        """
        if self.stop.wait(seconds):
            raise ConversionStopped


class Conversion:
    """Makes one object's result.

    Args:
        job: what it shares with others.
        source: the object.
        target: where the result goes.
    """

    def __init__(self, job: ConversionContext, source: SourceObject, target: S3Url) -> None:
        self.records = 0
        self.error_records = 0
        self.sink = Sink(job.client, target, job.pause)
        self._job = job
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._sent: deque[tuple[Payload, Call]] = deque()
        self._sent_bytes = 0
        self._all_sent = False
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._storing: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Convert and store the object.

        Raises:
            RecordFault: it cannot be converted.
            BatchRLError: it cannot be read, or its result not stored.
            Stopped: the job was stopped first.
        """
        feeding = asyncio.create_task(self._feed())
        try:
            await self._drain()
            await feeding
            await self._stored()
            self._store(self._publish)
            await self._stored()
        finally:
            if (more := self.error_records - ERROR_RECORDS_LOGGED) > 0:
                self._job.log(f"{self.name}: {more:,} more error records")
            feeding.cancel()
            for _, call in self._sent:
                call.dropped = True
            pending = {feeding} if self._storing is None else {feeding, self._storing}
            await asyncio.gather(*pending, return_exceptions=True)
            if not self.sink.stored:
                await asyncio.shield(self._loop.run_in_executor(self._job.writers, self.sink.abort))

    @property
    def name(self) -> str:
        """The object in the data log."""
        return f"{self._source.url.bucket}/{self._source.url.key}"

    async def _feed(self) -> None:
        job, payloads = self._job, self._payloads()
        try:
            while (batch := await self._loop.run_in_executor(job.readers, next, payloads, None)) is not None:
                for payload in batch:
                    while self._full(QUEUED_A_SLOT):
                        self._room.clear()
                        await self._room.wait()
                    call = Call(payload.body, payload.size, self._told)
                    self._sent.append((payload, call))
                    self._sent_bytes += payload.size
                    job.model.submit(call)
        finally:
            self._all_sent = True
            self._ready.set()

    def _payloads(self) -> Iterator[list[Payload]]:
        """Everything that is sent of the object, some at a time; runs in a thread."""
        job, settings = self._job, self._job.settings
        chunks = read(job.client, self._source.url, job.pause)
        if settings.gzip:
            chunks = gunzip(chunks)
        limit = settings.max_payload_bytes
        if settings.split == "None":
            for batch in whole(chunks, limit):
                yield list(map(job.processing.whole, batch))
        else:
            cut = map(job.processing.block, blocks(chunks, settings))
            yield from single(cut, limit) if settings.single_record else packed(cut, limit)

    def _full(self, queued_a_slot: int) -> bool:
        slots = self._job.settings.max_concurrent
        many = len(self._sent) >= queued_a_slot * slots or self._sent_bytes >= QUEUED_BYTES
        return many and len(self._sent) > slots

    def _told(self, call: Call) -> None:
        if self._sent and self._sent[0][1].done:
            self._ready.set()

    async def _drain(self) -> None:
        while True:
            while self._sent and self._sent[0][1].done:
                payload, call = self._sent.popleft()
                self._sent_bytes -= payload.size
                await self._take(payload, call)
            if not self._full(QUEUED_A_SLOT // 2):
                self._room.set()
            if self._all_sent and not self._sent:
                return
            self._ready.clear()
            if not (self._sent and self._sent[0][1].done):
                await self._ready.wait()

    async def _take(self, payload: Payload, call: Call) -> None:
        _check(payload, call)
        last, lines = b"", 0
        for piece in self._job.processing.finish(payload, call.answer, self._report):
            self.sink.write(piece)
            last = piece or last
            lines += piece.count(b"\n")
            if self.sink.full:
                await self._stored()
                self._store(partial(self.sink.send, self.sink.take()))
            elif len(piece) > LONG_PIECE:
                await asyncio.sleep(0)
        if self._job.settings.assemble_lines and not last.endswith(b"\n"):
            self.sink.write(b"\n")
        # An object that is not split may hold many records: its answer's lines tell.
        in_lines = not payload.noun and self._job.settings.answer_kind in LINE_TYPES
        self.records += max(payload.count, lines + (not last.endswith(b"\n"))) if in_lines else payload.count
        payload.close()

    def _report(self, where: str, text: str) -> None:
        self.error_records += 1
        if self.error_records <= ERROR_RECORDS_LOGGED:
            self._job.log(f"{self.name}: {where}: {text}")

    def _publish(self) -> None:
        if self._job.stop.is_set():
            raise ConversionStopped
        self.sink.finish()

    def _store(self, action: Callable[[], None]) -> None:
        """Begin to send something to the store; one thing at a time."""
        self._storing = self._loop.run_in_executor(self._job.writers, action)

    async def _stored(self) -> None:
        """Wait until that is done; a thread goes on, whatever becomes of who waits for it."""
        if self._storing is not None:
            await asyncio.shield(self._storing)
            self._storing = None


def _check(payload: Payload, call: Call) -> None:
    """Refuse what is no answer (contract 152, 172, 173).

    Raises:
        RecordFault: there is no answer, or its status is none of success.
    """
    where = payload.where()
    if call.fault:
        raise RecordFault(_at(where, call.fault), ALGORITHM, (NO_RESPONSE, _at(where, call.fault)))
    if 200 <= call.status < 300:
        return
    body = b"".join(call.answer)[:MESSAGE_BYTES]
    text, line = error_text(body), error_line(body)
    if line is not None and payload.noun and 0 < line <= payload.count:
        where = payload.where(line - 1)
    said = body.decode("utf-8", "replace").strip()
    kind = CLIENT if 400 <= call.status < 500 else ALGORITHM
    shown = " ".join((said if text is None else text).split())[:MESSAGE_SHOWN] or "(an empty body)"
    raise RecordFault(
        _at(where, f"the server answered {call.status} to /invocations: {shown}"),
        kind,
        (f"{kind}: {call.status}", "Message:", *said.splitlines()[:MESSAGE_LINES], *([f"({where})"] if where else [])),
    )


def _at(where: str, text: str) -> str:
    return f"{where}: {text}" if where else text
