"""``batchrl stop``: ask jobs to stop."""

from __future__ import annotations

import click

from batchrl.contract.errors import InputError
from launcher.cli.finding import find_handle
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, complete_jobs, kind_option, output_options
from launcher.cli.output import Column, Output

COLUMNS = (Column("name", "JOB"), Column("status", "STATUS"))


@make_command("stop", examples=("batchrl stop my-job", "batchrl stop my-job other-job --wait"))
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...", shell_complete=complete_jobs)
@click.option("--wait", is_flag=True, help="Come back when they have stopped.")
@kind_option
@aws_option
@output_options
def command(jobs: tuple[str, ...], wait: bool, kind: str | None, aws: bool, out: Output) -> None:
    """Ask jobs to stop: their script gets SIGTERM and 120 seconds, their results are kept.

    A transform job keeps nothing: it stores outputs when it ends well. A job that has ended is left as it is.
    """
    from launcher.jobs.handle import JobHandle

    found = []
    for name in dict.fromkeys(jobs):
        handle = find_handle(name, aws, kind)
        if not isinstance(handle, JobHandle):
            raise InputError(f"'{name}' is an endpoint, which serves until it is deleted.", f"batchrl rm {name}")
        found.append(handle)
    asked = [(job, job.stop()) for job in found]
    if wait:
        for job, _ in asked:
            job.wait(check=False)
    rows = [{"name": job.name, "asked": was, "status": job.status().status} for job, was in asked]
    if not out.for_people:
        out.rows(rows, COLUMNS, "")
        return
    for row in rows:
        out.text(f"{row['name']}: {'asked to stop' if row['asked'] else 'had ended'}, now {row['status']}")
