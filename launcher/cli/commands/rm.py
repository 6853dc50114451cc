"""``batchrl rm``: forget jobs that have ended."""

from __future__ import annotations

import click

from batchrl.contract.errors import InputError
from launcher.cli.groups import make_command
from launcher.cli.jobs import find_job
from launcher.cli.options import aws_option, complete_jobs, output_options
from launcher.cli.output import Column, Output

KEPT = " Its results and checkpoints stay in {place}/; a job of the same name would go on from them."


@make_command("rm", examples=("batchrl rm my-job", "batchrl rm my-job --results"))
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...", shell_complete=complete_jobs)
@click.option("--results", is_flag=True, help="Delete what they wrote into the bucket, too.")
@aws_option
@output_options
def command(jobs: tuple[str, ...], results: bool, aws: bool, out: Output) -> None:
    """Delete jobs that have ended; their names are free again.

    Nothing is deleted when one of them still runs. Their results and checkpoints stay unless --results says otherwise;
    a new job of the same name would go on from those checkpoints.
    """
    found = [find_job(name, aws) for name in dict.fromkeys(jobs)]
    running = [job.name for job in found if not job.status().ended]
    if running:
        raise InputError(f"still running: {', '.join(running)}. Nothing was deleted.", f"batchrl stop {running[0]}")
    rows = []
    for job in found:
        place = str(job.layout.job)
        job.delete(results)
        rows.append({"name": job.name, "results": None if results else place})
    if not out.for_people:
        out.rows(rows, (Column("name", "JOB"),), "")
        return
    for row in rows:
        out.text(f"Deleted {row['name']}." + (KEPT.format(place=row["results"]) if row["results"] else ""))
