"""What CreateProcessingJob demands beyond its model: functions of the request alone.

Some rules are AWS's, some say what this local cloud does not run; the message tells which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from launcher.api.errors import validation
from launcher.api.instances import LOCAL_SERVING_TYPES, is_aws_type
from launcher.api.training_rules import check_s3_url, check_tags, check_unique, not_here

Wire = Mapping[str, Any]

# All inputs and outputs of a processing job lie below it.
PROCESSING_ROOT = "/opt/ml/processing"
# One argument or word of the entry point.
MAX_WORD_CHARACTERS = 256


def check_processing_job(request: Wire) -> None:
    """Check a request that already agrees with the model.

    Raises:
        ApiError: the first rule that it breaks.
    """
    if not request["AppSpecification"].get("ImageUri"):
        raise validation("AppSpecification.ImageUri is required.")
    _resources(request["ProcessingResources"].get("ClusterConfig"))
    inputs, outputs = list(inputs_of(request)), list(outputs_of(request))
    check_unique("ProcessingInputs", "input name", [one["InputName"] for one in inputs])
    check_unique("ProcessingOutputConfig.Outputs", "output name", [one["OutputName"] for one in outputs])
    for one in inputs:
        _input(one)
    for one in outputs:
        _output(one)
    paths = [one["S3Input"]["LocalPath"] for one in inputs if brought(one)] + [
        one["S3Output"]["LocalPath"] for one in outputs if sent(one)
    ]
    check_unique(
        "ProcessingInputs and ProcessingOutputConfig", "LocalPath", [str(PurePosixPath(path)) for path in paths]
    )
    check_tags(request.get("Tags") or ())


def inputs_of(request: Wire) -> Iterator[Wire]:
    """The inputs of a request."""
    yield from request.get("ProcessingInputs") or ()


def outputs_of(request: Wire) -> Iterator[Wire]:
    """The outputs of a request."""
    yield from (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ()


def brought(one: Wire) -> bool:
    """Whether an input is brought by the platform; the program fetches the others itself."""
    return not one.get("AppManaged")


def sent(one: Wire) -> bool:
    """Whether an output is sent by the platform; the program stores the others itself."""
    return not one.get("AppManaged")


def _resources(cluster: Wire | None) -> None:
    if not cluster:
        raise validation("ProcessingResources.ClusterConfig is required: it names InstanceType and InstanceCount.")
    kind, count = cluster.get("InstanceType"), cluster.get("InstanceCount")
    if not kind or not count:
        raise validation("ProcessingResources.ClusterConfig must hold InstanceType and InstanceCount.")
    if kind not in LOCAL_SERVING_TYPES and not is_aws_type(kind):
        raise validation(f"InstanceType '{kind}': choose {', '.join(LOCAL_SERVING_TYPES)} or an ml.* type.")
    if count != 1:
        raise not_here(f"InstanceCount {count}", "it runs jobs on one instance; set InstanceCount to 1")


def _input(one: Wire) -> None:
    where = f"input '{one['InputName']}'"
    source = one.get("S3Input")
    if source is None:
        raise validation(f"{where}: S3Input is required.")
    check_s3_url(f"{where}: S3Uri", source["S3Uri"])
    if not brought(one):
        return
    _path(where, source.get("LocalPath"))
    if source["S3DataType"] != "S3Prefix":
        raise not_here(f"{where}: S3DataType {source['S3DataType']}", "use S3Prefix")
    if (mode := source.get("S3InputMode", "File")) != "File":
        raise not_here(f"{where}: S3InputMode {mode}", "use File")
    if source.get("S3CompressionType", "None") != "None":
        raise validation(f"{where}: S3CompressionType is for Pipe mode; in File mode leave it out.")


def _output(one: Wire) -> None:
    where = f"output '{one['OutputName']}'"
    target = one.get("S3Output")
    if target is None:
        raise validation(f"{where}: S3Output is required.")
    check_s3_url(f"{where}: S3Uri", target["S3Uri"])
    if sent(one):
        _path(where, target.get("LocalPath"))


def _path(where: str, path: str | None) -> None:
    if not path:
        raise validation(f"{where}: LocalPath is required.")
    place = PurePosixPath(path)
    if ".." in place.parts or not place.is_relative_to(PROCESSING_ROOT) or place == PurePosixPath(PROCESSING_ROOT):
        raise validation(f"{where}: LocalPath '{path}' must be a folder below {PROCESSING_ROOT}/.")
