"""What CreateTrainingJob demands beyond its model (contract D): functions of the request alone.

Some rules are AWS's, some say what this local cloud does not run yet; the message tells which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.api.errors import ApiError, validation
from launcher.api.instances import LOCAL_INSTANCE_TYPES, is_aws_type
from launcher.api.training import FOLDER_NAMES, MAX_RUN_SECONDS, checkpoint_path_fault

Wire = Mapping[str, Any]


def check_training_job(request: Wire) -> None:
    """Check a request that already agrees with the model.

    Raises:
        ApiError: the first rule that it breaks.
    """
    _algorithm(request.get("AlgorithmSpecification"))
    _resources(request.get("ResourceConfig"))
    _time_limits(request.get("StoppingCondition"), bool(request.get("EnableManagedSpotTraining")))
    _channels(
        request.get("InputDataConfig", ()), _of(request, "AlgorithmSpecification").get("TrainingInputMode", "File")
    )
    check_s3_url("OutputDataConfig.S3OutputPath", request["OutputDataConfig"]["S3OutputPath"])
    if checkpoints := request.get("CheckpointConfig"):
        check_s3_url("CheckpointConfig.S3Uri", checkpoints["S3Uri"])
        if (path := checkpoints.get("LocalPath")) and (fault := checkpoint_path_fault(path)):
            raise validation(f"CheckpointConfig.LocalPath '{path}' {fault}")
    check_tags(request.get("Tags", ()))


def check_tags(tags: Sequence[Wire]) -> None:
    """Check that no key is given twice.

    Raises:
        ApiError: one is.
    """
    check_unique("Tags", "key", [tag["Key"] for tag in tags])


def _of(request: Wire, name: str) -> Wire:
    value: Wire = request.get(name) or {}
    return value


def _algorithm(algorithm: Wire | None) -> None:
    if not algorithm:
        raise validation("AlgorithmSpecification is required: it names the TrainingImage.")
    if not algorithm.get("TrainingImage"):
        raise validation(
            "You must specify exactly one of TrainingImage and AlgorithmName in AlgorithmSpecification; neither given."
        )
    metrics = [definition["Name"] for definition in algorithm.get("MetricDefinitions", ())]
    check_unique("MetricDefinitions", "name", metrics)


def _resources(resources: Wire | None) -> None:
    if not resources:
        raise validation("ResourceConfig is required: it names InstanceType and InstanceCount.")
    kind, count = resources.get("InstanceType"), resources.get("InstanceCount")
    if not kind or not count:
        raise validation("ResourceConfig must hold InstanceType and InstanceCount.")
    if kind not in LOCAL_INSTANCE_TYPES and not is_aws_type(kind):
        raise validation(f"InstanceType '{kind}': choose {', '.join(LOCAL_INSTANCE_TYPES)} or an ml.* type.")
    if count != 1:
        raise not_here(f"InstanceCount {count}", "it runs jobs on one instance; set InstanceCount to 1")


def _time_limits(limits: Wire | None, spot: bool) -> None:
    if not limits or limits.get("MaxRuntimeInSeconds") is None:
        raise validation("StoppingCondition is required: it holds MaxRuntimeInSeconds.")
    runtime, wait = limits["MaxRuntimeInSeconds"], limits.get("MaxWaitTimeInSeconds")
    if runtime > MAX_RUN_SECONDS:
        raise validation(f"MaxRuntimeInSeconds {runtime} is above 28 days ({MAX_RUN_SECONDS} s).")
    if spot and wait is None:
        raise validation("MaxWaitTimeInSeconds is required when EnableManagedSpotTraining is true.")
    if not spot and wait is not None:
        raise validation("MaxWaitTimeInSeconds is only allowed when EnableManagedSpotTraining is true.")
    if wait is not None and wait < runtime:
        raise validation(
            f"Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
            f"MaxRuntimeInSeconds ({wait} < {runtime})."
        )


def _channels(channels: Sequence[Wire], job_mode: str) -> None:
    check_unique("InputDataConfig", "channel name", [channel["ChannelName"] for channel in channels])
    for channel in channels:
        name = f"channel '{channel['ChannelName']}'"
        if channel["ChannelName"] in FOLDER_NAMES:
            raise validation(f"{name}: a channel's name becomes a folder, choose another.")
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise not_here(f"{name}: a data source other than S3DataSource", "put its data into the object store")
        mode = channel.get("InputMode", job_mode)
        if mode != "File":
            raise not_here(f"{name}: input mode {mode}", "use File")
        if source["S3DataType"] != "S3Prefix":
            raise not_here(f"{name}: S3DataType {source['S3DataType']}", "use S3Prefix")
        for field in ("CompressionType", "RecordWrapperType"):
            if channel.get(field, "None") != "None":
                raise validation(f"{name}: {field} is for Pipe mode; in File mode leave it out.")
        check_s3_url(f"{name}: S3Uri", source["S3Uri"])


def check_s3_url(where: str, url: str) -> None:
    """Check that a text is an S3 URL.

    Raises:
        ApiError: it is none.
    """
    scheme, _, rest = url.partition("://")
    if scheme != "s3" or not rest.partition("/")[0]:
        raise validation(f"{where} '{url}' is not an S3 URL; write s3://bucket/prefix.")


def check_unique(where: str, what: str, names: Sequence[str]) -> None:
    """Check that no name stands twice.

    Raises:
        ApiError: one does.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise validation(f"{where}: the {what} '{twice[0]}' is given more than once.")


def not_here(what: str, instead: str) -> ApiError:
    """What AWS has and this cloud has not."""
    return validation(f"{what} is not supported by the local cloud: {instead}.")
