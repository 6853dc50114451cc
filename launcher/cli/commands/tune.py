"""``batchrl tune``: a tuning job, which trains with many settings and tells which did best."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import InputError
from launcher.api.constants import SCORE
from launcher.api.joboptions import JobOptions
from launcher.cli.dataoptions import data_options
from launcher.cli.groups import make_command
from launcher.cli.joboptions import job_options, training_channels, with_description
from launcher.cli.options import output_options
from launcher.cli.output import Output, shown
from launcher.training.joboptions import DEFAULT_PRESETS, estimator_of

if TYPE_CHECKING:
    from launcher.jobs.tuning import TunedJob, TuningJob
    from launcher.training.ranges import Parameter
    from launcher.training.tuner import HyperparameterTuner

STRATEGIES = ("Bayesian", "Random", "Grid")
# Seconds between two looks at a tuning job.
LOCAL_LOOK, AWS_LOOK = 0.5, 15.0
LUCK = (
    "The best of many scores is the luckiest, too: it is too high by chance, the more so the more there were. "
    "batchrl compare and ope tell how sure a difference is."
)


@make_command(
    "tune",
    examples=(
        "batchrl tune cartpole.csv --set agent.discount=0.9,0.99",
        "batchrl tune cartpole.csv --jobs 20 --parallel 2 \\",
        "    --set agent.learning_rate=1e-4..1e-2:log",
        "batchrl tune s3://bucket/data/ --jobs 50 --parallel 5 \\",
        "    --set agent.discount=0.9..0.999 \\",
        "    --instance-type ml.m5.xlarge",
    ),
)
@click.argument("data", metavar="DATA")
@click.option("--input", "inputs", multiple=True, metavar="CHANNEL=DATA", help="A further channel.")
@data_options
@job_options(with_script=True)
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
@click.option("--wait/--no-wait", default=True, help="Follow it until it ends, or start it and come back.")
@output_options
def command(
    data: str,
    inputs: tuple[str, ...],
    described: Mapping[str, str],
    job: JobOptions,
    jobs: int | None,
    parallel: int,
    strategy: str | None,
    metric: str,
    minimize: bool,
    target: float | None,
    max_time: int | None,
    random_seed: int | None,
    job_name: str | None,
    wait: bool,
    out: Output,
) -> None:
    """Train with many settings, and tell which did best.

    --set KEY=A,B,C tries values, --set KEY=LOW..HIGH numbers between two (LOW..HIGH:log on a logarithmic scale); other
    values of --set are the same in all trainings. `score`, which decides unless --metric names another metric, is the
    score by which a training chose its epoch: the estimated gain over the logging policy where the log allows one.
    """
    from launcher.training.tuner import HyperparameterTuner

    tuned, fixed = _parted(job.hyperparameters or {})
    job = with_description(replace(job, hyperparameters=fixed), described)
    tuner = HyperparameterTuner(
        estimator_of(job),
        tuned,
        metric,
        "Minimize" if minimize else "Maximize",
        max_jobs=jobs,
        max_parallel_jobs=parallel,
        strategy=strategy,
        max_runtime=max_time,
        target=target,
        random_seed=random_seed,
        base_tuning_job_name=None if job.base_job_name else "tune",
    )
    started = _submitted(tuner, training_channels(job, data, inputs), job_name, out)
    if not wait:
        out.record({"name": started.name}, "name", {"tuning job": started.name})
        out.text(f"Next:\n  batchrl show {started.name}\n  batchrl wait {started.name}\n  batchrl stop {started.name}")
        return
    _follow(started, out)
    _tell(started, out, data, str(job.preset or DEFAULT_PRESETS.get(job.entry_point, "")), fixed)


def _parted(settings: Mapping[str, str]) -> tuple[dict[str, Parameter], dict[str, str]]:
    """What of ``--set`` is to be tuned, and what is fixed."""
    from launcher.training.ranges import parameter_of

    found = {key: parameter_of(key, text) for key, text in settings.items()}
    tuned = {key: one for key, one in found.items() if one is not None}
    if not tuned:
        raise InputError(
            "there is nothing to tune.",
            "Give several values (--set agent.discount=0.9,0.97) or a range (--set agent.discount=0.9..0.99).",
        )
    return tuned, {key: text for key, text in settings.items() if key not in tuned}


def _submitted(tuner: HyperparameterTuner, channels: Mapping[str, str], job_name: str | None, out: Output) -> TuningJob:
    plan = tuner.plan(dict(channels), job_name)
    with out.byte_progress("upload", plan.sample.size) as on_bytes:
        return tuner.submit(plan, on_bytes)


def _follow(job: TuningJob, out: Output) -> None:
    """Print a line for each training job that ends, until the tuning job ends; Ctrl-C asks whether to stop it."""
    from launcher.jobs import interrupt

    out.note(f"Tuning job {job.name}")
    seen: set[str] = set()
    out.text(f"{'JOB':<3}  {'STATUS':<9}  {'VALUE':>10}  SETTINGS")
    with interrupt.handled(job.name, job.stop, lambda: job.wait(check=False)):
        while True:
            ended = job.status().ended
            for one in job.training_jobs():
                if one.ended_at is not None and one.name not in seen:
                    seen.add(one.name)
                    out.text(_line(job, one))
            if ended:
                break
            time.sleep(LOCAL_LOOK if job.session.is_local else AWS_LOOK)


def _line(job: TuningJob, one: TunedJob) -> str:
    number = one.name.removeprefix(f"{job.name}-").partition("-")[0]
    why = f"  ({one.failure_reason.splitlines()[0]})" if one.failure_reason else ""
    return f"{number:<3}  {one.status:<9}  {shown(one.value):>10}  {_settings(one)}{why}"


def _settings(one: TunedJob) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(one.parameters.items()))


def _tell(job: TuningJob, out: Output, data: str, preset: str, fixed: Mapping[str, str]) -> None:
    """Say which training job did best, and what comes next.

    Raises:
        JobFailed, JobStopped: the tuning job has not ended well.
    """
    job.wait()
    best, found = job.best(), job.training_jobs()
    if not out.for_people:
        out.record(
            {"name": job.name, "status": job.status().status, "best": _facts(best), "jobs": [*map(_facts, found)]},
            "name",
        )
        return
    if best is None:
        out.text("\nNo training has a value.")
        return
    out.text(f"\nBest of {len(found)}: {best.name}, {shown(best.value)}")
    for line in (*_doubts(job, found), LUCK, "Next:"):
        out.text(line)
    overrides = {**fixed, **best.parameters}
    settings = "".join(f" --set {shlex.quote(f'{key}={value}')}" for key, value in sorted(overrides.items()))
    named = f" --preset {shlex.quote(preset)}" if preset else ""
    out.text(f"  batchrl train --training {shlex.quote(data)}{named}{settings}")
    out.text(f"  batchrl show {best.name}")
    if len(found) > 1:
        out.text(f"  batchrl compare {' '.join(one.name for one in _ordered(found, best)[:3])}")


def _doubts(job: TuningJob, found: list[TunedJob]) -> list[str]:
    """Why the values cannot be held against each other, where the trainings' own scores are of several kinds."""
    from launcher.cli.chosen import chosen_of
    from launcher.jobs.training import Job

    objective = job.describe()["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    if objective["MetricName"] != SCORE or not job.session.is_local:
        return []
    chosen = [chosen_of(Job(one.name, job.session)) for one in found if one.value is not None]
    kinds = sorted({one["metric"] for one in chosen if one is not None})
    if len(kinds) < 2:
        return []
    return [f"These scores are of several kinds, which cannot be compared: {', '.join(kinds)}. Use --metric."]


def _ordered(found: list[TunedJob], best: TunedJob) -> list[TunedJob]:
    """The best, then those that have a value, in the order of their creation."""
    return [best, *(one for one in found if one.value is not None and one.name != best.name)]


def _facts(one: TunedJob | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {"name": one.name, "status": one.status, "value": one.value, "settings": dict(one.parameters)}
