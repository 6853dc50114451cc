"""Instance types: SageMaker's machines, and the local cloud's own executors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from batchrl.contract.errors import InputError, shortened

_AWS_PREFIX = "ml."
CONTAINER_INSTANCE_TYPES = ("local", "local_gpu")
PROCESS_INSTANCE_TYPES = ("local_process", "local_debug")
LOCAL_INSTANCE_TYPES = (*CONTAINER_INSTANCE_TYPES, *PROCESS_INSTANCE_TYPES)
# A model or a processing job has no terminal to be debugged on.
LOCAL_SERVING_TYPES = (*CONTAINER_INSTANCE_TYPES, "local_process")
# The local cloud's own values, by the shape whose enumeration they make longer.
EXTRA_VALUES: Mapping[str, tuple[str, ...]] = {
    "TrainingInstanceType": LOCAL_INSTANCE_TYPES,
    "TransformInstanceType": LOCAL_SERVING_TYPES,
    "ProductionVariantInstanceType": LOCAL_SERVING_TYPES,
    "ProcessingInstanceType": LOCAL_SERVING_TYPES,
}


def is_aws_type(instance_type: str) -> bool:
    """Whether an instance type is one of Amazon's machines; all others are of this computer."""
    return instance_type.startswith(_AWS_PREFIX)


def check_instance_type(given: object, local_types: Sequence[str]) -> None:
    """Refuse what is no type of an instance, before a cloud is chosen by it.

    Raises:
        InputError: it is neither one of the local cloud's nor one of SageMaker's.
    """
    if not isinstance(given, str) or not (given in local_types or re.fullmatch(r"ml\.[\w.-]+", given)):
        raise InputError(
            f"instance_type {shortened(repr(given))} is unknown.",
            f"It may be {', '.join(local_types)}, or a type of SageMaker's such as ml.m5.xlarge.",
        )
