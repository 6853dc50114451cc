"""Waiting for a job: its log meanwhile, its end told apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import botocore.exceptions

from batchrl.contract.errors import JobFailed, JobStopped, Unreachable
from launcher import follow
from launcher.clock import Clock
from launcher.follow import LogLine, Notice
from launcher.notices import say
from launcher.session import LocalSession, Session

if TYPE_CHECKING:
    from launcher.job import Job, JobStatus

TAIL_LINES = 20
# Seconds between two looks at the state, first and longest, when no log is followed.
LOCAL_PACE = (0.2, 2.0)
AWS_PACE = (5.0, 30.0)


def wait(job: Job, timeout: float | None, logs: bool | Callable[[str], object], check: bool, clock: Clock) -> JobStatus:
    """See ``Job.wait``."""
    write = logs if callable(logs) else _print
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    source = follow.CloudLogs(job.session, job.name) if logs else _NoLog(job.session)
    end = _End(job, clock, timeout)
    for line in _told(_follower(job, source, clock, end).lines()):
        tail.append(line)
        write(line)
    state = end.state
    assert state is not None
    if check and state.status == "Failed":
        raise _failure(job, state, list(tail) if logs else _last_lines(job, clock))
    if check and state.status == "Stopped":
        raise JobStopped(f"the job '{job.name}' was stopped: {state.secondary}.", state.message)
    return state


def log_lines(job: Job, following: bool, clock: Clock) -> Iterator[str]:
    """See ``Job.logs``."""
    follower = _follower(job, follow.CloudLogs(job.session, job.name), clock, _End(job, clock))
    return _told(follower.lines() if following else follower.available())


def log_place(job: Job) -> str:
    """Where a user finds the log: a folder on this computer, or the names that CloudWatch knows it by."""
    if isinstance(job.session, LocalSession):
        from launcher.local.home import HomePaths

        return str(HomePaths.of(job.session.home).job(job.name).logs)
    return f"CloudWatch, group {follow.LOG_GROUP}, streams {job.name}/..."


@dataclass
class _NoLog:
    """A log that nobody wants to read; only the state of the job counts."""

    session: Session

    def streams(self) -> list[str]:
        return []

    def read(self, stream: str, cursor: str | None) -> tuple[list[LogLine], str | None]:
        return [], cursor

    def revive(self) -> None:
        self.session.revive()


def _follower(job: Job, source: follow.LogSource, clock: Clock, end: _End) -> follow.Follower:
    local, with_log = job.session.is_local, not isinstance(source, _NoLog)
    slow, quick = (AWS_PACE, LOCAL_PACE) if not with_log else (follow.AWS_PACE, follow.LOCAL_PACE)
    pace = quick if local else slow
    drain = follow.AWS_DRAIN if with_log and not local else follow.LOCAL_DRAIN
    return follow.Follower(source, end, pace, drain, clock=clock)


class _End:
    """A question whether a job has ended; it keeps the last answer.

    Args:
        job: the job.
        clock: time.
        timeout: seconds after which a job that has not ended is given up.
    """

    def __init__(self, job: Job, clock: Clock, timeout: float | None = None) -> None:
        self._job = job
        self._clock = clock
        self._timeout = timeout
        self._started = clock.now()
        self.state: JobStatus | None = None

    def __call__(self) -> bool:
        """Ask; a broken connection is told apart from an answer.

        Raises:
            Broken: the connection broke.
            InputError: there is no such job, or it may not be looked at.
            TimeoutError: the time is over.
        """
        try:
            self.state = self._job.status(raw_faults=True)
        except (botocore.exceptions.ClientError, *follow.LOST) as error:
            if reason := follow.connection_fault(error):
                raise follow.Broken(reason) from error
            self.state = self._job.status()  # says in our words what is wrong
        if self.state.ended:
            return True
        if self._timeout is not None and self._clock.now() - self._started > self._timeout:
            raise TimeoutError(
                f"the job '{self._job.name}' has not ended after {self._timeout:g} s ({self.state}); it goes on"
            )
        return False


def _told(lines: Iterable[LogLine | Notice]) -> Iterator[str]:
    """Log lines as text; with several streams each line names its own. Notices go to the user directly."""
    first: str | None = None
    for line in lines:
        if isinstance(line, Notice):
            say(line.text)
            continue
        first = first or line.stream
        yield line.message if line.stream == first else f"[{line.stream.rpartition('/')[2]}] {line.message}"


def _last_lines(job: Job, clock: Clock) -> list[str]:
    """The end of the log; nothing where it cannot be read, as it is only an addition to what is told."""
    follower = _follower(job, follow.CloudLogs(job.session, job.name), clock, _End(job, clock))
    try:
        return list(deque((line.message for line in follower.available() if isinstance(line, LogLine)), TAIL_LINES))
    except Unreachable:
        return []


def _failure(job: Job, state: JobStatus, tail: list[str]) -> JobFailed:
    """The error for a failed job: its reason, the end of its log, and where all of it is."""
    message = f"the job '{job.name}' failed: {state.failure_reason or 'no reason was given'}"
    if tail:
        message += "\nThe last lines of its log:\n" + "\n".join(f"  {line}" for line in tail)
    return JobFailed(message, f"The whole log: {log_place(job)}")


def _print(line: str) -> None:
    print(line, flush=True)
