"""Jobs under names that are the same every time: one that exists is attached to, and not started twice."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Protocol, TypeVar

from launcher.jobs import interrupt
from launcher.jobs.status import JobStatus

# In these states a job has no result, and another one takes its place.
LOST = frozenset({"Failed", "Stopped"})
LEAVING = "Stopping"


class Attended(Protocol):
    """A job, as ``launcher.jobs.handle.JobHandle`` is one."""

    name: str

    def status(self) -> JobStatus:
        """The job's state now."""

    def wait(
        self, timeout: float | None = None, logs: bool | Callable[[str], object] = False, check: bool = True
    ) -> JobStatus:
        """Wait until the job has ended; see ``launcher.jobs.handle.Handle.wait``."""

    def stop(self) -> bool:
        """Ask the job to stop; False where it has ended already."""


AnyJob = TypeVar("AnyJob", bound=Attended)


def run(
    name: str,
    find: Callable[[str], AnyJob | None],
    start: Callable[[str, AnyJob | None], AnyJob],
    say: Callable[[str], None],
) -> AnyJob:
    """A job of this name that has ended well.

    The first one that is there and was not lost is waited for. Behind jobs that failed or were stopped, by an earlier
    run of the loop, another attempt is made: ``<name>-2`` and so on.

    Args:
        name: of the first attempt.
        find: the job of a name; None where there is none.
        start: starts one, given its name and the attempt before it.
        say: told what is waited for.

    Raises:
        JobFailed, JobStopped: it did not end well.
    """
    before: AnyJob | None = None
    for number in count(1):
        attempt = name if number == 1 else f"{name}-{number}"
        job = find(attempt)
        if job is None:
            job = start(attempt, before)
        else:
            if job.status().status == LEAVING:
                job.wait(check=False)
            if job.status().status in LOST:
                before = job
                continue
        _wait(job, say)
        return job
    raise AssertionError("unreachable")


def _wait(job: Attended, say: Callable[[str], None]) -> None:
    """Wait for a job; Ctrl-C stops it without a question: what its user began is a loop, which goes on from there."""
    with interrupt.handled(job.name, job.stop, lambda: job.wait(check=False), asks=False):
        if not job.status().ended:
            say(f"job {job.name}")
        job.wait()
