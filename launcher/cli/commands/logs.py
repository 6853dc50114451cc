"""``batchrl logs``: a job's log."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import click

from launcher.cli.groups import make_command
from launcher.cli.jobs import find_job
from launcher.cli.options import aws_option, job_argument


@make_command("logs", examples=("batchrl logs -f", "batchrl logs my-job --tail 20"))
@job_argument()
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends.")
@click.option("-t", "--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines.")
@aws_option
def command(job: str | None, follow: bool, tail: int | None, aws: bool) -> None:
    """Print the log of a job, by default the newest one's.

    Following ends with the job, whatever its end; `batchrl wait` tells by its exit code how it ended.
    """
    if follow and tail is not None:
        raise click.UsageError("--tail is for a log that is not followed.")
    lines: Iterable[str] = find_job(job, aws).logs(follow)
    for line in lines if tail is None else deque(lines, tail):
        click.echo(line)
