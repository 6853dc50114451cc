"""``batchrl wait``: until jobs have ended, or endpoints are in service."""

from __future__ import annotations

import time
from typing import Any

import click

from batchrl.contract.errors import JobFailed, JobStopped
from launcher.cli.finding import find_handle
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, complete_jobs, kind_option, output_options
from launcher.cli.output import Column, Output, echo

EXIT_NOT_YET = 124
NAME = Column("name", "JOB")
# Of several ends the one that matters most gives the exit code.
WORST_FIRST = (JobFailed.exit_code, JobStopped.exit_code, EXIT_NOT_YET)


@make_command(
    "wait",
    examples=(
        "batchrl wait",
        "batchrl wait my-job --timeout 600 && batchrl pull my-job",
        "batchrl wait one-job another-job",
    ),
)
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_jobs)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up after so long.")
@kind_option
@aws_option
@output_options
def command(jobs: tuple[str, ...], timeout: float | None, kind: str | None, aws: bool, out: Output) -> int | None:
    """Wait until jobs end, by default the newest one; of an endpoint, until it is in service.

    Exit code 0 when all are Completed or InService, 1 when one is Failed, 4 Stopped, 124 when one has not come so far
    in time.
    """
    handles = [find_handle(job, aws, kind) for job in jobs or (None,)]
    deadline = None if timeout is None else time.monotonic() + timeout
    records: list[dict[str, Any]] = []
    codes: set[int] = set()
    for handle in handles:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            state = handle.wait(timeout=left)
        except TimeoutError as error:
            echo(f"{error}.", err=True)
            codes.add(EXIT_NOT_YET)
            continue
        except (JobFailed, JobStopped) as error:
            if len(handles) == 1:
                raise
            echo(f"Error: {error.message}", err=True)
            codes.add(error.exit_code)
            continue
        records.append({"name": handle.name, "status": state.status, "secondary_status": state.secondary})
        if out.for_people:
            out.text(f"{handle.name}: {state.status}")
    if not out.for_people and len(handles) == 1 and records:
        out.record(records[0], "name")
    elif not out.for_people and len(handles) > 1:
        out.rows(records, (NAME,), "")
    return next((code for code in WORST_FIRST if code in codes), None)
