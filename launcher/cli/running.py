"""Running a job from the command line: upload with a bar, log, Ctrl-C, and what may come next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from batchrl.contract.errors import JobFailed
from launcher.cli.output import Output

if TYPE_CHECKING:
    from launcher.jobs.handle import JobHandle
    from launcher.jobs.training import Job
    from launcher.training.estimator import RLEstimator

AFTER_START = ("logs -f", "wait", "stop")


def run_job(
    estimator: RLEstimator,
    channels: Mapping[str, str],
    out: Output,
    wait: bool = True,
    job_name: str | None = None,
    debug: bool = False,
    debug_port: int | None = None,
) -> Job:
    """Submit a job and, if wanted, follow it to its end; arguments and errors are those of ``RLEstimator.fit``."""
    from launcher.api.names import check_job_name
    from launcher.training.debug import INSTANCE_TYPE, check_debugger

    check_debugger(debug_port)
    if job_name is not None:
        check_job_name(job_name)  # an empty one, too: it comes from a shell variable that was not set
    plan = estimator.plan(dict(channels) or None, job_name, debug or debug_port is not None)
    if plan.request["ResourceConfig"]["InstanceType"] == INSTANCE_TYPE:
        # The script takes the terminal: no bar may be drawn beside it.
        return estimator.submit(plan, debug_port=debug_port)
    with out.byte_progress("upload", plan.size) as on_bytes:
        job = estimator.submit(plan, wait=False, on_bytes=on_bytes)
    if wait:
        follow_to_end(job, out)
    return job


def follow_to_end(job: JobHandle, out: Output) -> None:
    """Show a job's log until it ends; Ctrl-C asks whether to stop it.

    Raises:
        JobFailed, JobStopped: as ``JobHandle.wait``.
        KeyboardInterrupt: after Ctrl-C.
    """
    from launcher.jobs import interrupt

    out.note(f"{job.noun.capitalize()} {job.name}")
    with interrupt.handled(job.name, job.stop, lambda: job.wait(check=False)):
        try:
            job.wait(logs=out.for_people)
        except JobFailed as error:
            if out.for_people:  # who has just read the log is not told it again
                error.message = error.brief
            raise


def tell(job: Job, out: Output, next_commands: tuple[str, ...]) -> None:
    """Say which job it was, where its results are, and what may come next.

    Args:
        job: the job; it may have ended or not.
        out: where to say it.
        next_commands: commands that take the job's name, for one that ended.

    Raises:
        JobFailed: it has failed already.
        JobStopped: it was stopped already.
    """
    state = job.status()
    if state.ended:
        job.wait()
    if not out.for_people:
        facts = {"name": job.name, "status": state.status, "checkpoints": job.checkpoint_uri}
        out.record(facts | {"model": job.model_uri, "output": job.output_uri}, "name")
        return
    out.text(f"\nJob {job.name} {'has ended well.' if state.ended else 'was started.'}\nNext:")
    for follow_up in next_commands if state.ended else AFTER_START:
        out.text(f"  batchrl {follow_up} {job.name}")
