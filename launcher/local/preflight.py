"""What a job of the local cloud needs, looked at before anything is sent: its rules, an engine, an image, GPUs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from launcher.api.instances import CONTAINER_INSTANCE_TYPES, PROCESS_INSTANCE_TYPES
from launcher.base import extras
from launcher.local.host.home import HomePaths
from launcher.local.host.jobrules import JobRules

# The store keeps what is sent, and the job's own folder holds it once more; the margin is for records and logs.
COPIES = 2
SPARE_BYTES = 64 * 1024 * 1024


def check(request: dict[str, Any], home: Path | None) -> None:
    """Refuse a job that the local cloud would refuse, or that could only fail here: no engine, no image, no GPUs.

    Args:
        request: a CreateTrainingJob request for the local cloud.
        home: its data folder; None for the default one.

    Raises:
        InputError: the rule that it breaks, or what is missing and how to have it.
    """
    _check_rules(request)
    image = request["AlgorithmSpecification"]["TrainingImage"]
    check_instance(request["ResourceConfig"].get("InstanceType"), image, home)


def check_instance(instance_type: str | None, image: str, home: Path | None) -> None:
    """Refuse an instance of the local cloud that could not be had here.

    Args:
        instance_type: what was asked for.
        image: the container image that is to run on it.
        home: the data folder; None for the default one.

    Raises:
        InputError: there is no engine, no such image, no GPU, or for processes a package of jobs is not installed.
    """
    if instance_type in PROCESS_INSTANCE_TYPES:
        extras.require(f"instance type '{instance_type}'", extras.JOB)
    if instance_type not in CONTAINER_INSTANCE_TYPES:
        return
    require_container(image, home)
    if instance_type == "local_gpu":
        from launcher.local.engine.status import has_nvidia_runtime

        if not has_nvidia_runtime():
            raise InputError(
                "instance_type 'local_gpu' needs GPUs, and the engine of this computer has no NVIDIA runtime.",
                "Install the NVIDIA container toolkit, or use instance_type='local'.",
            )


def check_space(size: int, home: Path | None) -> None:
    """Refuse a job whose files do not fit the disk of the data folder, where the object store lies there too.

    Args:
        size: bytes of the job's files.
        home: the data folder; it need not exist. None for the default one.

    Raises:
        InputError: naming folder, needed and free bytes.
    """
    from launcher.local.host.address import StoreSettings

    paths = HomePaths.of(home)
    if StoreSettings.read(paths.settings) is not None:
        return
    place = next(folder for folder in (paths.root, *paths.root.parents) if folder.exists())
    needed, free = COPIES * size + SPARE_BYTES, shutil.disk_usage(place).free
    if free < needed:
        raise InputError(
            f"the disk of {paths.root} is full: the job needs {needed} bytes there, {free} are free.",
            "Free some space (`batchrl cloud gc` helps), or set BATCHRL_HOME to a folder on another disk.",
        )


def _check_rules(request: dict[str, Any]) -> None:
    """The very check that the API server makes, in its words."""
    from launcher.api.errors import ApiError
    from launcher.api.training_rules import check_training_job

    try:
        check_training_job(request)
    except ApiError as error:
        raise InputError(f"the job '{request['TrainingJobName']}' cannot be requested: {error.message}") from error


def require_container(image: str, home: Path | None = None) -> None:
    """Refuse a container that could not start.

    Args:
        image: as a request names it; an alias of the data folder may have another run.
        home: the data folder; None for the default one.

    Raises:
        InputError: no engine answers, or it has no such image.
    """
    from launcher.local.engine.image import default_image, present
    from launcher.local.engine.status import START_HINT, engine_status

    status = engine_status()
    if not status.available:
        raise InputError(f"{status.reason}.", START_HINT)
    image = JobRules.read(HomePaths.of(home).job_rules).image_for(image, default_image())
    if not present(image):
        raise InputError(
            f"the engine has no image '{image}'.",
            "Build batchrl's own with `batchrl image build`, or fetch it with `docker pull`.",
        )
