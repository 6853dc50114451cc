"""``batchrl tune``: a tuning job, which trains with many settings and tells which did best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import LEGACY_PRESET, PRESET
from batchrl.contract.rewardrange import reward_range as check_range
from launcher.api.constants import SCORE
from launcher.api.instances import is_aws_type
from launcher.api.joboptions import JobOptions
from launcher.base.units import size
from launcher.cli.dataoptions import data_options
from launcher.cli.finding import session_for
from launcher.cli.groups import make_command
from launcher.cli.joboptions import job_options, training_channels, with_description
from launcher.cli.options import complete_presets, output_options
from launcher.cli.output import Output
from launcher.cli.tuned import Repeated, follow, tell
from launcher.training.joboptions import DEFAULT_PRESETS, estimator_of

if TYPE_CHECKING:
    from launcher.jobs.tuning import TuningJob
    from launcher.training.ranges import Parameter
    from launcher.training.tuner import HyperparameterTuner, TuningPlan

STRATEGIES = ("Bayesian", "Random", "Grid")


@make_command(
    "tune",
    examples=(
        "batchrl tune cartpole.csv --set agent.discount=0.9,0.99",
        "batchrl tune cartpole.csv --parallel 2 \\",
        "    --preset cartpole-cql --preset cartpole-iql \\",
        "    --set agent.learning_rate=1e-3,3e-4 --seeds 3",
        "batchrl tune cartpole.csv --jobs 20 --parallel 2 \\",
        "    --set agent.learning_rate=1e-4..1e-2:log",
        "batchrl tune s3://bucket/data/ --jobs 50 --parallel 5 \\",
        "    --set agent.discount=0.9..0.999 \\",
        "    --instance-type ml.m5.xlarge",
        "batchrl tune --attach my-tuning --reward-range 0:1",
    ),
)
@click.argument("data", metavar="[DATA]", required=False)
@click.option("--input", "inputs", multiple=True, metavar="CHANNEL=DATA", help="A further channel.")
@data_options
@click.option(
    "--preset",
    "named",
    multiple=True,
    shell_complete=complete_presets,
    help="Name of a preset, or a YAML file of your own; several are tried.",
)
@job_options(with_script=True, with_preset=False)
@click.option("--seeds", type=click.IntRange(2), metavar="N", help="Each training N times, with the seeds 0 to N - 1.")
@click.option("--jobs", type=click.IntRange(1), help="Trainings in all; by default all combinations of values.")
@click.option("--parallel", type=click.IntRange(1), default=1, show_default=True, help="Trainings at the same time.")
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES, case_sensitive=False),
    help="How settings are chosen: by default Grid where all combinations run, else Bayesian.",
)
@click.option("--metric", default=SCORE, show_default=True, help="What decides: a metric of the trainings.")
@click.option("--minimize", is_flag=True, help="The lowest value is the best, not the highest.")
@click.option("--target", type=float, help="A value that is good enough: the tuning job ends there.")
@click.option("--max-time", type=click.IntRange(120), metavar="SECONDS", help="End after so long.")
@click.option("--random-seed", type=click.IntRange(0), help="Seed of the choices; by default one is made.")
@click.option("--job-name", help="Name of the tuning job, at most 32 characters; by default one is made.")
@click.option("--attach", metavar="NAME", help="Take this tuning job, which exists: wait for its end, and choose.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Probability at which a candidate may be promoted that is no better than the logging policy.",
)
@click.option(
    "--reward-range", metavar="LOW:HIGH", help="What a step can pay, as 0:1: bets then bound the gain as well."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the result, tune.json, into a file as well.",
)
@click.option("--choose/--no-choose", default=True, help="Rank the candidates at the end, and promote one or none.")
@click.option("--dry-run", is_flag=True, help="Print the request and the uploads as JSON; nothing is sent.")
@click.option("--wait/--no-wait", default=True, help="Follow it until it ends, or start it and come back.")
@output_options
def command(
    data: str | None,
    inputs: tuple[str, ...],
    described: Mapping[str, str],
    named: tuple[str, ...],
    job: JobOptions,
    seeds: int | None,
    jobs: int | None,
    parallel: int,
    strategy: str | None,
    metric: str,
    minimize: bool,
    target: float | None,
    max_time: int | None,
    random_seed: int | None,
    job_name: str | None,
    attach: str | None,
    alpha: float,
    reward_range: str | None,
    output: Path | None,
    choose: bool,
    dry_run: bool,
    wait: bool,
    out: Output,
) -> None:
    """Train with many settings, and choose one of the policies, or none.

    Presets, settings and seeds are one search space: --preset A --preset B tries both, --seeds N each with N seeds,
    --set KEY=A,B,C tries values, --set KEY=LOW..HIGH numbers between two (LOW..HIGH:log on a logarithmic scale); other
    values of --set are the same in all trainings. `score`, by which a search goes unless --metric names another metric,
    is the score by which a training chose its epoch.

    At the end all policies are ranked by values that several methods fit to the same episodes, and the first is judged
    against the logging policy on the test episodes, which no training and no ranking saw. It is promoted where the
    lower bound of its gain is above 0; else you keep what you have, and are told what data would decide.
    """
    from launcher.reports.candidates import ChoiceTerms

    terms = ChoiceTerms(alpha, _checked_range(reward_range)) if choose else None
    if output is not None and not (choose and wait):
        raise click.UsageError("--output takes what is chosen: leave out --no-choose and --no-wait.")
    if attach is not None:
        if data is not None or inputs or described or named or seeds or job.hyperparameters or job_name or dry_run:
            raise click.UsageError("--attach takes a tuning job as it is: leave out data, settings and --job-name.")
        started, again = _attached(attach, job), None
    elif data is None:
        raise click.UsageError("Missing argument 'DATA', or --attach NAME.")
    else:
        tuned, fixed = _parted(job.hyperparameters or {}, named, seeds)
        preset = named[0] if len(set(named)) == 1 else None
        job = with_description(replace(job, hyperparameters=fixed, preset=preset), described)
        limits = (jobs, parallel, max_time)
        search = ("Minimize" if minimize else "Maximize", strategy, target, random_seed)
        tuner = _tuner(job, tuned, metric, limits, search)
        again = Repeated(data, named or (DEFAULT_PRESETS.get(job.entry_point, ""),), fixed)
        channels = training_channels(job, data, inputs)
        if dry_run:
            _show(tuner.plan(dict(channels), job_name), out)
            return
        started = _submitted(tuner, channels, job_name, wait, out)
    if not wait:
        out.record({"name": started.name}, "name", {"tuning job": started.name})
        out.text(f"Next:\n  batchrl show {started.name}\n  batchrl tune --attach {started.name}")
        out.text(f"  batchrl stop {started.name}")
        return
    follow(started, out)
    tell(started, out, again, terms, output)


def _tuner(
    job: JobOptions,
    tuned: Mapping[str, Parameter],
    metric: str,
    limits: tuple[int | None, int, int | None],
    search: tuple[str, str | None, float | None, int | None],
) -> HyperparameterTuner:
    from launcher.training.tuner import HyperparameterTuner

    (jobs, parallel, max_time), (objective, strategy, target, random_seed) = limits, search
    return HyperparameterTuner(
        estimator_of(job),
        tuned,
        metric,
        objective,
        max_jobs=jobs,
        max_parallel_jobs=parallel,
        strategy=strategy,
        max_runtime=max_time,
        target=target,
        random_seed=random_seed,
        base_tuning_job_name=None if job.base_job_name else "tune",
    )


def _attached(name: str, job: JobOptions) -> TuningJob:
    """The tuning job of a name, on the cloud of the instance type.

    Raises:
        InputError: there is none.
    """
    from launcher.jobs.tuning import TuningJob

    return TuningJob.attach(name, session_for(is_aws_type(job.instance_type)))


def _checked_range(text: str | None) -> str | None:
    """``--reward-range``, refused before anything is trained where it is none.

    Raises:
        InputError: it is no range.
    """
    check_range(text)
    return text


def _parted(
    settings: Mapping[str, str], named: tuple[str, ...], seeds: int | None
) -> tuple[dict[str, Parameter], dict[str, str]]:
    """What is to be tuned, and what of ``--set`` is fixed.

    Args:
        settings: of ``--set``.
        named: presets, of which several are to be tried.
        seeds: how many; None for the one of the settings.

    Raises:
        InputError: there is nothing to tune, or it is told twice.
    """
    from launcher.training.ranges import CategoricalParameter, parameter_of
    from launcher.training.searchspace import SEED

    found = {key: parameter_of(key, text) for key, text in settings.items()}
    tuned = {key: one for key, one in found.items() if one is not None}
    fixed = {key: text for key, text in settings.items() if key not in tuned}
    if len(names := tuple(dict.fromkeys(named))) > 1:
        if {PRESET, LEGACY_PRESET} & settings.keys():
            raise InputError("--preset and --set name presets.", "Name all of them by --preset.")
        tuned = {PRESET: CategoricalParameter(names), **tuned}
    if seeds is not None:
        if SEED in settings:
            raise InputError(f"--seeds and --set {SEED}=... mean the same.", "Keep one of them.")
        tuned[SEED] = CategoricalParameter(tuple(range(seeds)))
    if not tuned:
        raise InputError(
            "there is nothing to tune.",
            "Give several values (--set agent.discount=0.9,0.97), a range (--set agent.discount=0.9..0.99), several "
            "presets, or --seeds.",
        )
    if PRESET in tuned:
        # The estimator has one of them; each training has its own instead.
        fixed[PRESET] = names[0] if len(names) > 1 else str(tuned[PRESET].samples[0])
    return tuned, fixed


def _show(plan: TuningPlan, out: Output) -> None:
    """The plan as JSON, as ``batchrl plan`` shows that of a training."""
    out.json(plan.to_dict())
    limits = plan.request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    uploads = plan.sample.all_uploads
    out.note(
        f"Nothing was sent. {limits.get('MaxNumberOfTrainingJobs', 'All')} trainings and {len(uploads)} files, "
        f"{size(plan.sample.size)}, would be."
    )


def _submitted(
    tuner: HyperparameterTuner, channels: Mapping[str, str], job_name: str | None, wait: bool, out: Output
) -> TuningJob:
    """The tuning job, started; one of that name that asks for the very same is taken as it is, to be waited for."""
    plan = tuner.plan(dict(channels), job_name)
    if wait and job_name is not None and (there := tuner.attached(plan)) is not None:
        out.note(f"The tuning job {there.name} is there with these settings: it is taken as it is.")
        return there
    with out.byte_progress("upload", plan.sample.size) as on_bytes:
        return tuner.submit(plan, on_bytes)
