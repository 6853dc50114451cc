"""``batchrl evaluate``: an evaluation job."""

from __future__ import annotations

from dataclasses import replace

import click

from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import LEGACY_PRESET, PRESET, user_values
from batchrl.contract.layout import S3_SCHEME
from batchrl.contract.paths import CHECKPOINT_CHANNEL
from launcher.api.instances import is_aws_type
from launcher.api.joboptions import JobOptions
from launcher.base.product import EVALUATE_SCRIPT
from launcher.cli.finding import find_job, session_for
from launcher.cli.groups import make_command
from launcher.cli.joboptions import checkpoint_place, job_options
from launcher.cli.options import complete_jobs, output_options
from launcher.cli.output import Output
from launcher.cli.running import run_job, tell
from launcher.reports.evaluations import newest_training, read_evaluation
from launcher.training.joboptions import estimator_of, names_preset

# The key of an evaluation preset that names the simulator.
ENVIRONMENT = "env.id"


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
@job_options(with_script=False)
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

    Without --job and --checkpoint the newest training job is evaluated, by its best checkpoint. Without
    --preset the simulator is that of the job's own preset: acrobot-env for acrobot-iql. A preset for any log
    (generic-discrete), or a file of yours, has none.
    """
    if trained is not None and checkpoint is not None:
        raise InputError("--job and --checkpoint both say what to evaluate.", "Keep one of them.")
    if checkpoint is None:
        name = trained or newest_training(session_for(is_aws_type(job.instance_type))).name
        checkpoint = checkpoint_place(name, job.instance_type)
        job = _for_problem_of(name, job)
        out.note(f"Evaluating {name}{f', preset {job.preset}' if job.preset else ''}.")
    estimator = estimator_of(job, script=EVALUATE_SCRIPT)
    started = run_job(estimator, {CHECKPOINT_CHANNEL: checkpoint}, out, wait, job_name)
    if wait and out.for_people:
        out.text()
        out.text(read_evaluation(started).sentence())
    tell(started, out, ("pull",))


def _for_problem_of(trained: str, job: JobOptions) -> JobOptions:
    """The options with the evaluation preset of the problem that a job was trained on, where none is given.

    Raises:
        InputError: its preset is for no simulated problem, and no environment is named.
    """
    import presets

    if job.preset or names_preset(job) or trained.startswith(S3_SCHEME) or ENVIRONMENT in (job.hyperparameters or {}):
        return job
    described = find_job(trained, aws=is_aws_type(job.instance_type)).describe()
    given = user_values(described.get("HyperParameters", {}))
    named = given.get(PRESET) or given.get(LEGACY_PRESET)
    own = presets.evaluation_of(str(named))
    if own is None:
        ours = [name for name in presets.names() if name.endswith("-env")]
        raise InputError(
            f"{trained} was trained {f'with {named}' if named else 'without a preset'}, to which no simulator belongs.",
            f"Say which one it plays in: --preset {', '.join(ours[:-1])} or {ours[-1]}, or --set {ENVIRONMENT}=ID.",
        )
    return replace(job, preset=own)
