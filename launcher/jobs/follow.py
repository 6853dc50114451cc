"""Following the log of a job until the job ends.

Rules:

1. Each line of each stream is given once, in the order of its stream.
2. A job without log group or streams is no fault: its first line may come late, and another stream with a restart.
3. Following ends when the job is in any terminal state (Completed, Failed, Stopped), and never before.
4. What was written before the end is given before following ends: the state is asked for first and the log read after
   it, until nothing new came for ``drain`` seconds (logs of AWS lag behind the state).
5. A connection that breaks is not an end. It is said once, the cloud is asked to come back, and reading goes on at the
   cursor: nothing is lost and nothing comes twice. That it is back is said as well.
6. A connection that stays broken for ``patience`` seconds raises Unreachable, which says that the job may go on.
7. A log that may not be read (no permission) is said once; following then only waits for the end.
8. Without following, what is there is given, whatever the state, and that is all; of the end of a log no more is read
   than is asked for.
9. However long a log is, one page of it is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import botocore.exceptions

from batchrl.contract.errors import Unreachable
from launcher.base.clock import Clock, Pace, SystemClock
from launcher.session.answers import LOST, connection_fault, known
from launcher.session.session import Session

LOCAL_PACE = (0.2, 1.0)
AWS_PACE = (2.0, 10.0)
LOCAL_DRAIN = 0.0
AWS_DRAIN = 8.0
PATIENCE = 600.0
# Most lines that the API gives at once.
PAGE_LINES = 10_000


class Broken(Exception):
    """The connection broke; the question can be asked again."""


class Denied(Exception):
    """The log may not be read."""


@contextmanager
def lost_is_broken() -> Iterator[None]:
    """Tell a lost connection apart from an answer.

    Raises:
        Broken: a question inside was not answered, or throttled.
    """
    try:
        yield
    except (botocore.exceptions.ClientError, *LOST) as error:
        if reason := connection_fault(error):
            raise Broken(reason) from error
        raise


@dataclass(frozen=True)
class LogLine:
    """One event of a log.

    Args:
        stream: name of its stream, ``<job>/algo-<n>-<epoch>`` (contract 117, 177).
        timestamp: milliseconds since 1970.
        message: its text, without a line end.
    """

    stream: str
    timestamp: int
    message: str


@dataclass(frozen=True)
class Notice:
    """Something about the following itself."""

    text: str


class LogSource(Protocol):
    """Where the lines of one job come from."""

    def streams(self) -> list[str]:
        """Names of the job's streams so far; raises Broken or Denied."""

    def read(self, stream: str, cursor: str | None) -> tuple[list[LogLine], str | None]:
        """The lines after a cursor and the cursor after them; raises Broken or Denied."""

    def newest(self, stream: str, count: int) -> list[LogLine]:
        """The last lines, the oldest of them first; raises Broken or Denied."""

    def revive(self) -> None:
        """Try to have the connection back."""


@dataclass
class CloudLogs:
    """Log streams through the Logs API.

    Args:
        session: the cloud.
        group: the log group.
        prefix: what the names of the streams begin with; empty for all of the group.
    """

    session: Session
    group: str
    prefix: str

    def streams(self) -> list[str]:
        """Names of the streams so far; none while the group does not exist."""
        names: list[str] = []
        chosen = {"logStreamNamePrefix": self.prefix} if self.prefix else {}
        while True:
            answer = self._ask("describe_log_streams", logGroupName=self.group, limit=50, **chosen)
            names += [stream["logStreamName"] for stream in answer.get("logStreams", ())]
            if not answer.get("nextToken"):
                return names
            chosen["nextToken"] = answer["nextToken"]

    def read(self, stream: str, cursor: str | None) -> tuple[list[LogLine], str | None]:
        """The lines after a cursor, and the cursor behind them."""
        token = {"nextToken": cursor} if cursor else {}
        answer = self._ask("get_log_events", logGroupName=self.group, logStreamName=stream, startFromHead=True, **token)
        lines = [LogLine(stream, event["timestamp"], event["message"]) for event in answer.get("events", ())]
        return lines, answer.get("nextForwardToken", cursor)

    def newest(self, stream: str, count: int) -> list[LogLine]:
        """The last lines: pages from the end, each before the one that was read last."""
        pages: list[list[LogLine]] = []
        token: dict[str, str] = {}
        missing = count
        while missing > 0:
            place = {"logGroupName": self.group, "logStreamName": stream, "limit": min(missing, PAGE_LINES)}
            answer = self._ask("get_log_events", **place, startFromHead=False, **token)
            pages.append([LogLine(stream, event["timestamp"], event["message"]) for event in answer.get("events", ())])
            missing -= len(pages[-1])
            before = answer.get("nextBackwardToken")
            if before is None or before == token.get("nextToken"):
                break
            token = {"nextToken": before}
        return [line for page in reversed(pages) for line in page]

    def revive(self) -> None:
        """Have the session find its cloud again after a broken connection."""
        self.session.revive()

    def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            with lost_is_broken():
                return known(getattr(self.session.logs, operation), **arguments) or {}
        except botocore.exceptions.ClientError as error:
            raise Denied(str(error)) from error


@dataclass
class Follower:
    """Reads the lines of a job; see the rules above.

    Args:
        source: where lines come from.
        ended: whether the job is in a terminal state; may raise Broken.
        pace: seconds of the first and of the longest pause between two looks.
        drain: seconds without a new line after the end that end the following.
        patience: seconds that a connection may stay broken.
        clock: time.
    """

    source: LogSource
    ended: Callable[[], bool]
    pace: tuple[float, float] = LOCAL_PACE
    drain: float = LOCAL_DRAIN
    patience: float = PATIENCE
    clock: Clock = field(default_factory=SystemClock)
    _cursors: dict[str, str | None] = field(default_factory=dict)
    _denied: bool = False

    def lines(self) -> Iterator[LogLine | Notice]:
        """Lines and notices until the job ends.

        Raises:
            Unreachable: the connection stayed broken.
        """
        pace = Pace(*self.pace)
        broken_since: float | None = None
        quiet_since: float | None = None
        while True:
            try:
                if broken_since is not None:
                    self.source.revive()
                ended, fresh = self.ended(), False
                for line in self._new():
                    fresh = True
                    yield line
            except (Broken, Unreachable) as error:
                now = self.clock.now()
                if broken_since is None:
                    broken_since = now
                    yield Notice(f"the connection broke ({error}); the job goes on, trying again")
                elif now - broken_since > self.patience:
                    raise Unreachable(
                        f"the connection stayed broken for {self.patience:.0f} s ({error}).",
                        "The job may still run: attach to it again when the cloud answers.",
                    ) from error
                self.clock.sleep(pace.pause())
                continue
            if broken_since is not None:
                broken_since = None
                yield Notice("connected again")
            now = self.clock.now()
            if fresh or not ended:
                quiet_since = None
            if ended and not fresh:
                quiet_since = now if quiet_since is None else quiet_since
                if now - quiet_since >= self.drain:
                    return
            if fresh:
                pace.restart()
            self.clock.sleep(pace.pause())

    def available(self) -> Iterator[LogLine | Notice]:
        """What is there now (rule 8).

        Raises:
            Unreachable: the cloud does not answer.
        """
        with _unreachable():
            yield from self._new()

    def ends(self, count: int) -> Iterator[LogLine | Notice]:
        """The last ``count`` lines of each stream (rule 8); the streams in order, and the lines of each.

        Raises:
            Unreachable: the cloud does not answer.
        """
        with _unreachable():
            try:
                for stream in sorted(self.source.streams()):
                    yield from self.source.newest(stream, count)
            except Denied as error:
                yield Notice(f"the log cannot be read ({error})")

    def _new(self) -> Iterator[LogLine | Notice]:
        """All new lines, stream by stream, each to its present end; the cursor moves on before a page is given."""
        if self._denied:
            return
        try:
            for stream in sorted({*self._cursors, *self.source.streams()}):
                while True:
                    cursor = self._cursors.get(stream)
                    lines, after = self.source.read(stream, cursor)
                    self._cursors[stream] = after
                    yield from lines
                    if after == cursor or not lines:
                        break
        except Denied as error:
            self._denied = True
            yield Notice(f"the log cannot be read ({error}); waiting for the end of the job")


@contextmanager
def _unreachable() -> Iterator[None]:
    try:
        yield
    except Broken as error:
        raise Unreachable(f"the log cannot be read: {error}") from error
