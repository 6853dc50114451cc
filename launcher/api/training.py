"""From the description of a job to the CreateTrainingJob request: a pure function, and its checks (contract D)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from batchrl.contract import hyperparameters as wire
from batchrl.contract.errors import InputError, shortened
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.paths import CODE_ARCHIVE_NAME, CODE_CHANNEL, PLATFORM_ROOT, JobPaths
from launcher.api import servicemodel
from launcher.api.building import as_metrics, both_or_none, given, refuse
from launcher.api.constants import SCORE
from launcher.api.joboptions import JobOptions
from launcher.api.options import in_order, option, place

MAX_CHANNELS = 19  # of 20; the code is one
MAX_ENVIRONMENT_VALUE = 512
MAX_RUN_SECONDS = 28 * 24 * 3600  # contract 91
RESERVED_VARIABLES = ("TRAINING_JOB_NAME", "TRAINING_JOB_ARN")
FOLDER_NAMES = (".", "..")  # the API's pattern takes them for channels, whose names become folders
# The parts of a request in the order in which they are sent; others follow.
ORDER = (
    *("TrainingJobName", "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig"),
    *("OutputDataConfig", "ResourceConfig", "StoppingCondition", "CheckpointConfig", "EnableNetworkIsolation"),
    *("EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining", "Environment", "Tags", "VpcConfig"),
)
SUBMIT_DIRECTORY = str(JobPaths().channel(CODE_CHANNEL) / CODE_ARCHIVE_NAME)

# The lines that train.py and evaluate.py print: name=value, separated by blanks.
_VALUE = r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
DEFAULT_METRICS: Mapping[str, str] = {
    name: rf"(?:^|\s){name}={_VALUE}" for name in ("wis", "sdr", "loss", "mean_return", SCORE)
}


@dataclass(frozen=True)
class Channel:
    """One input channel of a job (contract A7).

    Args:
        name: its name; the job finds it at ``/opt/ml/input/data/<name>``.
        s3_uri: raw key prefix, one object, or a manifest.
        content_type: MIME type shown to the job.
        input_mode: ``File``, ``FastFile`` or ``Pipe``; None for the job's own.
        distribution: ``FullyReplicated`` or ``ShardedByS3Key``.
        data_type: ``S3Prefix``, ``ManifestFile`` or ``AugmentedManifestFile``.
        compression: ``None`` or ``Gzip`` (Pipe only).
        record_wrapping: ``None`` or ``RecordIO`` (Pipe only).
        attribute_names: of an augmented manifest.
        shuffle_seed: seed of the shuffling, if it is wanted.
    """

    name: str
    s3_uri: str
    content_type: str | None = None
    input_mode: str | None = None
    distribution: str = "FullyReplicated"
    data_type: str = "S3Prefix"
    compression: str | None = None
    record_wrapping: str | None = None
    attribute_names: tuple[str, ...] = ()
    shuffle_seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class JobSpec(JobOptions):
    """A training job with everything settled: its options, and what a plan computes from them.

    Role and image are those that the request names, and ``output_path`` is an S3 URL.
    """

    job_name: str = field(metadata=option("unique per account and region", wire="TrainingJobName"))
    program: str = field(metadata=option("the script, as a path in the code archive"))
    code_uri: S3Url = field(metadata=option("the code archive"))
    region: str = field(metadata=option("told to the job"))
    submit_directory: str = field(
        default=SUBMIT_DIRECTORY,
        metadata=option("where the job finds its code: the archive, or a folder for a job that runs in place"),
    )
    channels: tuple[Channel, ...] = field(default=(), metadata=option("inputs beside the code"))


def checkpoint_path_fault(local_path: str) -> str | None:
    """What is wrong with a LocalPath of checkpoints, which must hold nothing else of the job; None if nothing is."""
    path = PurePosixPath("/", local_path.lstrip("/"))
    if not local_path.startswith("/"):
        return "is not an absolute path."
    if ".." in path.parts:
        return "leads upwards: write it without '..'."
    root, default = PurePosixPath(PLATFORM_ROOT), JobPaths().checkpoints
    if root.is_relative_to(path):
        return f"holds the whole tree of the job: give a folder of its own, as {default}."
    of_the_platform = any(path.is_relative_to(root / name) for name in ("input", "output"))
    if of_the_platform or path in (root / "model", root / "code"):
        return f"is one of the job's own folders: give another, as {default}."
    return None


def create_training_job(spec: JobSpec) -> dict[str, Any]:
    """The request of a job, checked.

    Raises:
        InputError: naming everything that the API would refuse.
    """
    request = _build(spec)
    faults = [*_hyperparameter_faults(spec), *_rule_faults(spec)]
    faults += servicemodel.problems("sagemaker", "CreateTrainingJob", request)
    refuse(f"the job '{spec.job_name}'", faults)
    return request


def _build(spec: JobSpec) -> dict[str, Any]:
    """The request: what is computed is settled first, then every field goes to its place."""
    subnets, groups = both_or_none(spec.subnets, spec.security_group_ids)
    placed = place(
        replace(
            spec,
            metric_definitions=_metrics(spec),
            checkpoint_s3_uri=checkpoint_uri(spec),
            checkpoint_local_path=spec.checkpoint_local_path or str(JobPaths().checkpoints),
            environment=spec.environment or {},
            subnets=subnets,
            security_group_ids=groups,
        )
    )
    placed["HyperParameters"] = _hyperparameters(spec)
    placed["InputDataConfig"] = [_channel(channel) for channel in spec.channels] + [_code_channel(spec)]
    return in_order(placed, ORDER)


def request_members() -> frozenset[str]:
    """The names of everything that a CreateTrainingJob request may hold."""
    shape = servicemodel.service_model("sagemaker").operation_model("CreateTrainingJob").input_shape
    return frozenset(shape.members)


def checkpoint_uri(spec: JobSpec) -> str:
    """Where the job's checkpoints go and come from."""
    return spec.checkpoint_s3_uri or str(JobLayout(S3Url.parse_place(str(spec.output_path)), spec.job_name).checkpoints)


def _metrics(spec: JobSpec) -> dict[str, str]:
    return {**DEFAULT_METRICS, **as_metrics(spec.metric_definitions)}


def _hyperparameters(spec: JobSpec) -> dict[str, str]:
    reserved: dict[str, wire.Value] = {
        wire.PROGRAM: spec.program,
        wire.SUBMIT_DIRECTORY: spec.submit_directory,
        wire.S3_OUTPUT: str(spec.output_path),
        wire.JOB_NAME: spec.job_name,
        wire.REGION: spec.region,
    }
    if not isinstance(spec.hyperparameters or {}, Mapping):
        raise InputError(f"hyperparameters: give a mapping; this is {shortened(repr(spec.hyperparameters))}.")
    encoded = {}
    for key, value in {**(spec.hyperparameters or {}), **reserved}.items():
        # Reported by _hyperparameter_faults.
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            encoded[key] = wire.encode_value(value)
    return encoded


def _channel(channel: Channel) -> dict[str, Any]:
    source = {
        "S3DataType": channel.data_type,
        "S3Uri": channel.s3_uri,
        "S3DataDistributionType": channel.distribution,
        "AttributeNames": list(channel.attribute_names) or None,
    }
    return given(
        {
            "ChannelName": channel.name,
            "DataSource": {"S3DataSource": given(source)},
            "ContentType": channel.content_type,
            "CompressionType": channel.compression,
            "RecordWrapperType": channel.record_wrapping,
            "InputMode": channel.input_mode,
            "ShuffleConfig": None if channel.shuffle_seed is None else {"Seed": channel.shuffle_seed},
        }
    )


def _code_channel(spec: JobSpec) -> dict[str, Any]:
    """Code comes as a channel of its own, so that it arrives under network isolation too (contract 123)."""
    return _channel(Channel(CODE_CHANNEL, str(spec.code_uri), input_mode="File"))


def _hyperparameter_faults(spec: JobSpec) -> list[str]:
    faults = []
    for key, value in (spec.hyperparameters or {}).items():
        if not isinstance(key, str):
            faults.append(f"hyperparameter {shortened(repr(key))}: its name is no text.")
            continue
        if key.startswith(wire.RESERVED_PREFIX):
            faults.append(
                f"hyperparameter '{shortened(key)}': names that begin with {wire.RESERVED_PREFIX} are reserved."
            )
        try:
            wire.encode({key: value})
        except InputError as error:
            faults.append(error.message)
        except TypeError:
            faults.append(f"hyperparameter '{shortened(key)}': a {type(value).__name__} cannot be sent as JSON.")
    return faults


def _rule_faults(spec: JobSpec) -> list[str]:
    """Rules between fields, and those that stand only in the API's prose."""
    faults = [*_channel_faults(spec), *_spot_faults(spec), *_metric_faults(spec)]
    if isinstance(spec.max_run, int) and spec.max_run > MAX_RUN_SECONDS:
        faults.append(f"max_run ({spec.max_run} s) is above 28 days ({MAX_RUN_SECONDS} s).")
    if spec.checkpoint_local_path and (fault := checkpoint_path_fault(str(spec.checkpoint_local_path))):
        faults.append(f"checkpoint_local_path '{shortened(spec.checkpoint_local_path)}' {fault}")
    if bool(spec.subnets) != bool(spec.security_group_ids):
        faults.append("subnets and security_group_ids are given together or not at all.")
    for name, value in (spec.environment or {}).items():
        if name in RESERVED_VARIABLES:
            faults.append(f"environment variable {name} is set by the platform.")
        if isinstance(value, str) and len(value) > MAX_ENVIRONMENT_VALUE:
            faults.append(
                f"environment variable {shortened(name)}: {len(value)} characters, at most {MAX_ENVIRONMENT_VALUE}."
            )
    return faults


def _channel_faults(spec: JobSpec) -> list[str]:
    faults = []
    names = [channel.name for channel in spec.channels]
    if CODE_CHANNEL in names:
        faults.append(f"the channel name '{CODE_CHANNEL}' is taken by the job's code.")
    faults += [f"channel '{name}': the job would find it in another folder." for name in FOLDER_NAMES if name in names]
    faults += [f"channel '{name}' is given twice." for name in sorted({n for n in names if names.count(n) > 1})]
    if len(names) > MAX_CHANNELS:
        faults.append(f"{len(names)} channels are given; {MAX_CHANNELS} are possible beside the job's code.")
    return faults


def _spot_faults(spec: JobSpec) -> list[str]:
    if spec.use_spot_instances and spec.max_wait is None:
        return ["a spot job needs max_wait, in seconds, at least max_run."]
    if spec.max_wait is None:
        return []
    if not spec.use_spot_instances:
        return ["max_wait is for spot jobs only: set use_spot_instances=True."]
    if spec.max_wait < spec.max_run:
        return [f"max_wait ({spec.max_wait} s) is below max_run ({spec.max_run} s)."]
    return []


def _metric_faults(spec: JobSpec) -> list[str]:
    faults = []
    for name, text in _metrics(spec).items():
        try:
            groups = re.compile(text).groups
        except (re.error, OverflowError, RecursionError, TypeError) as error:
            faults.append(f"metric '{shortened(name)}': the regular expression is not valid: {shortened(error)}.")
        else:
            if groups < 1:
                faults.append(f"metric '{shortened(name)}': the regular expression has no group for the value.")
    return faults
