"""``batchrl plan``: the exact request of a job, with nothing sent."""

from __future__ import annotations

import click

from launcher.cli.groups import make_command
from launcher.cli.joboptions import JobOptions, checkpoint_place, job_options, training_channels
from launcher.cli.jobs import TRAIN_SCRIPT
from launcher.cli.options import complete_jobs
from launcher.cli.output import Output, size


@make_command(
    "plan",
    examples=(
        "batchrl plan --training cartpole.csv",
        "batchrl plan --training my.csv | jq .request",
        "batchrl plan --entry-point evaluate.py \\",
        "    --input checkpoint=s3://bucket/job/checkpoints/",
    ),
)
@click.option("--training", metavar="DATA", help="Logged data: a file, a folder, or an S3 URL.")
@click.option("--input", "inputs", multiple=True, metavar="CHANNEL=DATA", help="A further channel.")
@job_options(default_script=TRAIN_SCRIPT)
@click.option("--job-name", help="Name of the job; by default one is made.")
@click.option(
    "--checkpoint-from",
    metavar="JOB|S3URL",
    shell_complete=complete_jobs,
    help="Go on from these checkpoints, and write there.",
)
def command(
    job: JobOptions,
    training: str | None,
    inputs: tuple[str, ...],
    job_name: str | None,
    checkpoint_from: str | None,
) -> None:
    """Print what `batchrl train` would send for the same options, as JSON: the request and every upload.

    Nothing is sent and nothing is started. What would be wrong with the job is said, with exit code 2.
    """
    from launcher.request import check_job_name

    if job_name is not None:
        check_job_name(job_name)
    channels = training_channels(job, training, inputs)
    place = checkpoint_place(checkpoint_from, job.instance_type) if checkpoint_from else None
    plan = job.estimator(checkpoint_s3_uri=place).plan(dict(channels) or None, job_name=job_name)
    out = Output()
    out.json(plan.to_dict())
    out.note(f"Nothing was sent. {len(plan.all_uploads)} files, {size(plan.size)}, would be.")
