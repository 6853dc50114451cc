"""Jobs that may be there already."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchrl.contract.errors import JobFailed
from launcher.iterate import attempts
from launcher.jobs.status import JobStatus


class FakeJob:
    """A job that is in a state, and ends in another one when it is waited for."""

    def __init__(self, name: str, state: str = "InProgress", end: str = "Completed") -> None:
        self.name, self.state, self.end = name, state, end
        self.stopped = False
        self.waited = 0

    def status(self) -> JobStatus:
        return JobStatus(self.state, self.state)

    def wait(
        self, timeout: float | None = None, logs: bool | Callable[[str], object] = False, check: bool = True
    ) -> JobStatus:
        self.waited += 1
        if self.end == "interrupted":
            self.end = "Stopped"
            raise KeyboardInterrupt
        self.state = self.state if self.status().ended else self.end
        if check and self.state == "Failed":
            raise JobFailed(f"the job '{self.name}' failed")
        return self.status()

    def stop(self) -> bool:
        self.stopped = True
        return True


class Cloud:
    def __init__(self, *jobs: FakeJob) -> None:
        self.jobs = {job.name: job for job in jobs}
        self.started: list[tuple[str, str | None]] = []
        self.said: list[str] = []
        self.end = "Completed"

    def run(self, name: str = "job") -> FakeJob:
        def start(attempt: str, before: FakeJob | None) -> FakeJob:
            self.started.append((attempt, before.name if before else None))
            self.jobs[attempt] = FakeJob(attempt, end=self.end)
            return self.jobs[attempt]

        return attempts.run(name, self.jobs.get, start, self.said.append)


def test_a_job_that_is_not_there_is_started_and_waited_for() -> None:
    cloud = Cloud()
    assert cloud.run().state == "Completed"
    assert cloud.started == [("job", None)] and cloud.said == ["job job"]


@pytest.mark.parametrize("state", ["InProgress", "Completed"])
def test_a_job_that_is_there_is_attached_to(state: str) -> None:
    cloud = Cloud(FakeJob("job", state))
    job = cloud.run()
    assert cloud.started == [] and job.waited == 1 and job.state == "Completed"


@pytest.mark.parametrize("state", ["Failed", "Stopped", "Stopping"])
def test_behind_a_job_that_was_lost_another_attempt_goes_on_from_it(state: str) -> None:
    cloud = Cloud(FakeJob("job", state, end="Stopped"))
    assert cloud.run().name == "job-2"
    assert cloud.started == [("job-2", "job")]
    assert cloud.run().name == "job-2" and len(cloud.started) == 1


def test_a_job_that_fails_ends_the_run_and_the_next_run_tries_again() -> None:
    cloud = Cloud()
    cloud.end = "Failed"
    with pytest.raises(JobFailed, match="'job' failed"):
        cloud.run()
    assert len(cloud.started) == 1
    cloud.end = "Completed"
    assert cloud.run().name == "job-2"


def test_an_interrupt_stops_the_job_that_is_waited_for() -> None:
    cloud = Cloud()
    cloud.end = "interrupted"
    with pytest.raises(KeyboardInterrupt):
        cloud.run()
    assert cloud.jobs["job"].stopped
