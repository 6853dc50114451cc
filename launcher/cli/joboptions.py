"""What describes a job on a command line: the options that train, evaluate and plan share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click

from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3_SCHEME
from batchrl.contract.paths import TRAINING_CHANNEL
from launcher.api.instances import is_aws_type
from launcher.api.joboptions import JobOptions
from launcher.base.pairs import parse_pairs
from launcher.base.product import TRAIN_SCRIPT
from launcher.cli.dataoptions import data_options
from launcher.cli.finding import find_job
from launcher.cli.flags import flag_options
from launcher.cli.options import complete_jobs


def job_options(with_script: bool, with_preset: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options; the command receives them as ``job``, a ``JobOptions``.

    Args:
        with_script: whether the command has ``--entry-point``.
        with_preset: whether it has the ``--preset`` of all jobs.
    """
    asked = {"entry_point": with_script, "preset": with_preset}
    return flag_options(JobOptions, "job", tuple(name for name, wanted in asked.items() if not wanted))


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a training job: those of every job, its data, its name and its checkpoints."""
    options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.option("--training", metavar="DATA", help="Logged data: a file, a folder, or an S3 URL."),
        click.option("--input", "inputs", multiple=True, metavar="CHANNEL=DATA", help="A further channel."),
        data_options,
        job_options(with_script=True),
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


def with_description(job: JobOptions, described: Mapping[str, str]) -> JobOptions:
    """The job with what the command line says of its data; ``--set`` goes before."""
    return replace(job, hyperparameters={**described, **(job.hyperparameters or {})}) if described else job


def checkpoint_place(job_or_url: str, instance_type: str) -> str:
    """The prefix of a job's checkpoints, or the S3 URL itself.

    Raises:
        InputError: there is no such job.
    """
    if job_or_url.startswith(S3_SCHEME):
        return job_or_url
    return find_job(job_or_url, aws=is_aws_type(instance_type)).checkpoint_uri
