"""HTTP's side of the server, as an ASGI application (contract 130 to 135, 174, 187).

Small requests that arrive in one turn of the event loop are answered together, with one pass over the networks. What
takes longer is computed by a thread beside the loop, which goes on answering ``/ping`` meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from batchrl.serving.answers import fault_body
from batchrl.serving.invocation import InvocationAnswer, Request, Service
from batchrl.serving.media import Media, UnknownMedia
from batchrl.serving.settings import MEGABYTE, ServingSettings

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# A request is answered within the loop if that takes so long at most, and its body is not larger.
INLINE_SECONDS = 0.002
INLINE_BYTES = 64 * 1024
# Beside what the networks take, for each record.
RECORD_SECONDS = 2e-6

PING, PARAMETERS, INVOCATIONS = "/ping", "/execution-parameters", "/invocations"
METHODS = {PING: ("GET", "HEAD"), PARAMETERS: ("GET", "HEAD"), INVOCATIONS: ("POST",)}
JSON = Media.JSON.value


class App:
    """The application of one worker.

    Args:
        service: answers requests.
        settings: limits, and what ``/execution-parameters`` says.
        record_seconds: how long the networks take for one record.
    """

    def __init__(self, service: Service, settings: ServingSettings, record_seconds: float) -> None:
        self._service = service
        self._most_bytes = settings.most_bytes
        self._parameters = InvocationAnswer(200, JSON, orjson.dumps(settings.execution_parameters()))
        self._record_seconds = record_seconds + RECORD_SECONDS
        self._waiting: list[tuple[Request, asyncio.Future[InvocationAnswer]]] = []
        self._thread = ThreadPoolExecutor(1, "compute")
        self._began: float | None = None
        # Whether connections end with their next answer.
        self.closing = False

    @property
    def began(self) -> float | None:
        """When the thread began what it computes now (monotonic, in seconds); None where it has nothing to do."""
        return self._began

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == INVOCATIONS and method == "POST":
            answer = await self._invoked(scope["headers"], receive)
            if answer is None:
                return
        elif path not in METHODS:
            answer = InvocationAnswer.error(404, f"there is no {path}; this server has {', '.join(METHODS)}")
        elif method not in METHODS[path]:
            answer = InvocationAnswer.error(405, f"{path} takes {METHODS[path][0]}, got {method}")
        elif path == PING:
            answer = InvocationAnswer(200, "text/plain", b"")
        else:
            answer = self._parameters
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", b"%d" % len(answer.body)),
        ]
        if self.closing:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _invoked(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> InvocationAnswer | None:
        """The answer to an invocation; None for a client that has gone."""
        given = dict(headers)
        announced = given.get(b"content-length", b"0")
        if self._is_too_long(int(announced)):
            # A client that sends everything before it listens would not hear an answer that comes earlier.
            if b"expect" not in given and await _discarded(receive) is None:
                return None
            return self._too_long(int(announced))
        body = b""
        message = await receive()
        if message["type"] == "http.request" and not message["more_body"]:
            body = message["body"]
        else:
            parts: list[bytes] = []
            length = 0
            while message["type"] == "http.request":
                length += len(message["body"])
                if not self._is_too_long(length):
                    parts.append(message["body"])
                if not message["more_body"]:
                    break
                message = await receive()
            else:
                return None
            if self._is_too_long(length):
                return self._too_long(length)
            body = b"".join(parts)
        content_type = given.get(b"content-type", b"").decode("latin-1")
        accept = given.get(b"accept", b"").decode("latin-1")
        try:
            request = Request.of(body, content_type, accept)
        except UnknownMedia as error:
            return InvocationAnswer.error(error.status, error.message)
        return await self._answered(request)

    def _is_too_long(self, length: int) -> bool:
        return self._most_bytes is not None and length > self._most_bytes

    def _too_long(self, length: int) -> InvocationAnswer:
        assert self._most_bytes is not None
        most = f"{self._most_bytes} ({self._most_bytes // MEGABYTE} MB, SAGEMAKER_MAX_PAYLOAD_IN_MB)"
        return InvocationAnswer.error(413, f"the body has {length} bytes; this server takes at most {most}")

    async def _answered(self, request: Request) -> InvocationAnswer:
        loop = asyncio.get_running_loop()
        if len(request.body) > INLINE_BYTES or request.records_at_most * self._record_seconds > INLINE_SECONDS:
            return await loop.run_in_executor(self._thread, self._computed, request)
        future: asyncio.Future[InvocationAnswer] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((request, future))
        return await future

    def _flush(self) -> None:
        """Answer all that came in this turn of the loop."""
        waiting, self._waiting = self._waiting, []
        try:
            answers = self._service.respond_together([request for request, _ in waiting])
        except Exception:
            answers = [_fault()] * len(waiting)
        for (_, future), answer in zip(waiting, answers, strict=True):
            if not future.done():  # the connection of one that is was lost
                future.set_result(answer)

    def _computed(self, request: Request) -> InvocationAnswer:
        self._began = time.monotonic()
        try:
            return self._service.respond(request)
        except Exception:
            return _fault()
        finally:
            self._began = None


def _fault() -> InvocationAnswer:
    """The answer where this server itself failed; the log says how."""
    traceback.print_exc(file=sys.stderr)
    return InvocationAnswer(500, JSON, fault_body("a fault of the server itself; its log says more"))


async def _discarded(receive: Receive) -> bool | None:
    """Read a body to its end; None for a client that has gone."""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        if not message["more_body"]:
            return True
