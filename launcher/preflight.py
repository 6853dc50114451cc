"""What a job of the local cloud needs, looked at before anything is sent: its rules, an engine, an image, GPUs."""

from __future__ import annotations

from typing import Any

from batchrl.contract.errors import InputError

CONTAINER_TYPES = ("local", "local_gpu")


def check(request: dict[str, Any]) -> None:
    """Refuse a job that the local cloud would refuse, or that could only fail here: no engine, no image, no GPUs.

    Args:
        request: a CreateTrainingJob request for the local cloud.

    Raises:
        InputError: the rule that it breaks, or what is missing and how to have it.
    """
    _check_rules(request)
    instance_type = request["ResourceConfig"].get("InstanceType")
    if instance_type not in CONTAINER_TYPES:
        return
    require_container(request["AlgorithmSpecification"]["TrainingImage"])
    if instance_type == "local_gpu":
        from launcher.engine import has_nvidia_runtime

        if not has_nvidia_runtime():
            raise InputError(
                "instance_type 'local_gpu' needs GPUs, and the engine of this computer has no NVIDIA runtime.",
                "Install the NVIDIA container toolkit, or use instance_type='local'.",
            )


def _check_rules(request: dict[str, Any]) -> None:
    """The very check that the door makes, in its words."""
    from launcher.local.apierrors import ApiError
    from launcher.local.rules import check_training_job

    try:
        check_training_job(request)
    except ApiError as error:
        raise InputError(f"the job '{request['TrainingJobName']}' cannot be requested: {error.message}") from error


def require_container(image: str) -> None:
    """Refuse a container that could not start.

    Raises:
        InputError: no engine answers, or it has no such image.
    """
    from launcher.engine import START_HINT, engine_status
    from launcher.image import present

    status = engine_status()
    if not status.available:
        raise InputError(f"{status.reason}.", START_HINT)
    if not present(image):
        raise InputError(
            f"the engine has no image '{image}'.",
            "Build batchrl's own with `batchrl image build`, or fetch it with `docker pull`.",
        )
