"""What describes a job on a command line: the options that train, evaluate and plan share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import LEGACY_PRESET, PRESET, Value, decode_value
from batchrl.contract.layout import S3_SCHEME
from batchrl.contract.paths import TRAINING_CHANNEL
from launcher.api.constants import is_aws_type
from launcher.cli.jobs import EVALUATE_SCRIPT, TRAIN_SCRIPT, find_job
from launcher.cli.options import complete_jobs, complete_presets, parse_settings, set_option

if TYPE_CHECKING:
    from launcher.training.estimator import RLEstimator

DEFAULT_PRESETS = {TRAIN_SCRIPT: "cartpole-ddqn-bcq", EVALUATE_SCRIPT: "cartpole-ddqn-bcq-env"}

folder_type = click.Path(path_type=Path)


@dataclass(frozen=True)
class JobOptions:
    """A job as its command line describes it; names and defaults are those of ``RLEstimator``."""

    entry_point: str
    source_dir: Path | None
    dependencies: tuple[Path, ...]
    preset: str | None
    settings: tuple[str, ...]
    instance_type: str
    instance_count: int
    image: str | None
    role: str | None
    output_path: str | None
    environment: tuple[str, ...]
    tags: tuple[str, ...]
    spot: bool
    max_run: int
    max_wait: int | None

    def estimator(self, script: str | None = None, checkpoint_s3_uri: str | None = None) -> RLEstimator:
        """The estimator that these options describe.

        Args:
            script: the entry point, where it is not an option.
            checkpoint_s3_uri: where the job's checkpoints come from and go.

        Raises:
            InputError: an option is wrong.
        """
        from launcher.training.estimator import RLEstimator

        entry_point = script or self.entry_point
        settings = self.hyperparameters()
        named = PRESET in settings or LEGACY_PRESET in settings
        return RLEstimator(
            entry_point,
            source_dir=self.source_dir,
            dependencies=[str(path) for path in self.dependencies],
            preset=self.preset or (None if named else self._default_preset(entry_point)),
            hyperparameters=settings,
            instance_type=self.instance_type,
            instance_count=self.instance_count,
            image_uri=self.image,
            role=self.role,
            output_path=self.output_path,
            checkpoint_s3_uri=checkpoint_s3_uri,
            environment=parse_pairs("--env", self.environment),
            tags=parse_pairs("--tag", self.tags),
            use_spot_instances=self.spot,
            max_run=self.max_run,
            max_wait=self.max_wait,
        )

    def hyperparameters(self) -> dict[str, Value]:
        """Values of ``--set``, typed as a job would read them."""
        return {key: decode_value(text) for key, text in parse_settings(self.settings).items()}

    def _default_preset(self, entry_point: str) -> str | None:
        """The preset of the product's own script; a script of the user's may need none."""
        if self.source_dir is not None and (self.source_dir / entry_point).exists():
            return None
        return None if Path(entry_point).exists() else DEFAULT_PRESETS.get(entry_point)


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


def parse_pairs(option: str, pairs: tuple[str, ...]) -> dict[str, str]:
    """Values of a repeated ``NAME=VALUE`` option.

    Raises:
        InputError: a pair has no ``=`` or no name, or a name stands twice.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise InputError(f"{option} '{pair}': no name and value.", f"Write {option} NAME=VALUE.")
        if name in values:
            raise InputError(f"{option} {name}: given twice.", "Keep one of them.")
        values[name] = value
    return values


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
