"""``batchrl train``: a training job."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import click

from launcher.api.joboptions import JobOptions
from launcher.base.product import TRAIN_SCRIPT
from launcher.cli.groups import make_command
from launcher.cli.joboptions import checkpoint_place, training_channels, training_options, with_description
from launcher.cli.options import output_options
from launcher.cli.output import Output
from launcher.cli.running import run_job, tell
from launcher.training.joboptions import estimator_of


@make_command(
    "train",
    examples=(
        "batchrl train --training cartpole.csv",
        "batchrl train --training cartpole.csv --no-wait -q",
        "batchrl train --training s3://bucket/data/ --spot \\",
        "    --instance-type ml.m5.xlarge --max-wait 90000",
        "batchrl train --training cartpole.csv --debug",
    ),
)
@training_options
@click.option("--wait/--no-wait", default=True, help="Follow the job until it ends, or start it and come back.")
@click.option("--debug", is_flag=True, help="Run the script on this terminal, so that breakpoint() works.")
@click.option("--debug-port", type=click.IntRange(1, 65535), help="The same, waiting for a debugger (debugpy) there.")
@output_options
def command(
    job: JobOptions,
    described: Mapping[str, str],
    training: str | None,
    inputs: tuple[str, ...],
    job_name: str | None,
    checkpoint_from: str | None,
    wait: bool,
    debug: bool,
    debug_port: int | None,
    out: Output,
) -> None:
    """Train a policy from logged data, as a job on this computer or on Amazon SageMaker.

    A preset describes the algorithm; `batchrl presets list` names them.
    """
    job = with_description(job, described)
    channels = training_channels(job, training, inputs)
    place = checkpoint_place(checkpoint_from, job.instance_type) if checkpoint_from else None
    started = run_job(estimator_of(job, checkpoint_s3_uri=place), channels, out, wait, job_name, debug, debug_port)
    own = job.entry_point != TRAIN_SCRIPT or job.source_dir is not None
    tell(started, out, ("show", "pull") if own else after_training(training, described))


def after_training(training: str | None, described: Mapping[str, str]) -> tuple[str, ...]:
    """What comes next: of a log that names its columns itself there is no simulator that the product knows."""
    estimate = () if training is None else (f"ope {shlex.quote(training)} --model",)
    return ("metrics", "plot", *estimate, *(() if described else ("evaluate --job",)))
