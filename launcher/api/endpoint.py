"""From the description of an endpoint to its two requests, CreateEndpointConfig and CreateEndpoint (contract C)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.api import servicemodel
from launcher.api.building import given, refuse, wire_tags

# SageMaker's own tools name the only variant so.
VARIANT = "AllTraffic"


@dataclass(frozen=True)
class EndpointSpec:
    """Everything that an endpoint is made of; what is None has the API's default. Times are seconds, sizes GiB.

    Args:
        endpoint_name: of the endpoint and of its configuration; unique per account and region.
        model_name: the model.
        instance_type: a type of SageMaker's or of the local cloud's.
        instance_count: number of machines.
        volume_size_gib: disk of each.
        download_timeout_seconds: for the model archive.
        startup_timeout_seconds: until ``/ping`` is answered (contract 181).
        kms_key: key for the disks.
        tags: values by key, of both.
    """

    endpoint_name: str
    model_name: str
    instance_type: str
    instance_count: int = 1
    volume_size_gib: int | None = None
    download_timeout_seconds: int | None = None
    startup_timeout_seconds: int | None = None
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EndpointRequests:
    """What makes an endpoint, in this order."""

    config: dict[str, Any]
    endpoint: dict[str, Any]


def create_endpoint(spec: EndpointSpec) -> EndpointRequests:
    """The requests of an endpoint, checked.

    Raises:
        InputError: naming everything that the API would refuse.
    """
    variant = {
        "VariantName": VARIANT,
        "ModelName": spec.model_name,
        "InstanceType": spec.instance_type,
        "InitialInstanceCount": spec.instance_count,
        "InitialVariantWeight": 1.0,
        "VolumeSizeInGB": spec.volume_size_gib,
        "ModelDataDownloadTimeoutInSeconds": spec.download_timeout_seconds,
        "ContainerStartupHealthCheckTimeoutInSeconds": spec.startup_timeout_seconds,
    }
    tags = wire_tags(spec.tags)
    config = given(
        {
            "EndpointConfigName": spec.endpoint_name,
            "ProductionVariants": [given(variant)],
            "KmsKeyId": spec.kms_key,
            "Tags": tags,
        }
    )
    endpoint = given({"EndpointName": spec.endpoint_name, "EndpointConfigName": spec.endpoint_name, "Tags": tags})
    faults = servicemodel.problems("sagemaker", "CreateEndpoint", endpoint)
    refuse(
        f"the endpoint '{spec.endpoint_name}'",
        [*faults, *servicemodel.problems("sagemaker", "CreateEndpointConfig", config)],
    )
    return EndpointRequests(config, endpoint)
