"""``batchrl plot``: the estimates as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from launcher.cli.finding import find_job
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, job_argument, output_options
from launcher.cli.output import Output


@make_command("plot", examples=("batchrl plot", "batchrl plot my-job -o ope.png"))
@job_argument()
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("ope.png"),
    show_default=True,
    help="The PNG file.",
)
@aws_option
@output_options
def command(job: str | None, path: Path, aws: bool, out: Output) -> None:
    """Draw the off-policy estimates of a job with their intervals, by default the newest
    training job's.

    The job may still run.
    """
    found = find_job(job, aws, with_estimates=True)
    metrics = found.metrics()
    metrics.plot(path)
    if out.for_people:
        out.text(f"Drew {len(metrics.frame)} epochs of {found.name} into {path}")
    else:
        out.record({"name": found.name, "path": path.absolute(), "epochs": len(metrics.frame)}, "path")
