"""What CreateModel, CreateTransformJob and CreateEndpointConfig demand beyond their models: functions of the request.

Some rules are AWS's, some say what this local cloud does not run; the message tells which. The rules between the fields
of a transform job are the client's as well (``launcher.api.transform_rules``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.api import transform_rules
from launcher.api.constants import MAX_MODEL_ENVIRONMENT_BYTES
from launcher.api.errors import validation
from launcher.api.instances import LOCAL_SERVING_TYPES, is_aws_type
from launcher.api.training_rules import check_s3_url, check_tags, check_unique, not_here

Wire = Mapping[str, Any]


def check_model(request: Wire) -> None:
    """Check a CreateModel request that already agrees with the model.

    Raises:
        ApiError: the first rule that it breaks.
    """
    primary, several = request.get("PrimaryContainer"), request.get("Containers") or []
    if bool(primary) == bool(several):
        raise validation("Exactly one of PrimaryContainer and Containers is required.")
    if len(several) > 1:
        raise not_here("an inference pipeline of several Containers", "give one PrimaryContainer")
    container = primary or several[0]
    if not container.get("Image"):
        raise validation("PrimaryContainer.Image is required.")
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise not_here(f"Mode {container['Mode']}", "use SingleModel")
    if container.get("ModelDataUrl") and container.get("ModelDataSource"):
        raise validation("Only one of ModelDataUrl and ModelDataSource can be given.")
    if url := container.get("ModelDataUrl"):
        check_s3_url("ModelDataUrl", url)
        if not url.endswith(".tar.gz"):
            raise validation(f"ModelDataUrl '{url}' must name one gzip-compressed tar archive (.tar.gz).")
    if source := container.get("ModelDataSource"):
        check_s3_url("ModelDataSource.S3DataSource.S3Uri", source["S3DataSource"]["S3Uri"])
    environment = container.get("Environment") or {}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in environment.items())
    if size > MAX_MODEL_ENVIRONMENT_BYTES:
        raise validation(f"Environment holds {size} bytes; at most {MAX_MODEL_ENVIRONMENT_BYTES} are allowed.")
    check_tags(request.get("Tags") or ())


def check_transform_job(request: Wire) -> None:
    """Check a CreateTransformJob request that already agrees with the model; errors as in ``check_model``."""
    resources = request["TransformResources"]
    _check_type(resources.get("InstanceType"), resources.get("InstanceCount"))
    check_s3_url("TransformInput.DataSource.S3DataSource.S3Uri", _source(request)["S3Uri"])
    check_s3_url("TransformOutput.S3OutputPath", request["TransformOutput"]["S3OutputPath"])
    if faults := transform_rules.problems(request):
        raise validation(" ".join(faults))
    check_tags(request.get("Tags") or ())


def check_endpoint_config(request: Wire) -> None:
    """Check a CreateEndpointConfig request that already agrees with the model; errors as in ``check_model``."""
    variants = request["ProductionVariants"]
    check_unique("ProductionVariants", "variant name", [variant["VariantName"] for variant in variants])
    for variant in variants:
        where = f"variant '{variant['VariantName']}'"
        if not variant.get("ModelName"):
            raise validation(f"{where}: ModelName is required.")
        _check_type(variant.get("InstanceType"), variant.get("InitialInstanceCount"))
    if not any(variant.get("InitialVariantWeight", 1.0) > 0 for variant in variants):
        raise validation("ProductionVariants: at least one InitialVariantWeight must be above 0.")
    check_tags(request.get("Tags") or ())


def _check_type(kind: str | None, count: int | None) -> None:
    if not kind or not count:
        raise validation("InstanceType and an instance count of at least 1 are required.")
    if kind not in LOCAL_SERVING_TYPES and not is_aws_type(kind):
        raise validation(f"InstanceType '{kind}': choose {', '.join(LOCAL_SERVING_TYPES)} or an ml.* type.")


def _source(request: Wire) -> Wire:
    source: Wire = request["TransformInput"]["DataSource"]["S3DataSource"]
    return source
