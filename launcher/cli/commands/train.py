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
from launcher.training.joboptions import DEFAULT_PRESETS, estimator_of


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
    tell(
        started,
        out,
        ("show", "pull")
        if own
        else after_training(training, described, str(job.preset or DEFAULT_PRESETS[TRAIN_SCRIPT])),
    )


def after_training(training: str | None, described: Mapping[str, str], preset: str) -> tuple[str, ...]:
    """What comes next; an evaluation only where the product knows the simulator of the log.

    Args:
        training: the logged data.
        described: how it was described; a log that names its columns itself comes from no simulator of the product.
        preset: of the training.
    """
    import presets

    estimate = () if training is None else (f"ope {shlex.quote(training)} --model",)
    simulated = not described and presets.evaluation_of(preset) is not None
    return ("metrics", "plot", "report", *estimate, *(("evaluate --job",) if simulated else ()))
