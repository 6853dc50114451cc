"""What describes a model on a command line: which one, and what serves it."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrl.contract.errors import InputError
from batchrl.contract.inference import refuse_onnx
from batchrl.contract.layout import S3_SCHEME
from launcher.api.instances import is_aws_type
from launcher.base.pairs import parse_pairs
from launcher.cli.finding import find_job, session_for

if TYPE_CHECKING:
    from launcher.serving.model import Model

ARCHIVE_SUFFIX = ".tar.gz"


@dataclass(frozen=True)
class ServingOptions:
    """What serves a model, as a command line describes it."""

    instance_type: str | None
    instance_count: int
    image: str | None
    role: str | None
    environment: tuple[str, ...]
    tags: tuple[str, ...]
    isolated: bool

    @property
    def env(self) -> dict[str, str]:
        """Variables of ``--env``."""
        return parse_pairs("--env", self.environment)

    @property
    def labels(self) -> dict[str, str]:
        """Tags of ``--tag``."""
        return parse_pairs("--tag", self.tags)

    def model(self, given: str | None) -> Model:
        """The model that is meant.

        Args:
            given: a training job, an S3 URL or a file; None for the newest training job.

        Raises:
            InputError: there is no such job, it has left no model, or there is no such file.
            Unreachable: the cloud does not answer.
        """
        from launcher.serving.model import Model

        options: dict[str, Any] = {"image_uri": self.image, "role": self.role, "instance_type": self.instance_type}
        options["enable_network_isolation"] = self.isolated or None
        options = {name: value for name, value in options.items() if value is not None}
        aws = is_aws_type(self.instance_type or "")
        if given is None:
            return Model.of_job(_newest(aws), **options)
        refuse_onnx(given)
        if given.startswith(S3_SCHEME) or given.endswith(ARCHIVE_SUFFIX) or Path(given).is_file():
            return Model(given, **options)
        try:
            return Model.of_job(find_job(given, aws), **options)
        except InputError as error:
            if not Path(given).expanduser().is_dir():
                raise
            raise InputError(
                f"{given} is a folder, and what is served is the archive of a model.",
                f"Pack it: batchrl model export {shlex.quote(given)} model.tar.gz",
            ) from error


def serving_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command receives them as ``serving``, a ``ServingOptions``."""
    options = [
        click.option("--instance-type", help="local, local_process, ml.* ...; by default the job's own."),
        click.option("--instance-count", type=click.IntRange(1), default=1, help="Number of machines."),
        click.option("--image", help="Container image; by default the job's own."),
        click.option("--role", help="Role that the server acts as on AWS; by default the job's own."),
        click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="A variable of the server."),
        click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag."),
        click.option("--isolated", is_flag=True, help="Give the server no network."),
    ]

    @functools.wraps(function)
    def wrapped(*arguments: Any, **values: Any) -> Any:
        own = {name: values.pop(name) for name in ServingOptions.__dataclass_fields__}
        return function(*arguments, serving=ServingOptions(**own), **values)

    decorated: Callable[..., Any] = wrapped
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _newest(aws: bool) -> Any:
    from launcher.reports.evaluations import newest_training

    try:
        return newest_training(session_for(aws))
    except InputError as error:
        raise InputError(
            "there is no training job that has ended with a model.", "Train one first, or name a model: JOB, URL, FILE"
        ) from error
