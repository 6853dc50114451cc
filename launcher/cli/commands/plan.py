"""``batchrl plan``: the exact request of a job, with nothing sent."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.api.joboptions import JobOptions
from launcher.base.units import size
from launcher.cli.groups import make_command
from launcher.cli.joboptions import checkpoint_place, training_channels, training_options, with_description
from launcher.cli.output import Output
from launcher.training.joboptions import estimator_of


@make_command(
    "plan",
    examples=(
        "batchrl plan --training cartpole.csv",
        "batchrl plan --training my.csv | jq .request",
        "batchrl plan --entry-point evaluate.py \\",
        "    --input checkpoint=s3://bucket/job/checkpoints/",
    ),
)
@training_options
def command(
    job: JobOptions,
    described: Mapping[str, str],
    training: str | None,
    inputs: tuple[str, ...],
    job_name: str | None,
    checkpoint_from: str | None,
) -> None:
    """Print what `batchrl train` would send for the same options, as JSON: the request and every upload.

    Nothing is sent and nothing is started. What would be wrong with the job is said, with exit code 2.
    """
    from launcher.api.names import check_job_name

    if job_name is not None:
        check_job_name(job_name)
    job = with_description(job, described)
    channels = training_channels(job, training, inputs)
    place = checkpoint_place(checkpoint_from, job.instance_type) if checkpoint_from else None
    plan = estimator_of(job, checkpoint_s3_uri=place).plan(dict(channels) or None, job_name=job_name)
    out = Output()
    out.json(plan.to_dict())
    for warning in plan.package.warnings:
        out.note(f"Warning: {warning}")
    out.note(f"Nothing was sent. {len(plan.all_uploads)} files, {size(plan.size)}, would be.")
