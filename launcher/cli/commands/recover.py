"""``batchrl recover``: publish what a job left on this computer's disk."""

from __future__ import annotations

from dataclasses import asdict

import click

from launcher.base.units import size
from launcher.cli.groups import make_command
from launcher.cli.options import complete_jobs, output_options
from launcher.cli.output import Output


@make_command("recover", examples=("batchrl recover my-job", "batchrl recover my-job && batchrl pull my-job"))
@click.argument("job", shell_complete=complete_jobs)
@output_options
def command(job: str, out: Output) -> None:
    """Publish checkpoints, model and output of a local training job that ended before they had reached S3.

    A job whose results could not be uploaded, or whose process was killed, keeps its files on disk; its failure reason
    says so. They are published as at the job's end and then removed from the disk. The job's status stays what it is.
    Running it again does no harm.
    """
    from launcher.local.recovery import recover

    done = recover(job)
    for text in done.left_out:
        out.note(text)
    if not out.for_people:
        out.record(asdict(done), "name")
    elif done.already:
        out.text(f"Nothing to publish: whatever {done.name} ({done.status}) wrote is in S3 already.")
    else:
        out.text(f"Published the results of {done.name} ({done.status}), {size(done.size_bytes)} in archives.")
        out.text(f"Fetch them with: batchrl pull {done.name}")
