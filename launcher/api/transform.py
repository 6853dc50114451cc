"""From the description of a transform job to the CreateTransformJob request: a pure function, and its checks.

The rules between fields (contract 142, 154, 156, 162, 166) are those of ``api.transform_rules``, which the local
cloud keeps as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from batchrl.contract import variables
from launcher.api import servicemodel, transform_rules
from launcher.api.building import refuse
from launcher.api.constants import CSV, JSON, JSON_LINES
from launcher.api.options import in_order, option, place
from launcher.api.servingoptions import TransformOptions
from launcher.api.transformcall import TransformRun

# Content types by the end of a name, as the server of our models takes them.
CONTENT_TYPES = {
    ".jsonl": JSON_LINES,
    ".jsonlines": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON,
    ".csv": CSV,
}


# The parts of a request in the order in which they are sent.
ORDER = (
    *("TransformJobName", "ModelName", "MaxConcurrentTransforms", "ModelClientConfig", "MaxPayloadInMB"),
    *("BatchStrategy", "Environment", "TransformInput", "TransformOutput", "TransformResources", "DataProcessing"),
)


@dataclass(frozen=True, kw_only=True)
class TransformSpec(TransformRun, TransformOptions):
    """A transform job with everything settled: the options of its ``Transformer``, and those of this one run.

    The model is named, and ``output_path`` is where ``<input>.out`` goes, by its path below the input prefix
    (contract 148). What is None has the API's default.
    """

    job_name: str = field(metadata=option("unique per account and region", wire="TransformJobName"))
    data_uri: str = field(
        metadata=option(
            "key prefix, object or manifest of the inputs", wire="TransformInput.DataSource.S3DataSource.S3Uri"
        )
    )


def create_transform_job(spec: TransformSpec) -> dict[str, Any]:
    """The request of a transform job, checked.

    Raises:
        InputError: naming everything that the API would refuse.
    """
    request = _build(spec)
    faults = servicemodel.problems("sagemaker", "CreateTransformJob", request)
    faults += variables.mistakes(spec.env or {})
    refuse(f"the transform job '{spec.job_name}'", [*faults, *transform_rules.problems(request)])
    return request


def content_type_of(name: str) -> str | None:
    """The content type that the end of a file's name or key tells, of a compressed one too; None if it tells none."""
    name = name.lower().removesuffix(".gz")
    return next((kind for end, kind in CONTENT_TYPES.items() if name.endswith(end)), None)


def _build(spec: TransformSpec) -> dict[str, Any]:
    placed = place(spec)
    resources = in_order(placed["TransformResources"], ("InstanceType", "InstanceCount"))
    return in_order(placed | {"TransformResources": resources}, ORDER)
