"""Waiting for what runs: its log meanwhile, its end told apart."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import botocore.exceptions

from batchrl.contract.errors import JobFailed, JobStopped, Unreachable
from batchrl.contract.layout import without_dataset
from launcher.base.clock import Clock
from launcher.base.notices import say
from launcher.base.terminal import visible_line
from launcher.jobs import follow
from launcher.jobs.follow import LogLine, Notice
from launcher.jobs.status import JobStatus
from launcher.session.session import LocalSession, Session

if TYPE_CHECKING:
    from launcher.local.host.home import JobHome

TAIL_LINES = 20
# Seconds between two looks at the state, first and longest, when no log is followed.
LOCAL_PACE = (0.2, 2.0)
AWS_PACE = (5.0, 30.0)
# The same on this computer for what is short, with a log or without.
SHORT_PACE = (0.1, 0.3)
# Name of the platform's own stream of a transform job: which record failed, and why (contract 134, 172, 177).
DATA_LOG = "data-log"
# At the end of a FailureReason (contract 77).
EXIT_CODE = re.compile(r", exit code: -?[0-9]+$")


class Awaited(Protocol):
    """What can be waited for; see ``launcher.jobs.handle.Handle`` for what each of these is."""

    name: str
    session: Session

    @property
    def kind(self) -> str:
        """``training``, ``transform`` or ``endpoint``."""

    @property
    def noun(self) -> str:
        """What sentences call it."""

    @property
    def arrived(self) -> str:
        """What has happened to it when the waiting is over, in sentences."""

    @property
    def is_short(self) -> bool:
        """Whether it usually ends within seconds."""

    @property
    def log_group(self) -> str:
        """The group that its log streams lie in."""

    @property
    def stream_prefix(self) -> str:
        """What the names of its streams begin with."""

    def status(self, raw_faults: bool = False) -> JobStatus:
        """Its state; with ``raw_faults`` botocore's errors come as they are."""


def wait(
    handle: Awaited, timeout: float | None, logs: bool | Callable[[str], object], check: bool, clock: Clock
) -> JobStatus:
    """See ``Handle.wait``."""
    write = logs if callable(logs) else _print
    tail = _Tail()
    end = _End(handle, clock, timeout)
    source = _log_of(handle) if logs else _NoLog(handle.session)
    for line in _told(handle, _follower(handle, source, clock, end).lines()):
        tail.append(line)
        write(line.text)
    state = end.state
    assert state is not None
    if check and state.status == "Failed":
        raise _failure(handle, state, tail.lines() if logs else _last_lines(handle, clock))
    if check and state.status == "Stopped":
        more = "" if state.secondary == state.status else f": {state.secondary}"
        raise JobStopped(f"the {handle.noun} '{handle.name}' was stopped{more}.", state.message)
    return state


def log_lines(
    handle: Awaited,
    following: bool,
    clock: Clock,
    ended: Callable[[], bool] | None = None,
    tail: int | None = None,
) -> Iterator[str]:
    """See ``Handle.logs``.

    Args:
        handle: whose log.
        following: whether to go on.
        clock: time.
        ended: whether nothing more will come, where that is not when ``wait`` would return.
        tail: only so many lines of a log that is not followed, the last ones.
    """
    follower = _follower(handle, _log_of(handle), clock, ended or _End(handle, clock))
    if following or tail is None:
        return (line.text for line in _told(handle, follower.lines() if following else follower.available()))
    return iter(deque((line.text for line in _told(handle, follower.ends(tail))), tail))


def log_end(handle: Awaited, count: int, tell: Callable[[str], object]) -> list[str]:
    """The last lines of a log as it is now.

    Args:
        handle: whose log.
        count: at most so many.
        tell: told what stands in the way of reading it.

    Raises:
        Unreachable: the cloud does not answer.
    """
    lines = follow.Follower(_log_of(handle), lambda: True).ends(count)
    return [line.text for line in deque(_told(handle, lines, tell), count)]


def log_place(handle: Awaited) -> str:
    """Where a user finds the log: a folder on this computer, or the names that CloudWatch knows it by."""
    if (folder := local_folder(handle)) is not None:
        return str(folder.logs)
    return f"CloudWatch, group {handle.log_group}, streams {handle.stream_prefix}..."


def local_folder(handle: Awaited) -> JobHome | None:
    """What the local cloud keeps about it on this computer; None on AWS."""
    if not isinstance(handle.session, LocalSession):
        return None
    from launcher.local.host.home import HomePaths
    from launcher.local.records.jobrecord import job_key

    return HomePaths.of(handle.session.home).job(job_key(handle.kind, handle.name))


def _log_of(handle: Awaited) -> follow.CloudLogs:
    return follow.CloudLogs(handle.session, handle.log_group, handle.stream_prefix)


@dataclass(frozen=True)
class _Told:
    """A line of a log.

    Args:
        text: as users read it.
        message: as it stands in the log.
        in_data_log: whether the platform's data log holds it.
    """

    text: str
    message: str
    in_data_log: bool


class _Tail:
    """The end of a log; the data log goes before: what it says of a failed record is what a user needs."""

    def __init__(self) -> None:
        self._parts: dict[bool, deque[tuple[int, _Told]]] = {part: deque(maxlen=TAIL_LINES) for part in (True, False)}
        self._count = 0

    def append(self, line: _Told) -> None:
        self._parts[line.in_data_log].append((self._count, line))
        self._count += 1

    def lines(self) -> list[_Told]:
        """As they came."""
        data, container = list(self._parts[True]), list(self._parts[False])
        room = TAIL_LINES - len(data)
        kept = data + (container[-room:] if room else [])
        return [line for _, line in sorted(kept, key=lambda numbered: numbered[0])]


@dataclass
class _NoLog:
    """A log that nobody wants to read; only the state of the job counts."""

    session: Session

    def streams(self) -> list[str]:
        return []

    def read(self, stream: str, cursor: str | None) -> tuple[list[LogLine], str | None]:
        return [], cursor

    def newest(self, stream: str, count: int) -> list[LogLine]:
        return []

    def revive(self) -> None:
        self.session.revive()


def _follower(handle: Awaited, source: follow.LogSource, clock: Clock, ended: Callable[[], bool]) -> follow.Follower:
    local, with_log = handle.session.is_local, not isinstance(source, _NoLog)
    slow, quick = (AWS_PACE, LOCAL_PACE) if not with_log else (follow.AWS_PACE, follow.LOCAL_PACE)
    pace = (SHORT_PACE if handle.is_short else quick) if local else slow
    drain = follow.AWS_DRAIN if with_log and not local else follow.LOCAL_DRAIN
    return follow.Follower(source, ended, pace, drain, clock=clock)


class _End:
    """A question whether something has ended; it keeps the last answer.

    Args:
        handle: what is asked about.
        clock: time.
        timeout: seconds after which one that has not ended is given up.
    """

    def __init__(self, handle: Awaited, clock: Clock, timeout: float | None = None) -> None:
        self._handle = handle
        self._clock = clock
        self._timeout = timeout
        self._started = clock.now()
        self.state: JobStatus | None = None

    def __call__(self) -> bool:
        """Ask; a broken connection is told apart from an answer.

        Raises:
            Broken: the connection broke.
            InputError: there is no such thing, or it may not be looked at.
            TimeoutError: the time is over.
        """
        try:
            with follow.lost_is_broken():
                self.state = self._handle.status(raw_faults=True)
        except botocore.exceptions.ClientError:
            self.state = self._handle.status()  # says in our words what is wrong
        if self.state.ended:
            return True
        if self._timeout is not None and self._clock.now() - self._started > self._timeout:
            raise TimeoutError(
                f"the {self._handle.noun} '{self._handle.name}' has not {self._handle.arrived} after "
                f"{self._timeout:g} s ({self.state}); it goes on"
            )
        return False


def _told(handle: Awaited, lines: Iterable[LogLine | Notice], tell: Callable[[str], object] = say) -> Iterator[_Told]:
    """Log lines as text; each names its stream, but for the first container's. Notices go to the user."""
    first: str | None = None
    for line in lines:
        if isinstance(line, Notice):
            tell(line.text)
            continue
        name = line.stream.removeprefix(handle.stream_prefix)
        instance = name.removesuffix(f"/{DATA_LOG}")
        first = first or instance
        parts = [] if instance == first else [instance]
        label = "/".join(parts + [DATA_LOG] * (instance != name))
        in_data_log = instance != name
        message = without_dataset(line.message) if in_data_log else line.message
        yield _Told(f"[{label}] {message}" if label else message, line.message, in_data_log)


def _last_lines(handle: Awaited, clock: Clock) -> list[_Told]:
    """The end of the log; nothing where it cannot be read, as it is only an addition to what is told."""
    tail = _Tail()
    follower = _follower(handle, _log_of(handle), clock, lambda: True)
    try:
        for line in _told(handle, (line for line in follower.ends(TAIL_LINES) if isinstance(line, LogLine))):
            tail.append(line)
    except Unreachable:
        return []
    return tail.lines()


def _failure(handle: Awaited, state: JobStatus, tail: list[_Told]) -> JobFailed:
    """The error for a failure: its reason, the end of the log where it tells more, and where all of it is."""
    reason = state.failure_reason or "no reason was given"
    begin = f"the {handle.noun} '{handle.name}' failed: "
    message = f"{begin}{without_dataset(reason)}"
    quoted = [line for line in tail if line.message in reason]
    brief = f"{begin}{without_dataset(_without_traceback(reason))}" if quoted else None
    if len(quoted) < len(tail) and not any(line.in_data_log for line in quoted):
        message += "\nThe last lines of its log:\n" + "\n".join(f"  {line.text}" for line in tail)
    aws = "" if handle.session.is_local else " --aws"
    why = f"Why, and what to do: batchrl doctor {handle.name}{aws}"
    return JobFailed(message, f"The whole log: {log_place(handle)}\n{why}", brief)


def _without_traceback(reason: str) -> str:
    """A reason without the lines after its first, but for the exit code at their end."""
    first, *rest = reason.splitlines()
    code = EXIT_CODE.search(rest[-1]) if rest else None
    return first + (code[0] if code else "")


def _print(line: str) -> None:
    print(visible_line(line), flush=True)
