"""What describes a model on a command line: which one, and what serves it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract.errors import InputError
from batchrl.contract.inference import refuse_onnx
from batchrl.contract.layout import S3_SCHEME
from launcher.api.instances import is_aws_type
from launcher.api.options import Flag, option
from launcher.base.pairs import parse_pairs
from launcher.cli.finding import find_job, session_for
from launcher.cli.flags import flag_options

if TYPE_CHECKING:
    from launcher.serving.model import Model

ARCHIVE_SUFFIX = ".tar.gz"


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """What serves a model, as a command line describes it: options of the model, and of what it runs in."""

    instance_type: str | None = field(
        default=None,
        metadata=option(
            "what serves the model; None for what trained it",
            Flag("--instance-type", "local, local_process, ml.* ...; by default the job's own."),
        ),
    )
    instance_count: int = field(
        default=1,
        metadata=option("number of machines", Flag("--instance-count", "Number of machines.", kind=int, minimum=1)),
    )
    image_uri: str | None = field(
        default=None,
        metadata=option(
            "the container image; None for the job's own",
            Flag("--image", "Container image; by default the job's own."),
        ),
    )
    role: str | None = field(
        default=None,
        metadata=option(
            "the role on AWS; None for the job's own",
            Flag("--role", "Role that the server acts as on AWS; by default the job's own."),
        ),
    )
    env: Mapping[str, str] = field(
        default_factory=dict,
        metadata=option(
            "environment variables of the server",
            Flag(
                "--env",
                "A variable of the server.",
                metavar="NAME=VALUE",
                many=True,
                read=partial(parse_pairs, "--env"),
            ),
        ),
    )
    tags: Mapping[str, str] = field(
        default_factory=dict,
        metadata=option(
            "tags of the job or the endpoint",
            Flag("--tag", "A tag.", metavar="KEY=VALUE", many=True, read=partial(parse_pairs, "--tag")),
        ),
    )
    enable_network_isolation: bool = field(
        default=False,
        metadata=option(
            "whether the server has no network", Flag("--isolated", "Give the server no network.", kind=bool)
        ),
    )

    def model(self, given: str | None) -> Model:
        """The model that is meant.

        Args:
            given: a training job, an S3 URL or a file; None for the newest training job.

        Raises:
            InputError: there is no such job, it has left no model, or there is no such file.
            Unreachable: the cloud does not answer.
        """
        from launcher.serving.model import Model

        options: dict[str, Any] = {"image_uri": self.image_uri, "role": self.role, "instance_type": self.instance_type}
        options["enable_network_isolation"] = self.enable_network_isolation or None
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
    return flag_options(ServingOptions, "serving")(function)


def _newest(aws: bool) -> Any:
    from launcher.reports.evaluations import newest_training

    try:
        return newest_training(session_for(aws))
    except InputError as error:
        raise InputError(
            "there is no training job that has ended with a model.", "Train one first, or name a model: JOB, URL, FILE"
        ) from error
