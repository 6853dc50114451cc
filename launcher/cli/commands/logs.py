"""``batchrl logs``: the log of a job or an endpoint."""

from __future__ import annotations

import click

from launcher.base.terminal import visible_line
from launcher.cli.finding import find_handle
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, job_argument, kind_option

LINES_AT_ONCE = 1000


@make_command("logs", examples=("batchrl logs -f", "batchrl logs my-job --tail 20"))
@job_argument()
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends.")
@click.option("-t", "--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines.")
@kind_option
@aws_option
def command(job: str | None, follow: bool, tail: int | None, kind: str | None, aws: bool) -> None:
    """Print the log of a job or an endpoint, by default the newest job's.

    Following ends with the job, whatever its end; `batchrl wait` tells by its exit code how it ended. Of a
    transform job, lines of the platform's own log begin with [data-log]: which record failed, and why.
    """
    if follow and tail is not None:
        raise click.UsageError("--tail is for a log that is not followed.")
    # Each echo is a write to the terminal or pipe, which a log that is read to its end need not be line by line.
    at_once, block = 1 if follow else LINES_AT_ONCE, []
    try:
        for line in find_handle(job, aws, kind).logs(follow, tail):
            block.append(visible_line(line))
            if len(block) >= at_once:
                click.echo("\n".join(block))
                block.clear()
    finally:
        if block:
            click.echo("\n".join(block))
