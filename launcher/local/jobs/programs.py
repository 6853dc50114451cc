"""What the processes of jobs are told (contract A1, A2, B1): requests in, programs out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchrl.contract.paths import JOB_ARN_VARIABLE, JOB_NAME_VARIABLE, PLATFORM_ROOT, JobPaths
from launcher.local.executors.base import Program
from launcher.local.host.address import CloudAddress
from launcher.local.host.home import HomePaths
from launcher.local.keys.grants import Grant
from launcher.local.records.jobrecord import JobRecord
from launcher.local.volumes.inputs import FAST_FILE
from launcher.local.volumes.tree import channel_mode

TRAIN = "train"
SERVE = "serve"


def training_program(
    record: JobRecord, home: HomePaths, address: CloudAddress, grant: Grant | None, checkpoints: tuple[str, Path] | None
) -> Program:
    """The program of a training job (contract 1 to 4, 12 to 16, 18).

    Args:
        record: the job.
        home: the data folder.
        address: its cloud.
        grant: its key; None under network isolation.
        checkpoints: the folder of checkpoints as the job spells it, and where it lies on this machine.
    """
    request, algorithm = record.request, record.request["AlgorithmSpecification"]
    isolated = is_isolated(request)
    entrypoint = algorithm.get("ContainerEntrypoint") or None
    arguments = algorithm.get("ContainerArguments") or None
    own = {JOB_NAME_VARIABLE: record.name, JOB_ARN_VARIABLE: record.arn}
    return Program(
        key=record.key,
        home=home,
        root=home.job(record.key).ml,
        image=str(algorithm.get("TrainingImage", "")),
        instance_type=str(request["ResourceConfig"].get("InstanceType", "")),
        arguments=[TRAIN] if arguments is None and entrypoint is None else arguments,
        environment=cloud_variables(address, grant) | (request.get("Environment") or {}) | own,
        endpoints=(address.api_url, address.s3_url),
        isolated=isolated,
        entrypoint=entrypoint,
        read_only=_read_only(request),
        outside=checkpoints if checkpoints and not Path(checkpoints[0]).is_relative_to(PLATFORM_ROOT) else None,
    )


def _read_only(request: Mapping[str, Any]) -> tuple[str, ...]:
    """What a training job finds and cannot change (contract 25): what describes it, and channels in FastFile mode."""
    paths = JobPaths()
    channels = [
        paths.channel(channel["ChannelName"])
        for channel in request.get("InputDataConfig") or ()
        if channel_mode(channel, request) == FAST_FILE
    ]
    return tuple(map(str, (paths.input_config, *channels)))


def processing_program(record: JobRecord, home: HomePaths, address: CloudAddress, grant: Grant | None) -> Program:
    """The program of a processing job.

    Args:
        record: the job.
        home: the data folder.
        address: its cloud.
        grant: its key; None under network isolation.
    """
    request, application = record.request, record.request["AppSpecification"]
    return Program(
        key=record.key,
        home=home,
        root=home.job(record.key).ml,
        image=str(application["ImageUri"]),
        instance_type=str(request["ProcessingResources"]["ClusterConfig"]["InstanceType"]),
        arguments=application.get("ContainerArguments") or None,
        environment=cloud_variables(address, grant) | (request.get("Environment") or {}),
        endpoints=(address.api_url, address.s3_url),
        isolated=grant is None,
        entrypoint=application.get("ContainerEntrypoint") or None,
        read_only=(f"{PLATFORM_ROOT}/config",),
        names_places=True,
    )


def serving_program(
    record: JobRecord,
    home: HomePaths,
    address: CloudAddress,
    grant: Grant | None,
    model: Mapping[str, Any],
    *,
    instance_type: str,
    instance: int,
    environment: Mapping[str, str],
) -> Program:
    """A model server (contract 125, 128, 178, 180).

    Args:
        record: the transform job or the endpoint.
        home: the data folder.
        address: its cloud.
        grant: its key; None where all its models are isolated.
        model: the CreateModel request.
        instance_type: a type of SageMaker's or of the local cloud's.
        instance: which one it is, from 1.
        environment: comes over the model's own.
    """
    container = model["PrimaryContainer"]
    isolated = is_isolated(model)
    return Program(
        key=record.key,
        home=home,
        root=home.job(record.key).root(instance),
        image=str(container.get("Image", "")),
        instance_type=instance_type,
        arguments=[SERVE],
        environment=cloud_variables(address, None if isolated else grant)
        | (container.get("Environment") or {})
        | dict(environment),
        endpoints=(address.api_url, address.s3_url),
        isolated=isolated,
        instance=instance,
        serves=True,
    )


def is_isolated(request: Mapping[str, Any]) -> bool:
    """Whether a request, of a training job or of a model, gives its program no network."""
    return bool(request.get("EnableNetworkIsolation"))


def cloud_variables(address: CloudAddress, grant: Grant | None) -> dict[str, str]:
    """Region, endpoints and the job's own key; under network isolation the region alone (contract 14 to 16)."""
    region = {"AWS_REGION": address.region, "AWS_DEFAULT_REGION": address.region}
    if grant is None:
        return region
    return region | {
        "AWS_ACCESS_KEY_ID": grant.access_key,
        "AWS_SECRET_ACCESS_KEY": grant.secret_key,
        "AWS_ENDPOINT_URL": address.api_url,
        "AWS_ENDPOINT_URL_S3": address.s3_url,
    }
