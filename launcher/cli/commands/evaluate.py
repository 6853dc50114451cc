"""``batchrl evaluate``: an evaluation job."""

from __future__ import annotations

import click

from batchrl.contract.errors import InputError
from batchrl.contract.paths import CHECKPOINT_CHANNEL
from launcher.cli.evaluations import newest_training, read_evaluation
from launcher.cli.groups import make_command
from launcher.cli.joboptions import JobOptions, checkpoint_place, job_options
from launcher.cli.jobs import EVALUATE_SCRIPT, session_for
from launcher.cli.options import complete_jobs, output_options
from launcher.cli.output import Output
from launcher.cli.running import run_job, tell


@make_command(
    "evaluate",
    examples=(
        "batchrl evaluate",
        "batchrl evaluate --job my-job --set evaluate_steps=5000",
        "batchrl evaluate --checkpoint s3://bucket/j/checkpoints/",
    ),
)
@click.option("--job", "trained", metavar="JOB", shell_complete=complete_jobs, help="The training job to evaluate.")
@click.option("--checkpoint", metavar="URI", help="Else its checkpoints: an S3 URL, a file or a folder.")
@job_options(default_script=None)
@click.option("--job-name", help="Name of the evaluation job; by default one is made.")
@click.option("--wait/--no-wait", default=True, help="Follow the job until it ends, or start it and come back.")
@output_options
def command(
    job: JobOptions,
    trained: str | None,
    checkpoint: str | None,
    job_name: str | None,
    wait: bool,
    out: Output,
) -> None:
    """Play episodes with a trained policy in its simulator, as a job, and report its mean return.

    Without --job and --checkpoint the newest training job is evaluated, by its best checkpoint.
    """
    if trained is not None and checkpoint is not None:
        raise InputError("--job and --checkpoint both say what to evaluate.", "Keep one of them.")
    if checkpoint is None:
        name = trained or newest_training(session_for(job.instance_type.startswith("ml."))).name
        out.note(f"Evaluating {name}.")
        checkpoint = checkpoint_place(name, job.instance_type)
    estimator = job.estimator(script=EVALUATE_SCRIPT)
    started = run_job(estimator, {CHECKPOINT_CHANNEL: checkpoint}, out, wait, job_name)
    if wait and out.for_people:
        out.text()
        out.text(read_evaluation(started).sentence())
    tell(started, out, ("pull",))
