"""``batchrl wait``: until a job has ended, or an endpoint is in service."""

from __future__ import annotations

import click

from launcher.cli.finding import find_handle
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, job_argument, kind_option, output_options
from launcher.cli.output import Output, echo

EXIT_NOT_YET = 124


@make_command("wait", examples=("batchrl wait", "batchrl wait my-job --timeout 600 && batchrl pull my-job"))
@job_argument()
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up after so long.")
@kind_option
@aws_option
@output_options
def command(job: str | None, timeout: float | None, kind: str | None, aws: bool, out: Output) -> int | None:
    """Wait until a job ends, by default the newest one; of an endpoint, until it is in service.

    Exit code 0 when it is Completed or InService, 1 Failed, 4 Stopped, 124 when it has not come so far in time.
    """
    found = find_handle(job, aws, kind)
    try:
        state = found.wait(timeout=timeout)
    except TimeoutError as error:
        echo(f"{error}.", err=True)
        return EXIT_NOT_YET
    if out.for_people:
        out.text(f"{found.name}: {state.status}")
    else:
        out.record({"name": found.name, "status": state.status, "secondary_status": state.secondary}, "name")
    return None
