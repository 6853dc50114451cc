"""From a head to an answer: who sent it, what it is, whether the sender may, and what went wrong, in S3's words."""

from __future__ import annotations

import datetime
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import quote

from batchrl.contract.errors import DISK_FULL
from launcher.api.constants import WITHOUT_EFFECT
from launcher.local.host.faults import is_full_disk
from launcher.local.store import decisions, sigv4
from launcher.local.store.access import Access
from launcher.local.store.call import Call, Engine, Operation
from launcher.local.store.errors import NotModified, StoreError
from launcher.local.store.incoming import Disconnected
from launcher.local.store.wire import Request, Response, Target
from launcher.local.store.xmlbody import element

ACCOUNT_HEADERS = ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner")
# So many faults of ours a minute are logged whole; whoever can cause them must not fill the disk with them.
LOGGED_PER_MINUTE = 10

log = logging.getLogger(__name__)


class Service:
    """Answers requests.

    Args:
        engine: the store.
        access: who may do what.
        account: the account that owns the buckets.
        now: the time, with its zone.
    """

    def __init__(
        self,
        engine: Engine,
        access: Access,
        account: str,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._engine = engine
        self._access = access
        self._account = account
        self._now = now
        self._minute = 0.0
        self._logged = 0

    def begin(self, request: Request) -> tuple[str | None, Callable[[], Awaitable[Response]]]:
        """Check a head; nothing of the body is read.

        Returns:
            access key of its sender, None where no signature holds, and what answers it.
        """
        sender = None
        try:
            signed = sigv4.verify(
                request.method, request.path, request.query, request.headers, self._access.secret_of, self._now()
            )
            sender = signed.access_key
            target, parameters = Target.of(request.path), request.parameters()
            operation = decisions.decide(request.method, target.level, parameters, request.headers)
            may_delete = self._access.check(signed.access_key, request)
            for name in ACCOUNT_HEADERS:
                if request.headers.get(name, self._account) != self._account:
                    raise StoreError("AccessDenied")
            call = Call(self._engine, request, signed, target, parameters, may_delete)
            return sender, functools.partial(self._run, operation, call)
        except StoreError as error:
            return sender, functools.partial(_answer, refused(error, request.path))
        except Exception:
            self.log_fault(request)
            return sender, functools.partial(_answer, refused(StoreError("InternalError"), request.path))

    def head_refused(self, code: str) -> Response:
        """The answer to a head that cannot be read."""
        return refused(
            StoreError(code, "The head of the request cannot be read." if code == "InvalidRequest" else None)
        )

    async def _run(self, operation: Operation, call: Call) -> Response:
        path = call.request.path
        try:
            response = await operation(call)
            noted = ", ".join(decisions.without_effect(call.request.headers))
            return replace(response, headers=(*response.headers, (WITHOUT_EFFECT, noted))) if noted else response
        except NotModified as answer:
            return Response(304, answer.headers)
        except StoreError as error:
            return refused(error, path)
        except Disconnected:
            raise
        except Exception as error:
            if is_full_disk(error):
                return refused(StoreError(DISK_FULL), path)
            self.log_fault(call.request)
            return refused(StoreError("InternalError"), path)

    def log_fault(self, request: Request) -> None:
        """Log the exception that is handled, a fault of ours while a request was answered; so many a minute."""
        now = time.monotonic()
        if now - self._minute > 60:
            self._minute, self._logged = now, 0
        self._logged += 1
        if self._logged <= LOGGED_PER_MINUTE:
            log.exception("%s %.200s", request.method, request.path)


async def _answer(response: Response) -> Response:
    return response


def refused(error: StoreError, path: str = "") -> Response:
    """The answer that tells an error."""
    resource = element("Resource", quote(path, safe="/%-_.~", errors="replace")) if path else ""
    text = f"<Error><Code>{error.code}</Code>{element('Message', error.message)}{resource}</Error>"
    return Response.xml(text, error.status, error.headers)
