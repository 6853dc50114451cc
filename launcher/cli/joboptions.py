"""What describes a job on a command line: the options that train, evaluate and plan share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3_SCHEME
from batchrl.contract.paths import TRAINING_CHANNEL
from launcher.api.instances import is_aws_type
from launcher.cli.finding import find_job
from launcher.cli.options import complete_jobs, complete_presets, set_option
from launcher.library.scripts import TRAIN_SCRIPT
from launcher.training.joboptions import JobOptions, parse_pairs

if TYPE_CHECKING:
    pass


folder_type = click.Path(path_type=Path)


def job_options(default_script: str | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options; the command receives them as ``job``, a ``JobOptions``.

    Args:
        default_script: default of ``--entry-point``; None where the command has no such option.
    """
    options = [
        click.option("--preset", shell_complete=complete_presets, help="Name of a preset, or a YAML file of your own."),
        set_option,
        click.option("--instance-type", default="local", show_default=True, help="local, local_process, ml.* ..."),
        click.option("--instance-count", type=click.IntRange(1), default=1, help="Number of machines."),
        click.option("--source-dir", type=folder_type, help="Folder of your code that travels whole."),
        click.option("--dependency", "dependencies", multiple=True, type=folder_type, help="A further file or folder."),
        click.option("--image", help="Container image; by default batchrl's own."),
        click.option("--role", help="Role that a job on AWS acts as."),
        click.option("--output-path", metavar="S3URL", help="Where results go; by default the default bucket."),
        click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="An environment variable."),
        click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag."),
        click.option("--spot", is_flag=True, help="Use spot capacity; needs --max-wait."),
        click.option(
            "--max-run", type=click.IntRange(1), default=86400, show_default=True, help="Time limit, seconds."
        ),
        click.option("--max-wait", type=click.IntRange(1), help="Limit with waiting for spot capacity, seconds."),
    ]
    if default_script is not None:
        options.insert(
            0, click.option("--entry-point", default=default_script, show_default=True, help="The script to run.")
        )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*arguments: Any, entry_point: str = "", **values: Any) -> Any:
            own = {name: values.pop(name) for name in JobOptions.__dataclass_fields__ if name in values}
            return function(*arguments, job=JobOptions(entry_point=entry_point, **own), **values)

        decorated: Callable[..., Any] = wrapped
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a training job: those of every job, its data, its name and its checkpoints."""
    options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.option("--training", metavar="DATA", help="Logged data: a file, a folder, or an S3 URL."),
        click.option("--input", "inputs", multiple=True, metavar="CHANNEL=DATA", help="A further channel."),
        job_options(default_script=TRAIN_SCRIPT),
        click.option("--job-name", help="Name of the job; by default one is made."),
        click.option(
            "--checkpoint-from",
            metavar="JOB|S3URL",
            shell_complete=complete_jobs,
            help="Go on from these checkpoints, and write there.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def training_channels(job: JobOptions, training: str | None, inputs: tuple[str, ...]) -> Mapping[str, str]:
    """Channels of a job by name, from ``--training`` and ``--input``.

    Raises:
        InputError: see ``parse_pairs``; or the channel ``training`` is given in both ways, or the product's own script
            is to train from nothing.
    """
    channels = parse_pairs("--input", inputs)
    if training is not None:
        if TRAINING_CHANNEL in channels:
            raise InputError("--training and --input training=... mean the same channel.", "Keep one of them.")
        channels[TRAINING_CHANNEL] = training
    if not channels and job.entry_point == TRAIN_SCRIPT and job.source_dir is None:
        raise InputError(
            "no data to train on.", "Give --training FILE; `batchrl collect` makes some, `batchrl demo` shows all."
        )
    return channels


def checkpoint_place(job_or_url: str, instance_type: str) -> str:
    """The prefix of a job's checkpoints, or the S3 URL itself.

    Raises:
        InputError: there is no such job.
    """
    if job_or_url.startswith(S3_SCHEME):
        return job_or_url
    return find_job(job_or_url, aws=is_aws_type(instance_type)).checkpoint_uri
