"""What one run of a transform is asked for: the arguments of ``Transformer.transform`` and ``plan``, as options.

See ``launcher.api.options``; what holds for all runs is in ``launcher.api.servingoptions``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchrl.contract.layout import S3Url
from launcher.api.building import mapped
from launcher.api.options import option


@dataclass(frozen=True)
class TransformData:
    """What is transformed."""

    data: str | Path | S3Url = field(
        metadata=option("a file or folder of this computer, which is uploaded by its content, or an S3 URL")
    )


@dataclass(frozen=True)
class TransformRun:
    """How it is read and what becomes of it (contract 135, 137 to 141, 144, 157, 159 to 161, 171).

    What is left out is chosen so that it fits: the content type by the names of the files, and for a join the output's
    type and assembly as the input's type and split (contract 166).
    """

    data_type: str = field(
        default="S3Prefix",
        metadata=option(
            "`S3Prefix`, or `ManifestFile` for a list of objects",
            wire="TransformInput.DataSource.S3DataSource.S3DataType",
        ),
    )
    content_type: str | None = field(
        default=None,
        metadata=option("MIME type of the records; None for what the names tell", wire="TransformInput.ContentType"),
    )
    compression_type: str | None = field(
        default=None,
        metadata=option("`Gzip` for compressed objects, or `None`", wire="TransformInput.CompressionType"),
    )
    split_type: str | None = field(
        default=None,
        metadata=option(
            "`Line` for a record a line, `RecordIO` or `TFRecord`; None to send each object whole",
            wire="TransformInput.SplitType",
        ),
    )
    job_name: str | None = field(
        default=None,
        metadata=option("None for one that is made from the model's job and the time", wire="TransformJobName"),
    )
    input_filter: str | None = field(
        default=None, metadata=option("JSONPath of what the model sees of a record", wire="DataProcessing.InputFilter")
    )
    output_filter: str | None = field(
        default=None, metadata=option("JSONPath of what is kept of an output", wire="DataProcessing.OutputFilter")
    )
    join_source: str | None = field(
        default=None,
        metadata=option(
            "`Input` to put each record beside its prediction; a line that is no JSON (NaN) or CSV fails its object",
            wire="DataProcessing.JoinSource",
        ),
    )
    model_client_config: Mapping[str, int] | None = field(
        default=None,
        metadata=option(
            "`InvocationsTimeoutInSeconds` and `InvocationsMaxRetries`", wire="ModelClientConfig", encode=mapped
        ),
    )


@dataclass(frozen=True)
class PlanCall(TransformRun, TransformData):
    """The arguments of ``Transformer.plan``: the data, and how it is read."""


@dataclass(frozen=True)
class TransformCall(PlanCall):
    """The arguments of ``Transformer.transform``: those of ``plan``, and how it is followed."""

    wait: bool = field(
        default=True,
        metadata=option("whether to wait for its end; otherwise it is followed with the job that is returned"),
    )
    logs: bool | Callable[[str], object] = field(
        default=True, metadata=option("whether to print its log while waiting, or what to do with each line")
    )
    on_bytes: Callable[[int], None] | None = field(
        default=None, metadata=option("told the bytes of every part that is sent")
    )
