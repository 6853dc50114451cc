"""From the description of an endpoint to its two requests, CreateEndpointConfig and CreateEndpoint (contract C)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from launcher.api import servicemodel
from launcher.api.building import given, refuse
from launcher.api.options import in_order, option, place
from launcher.api.servingoptions import DeployOptions

# SageMaker's own tools name the only variant so.
VARIANT = "AllTraffic"
# The parts of a configuration, and of its variant, in the order in which they are sent; others follow.
ORDER = ("EndpointConfigName", "ProductionVariants", "KmsKeyId", "Tags")
VARIANT_ORDER = ("VariantName", "ModelName", "InstanceType", "InitialInstanceCount", "InitialVariantWeight")


@dataclass(frozen=True, kw_only=True)
class EndpointSpec(DeployOptions):
    """An endpoint with everything settled: its options, of which name and instance type are given, and its model."""

    model_name: str = field(metadata=option("the model", wire="ProductionVariants.ModelName"))


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
    config = place(spec)
    variant = {"VariantName": VARIANT, "InitialVariantWeight": 1.0} | config["ProductionVariants"]
    config = in_order(config | {"ProductionVariants": [in_order(variant, VARIANT_ORDER)]}, ORDER)
    tags = config.get("Tags")
    endpoint = given({"EndpointName": spec.endpoint_name, "EndpointConfigName": spec.endpoint_name, "Tags": tags})
    faults = servicemodel.problems("sagemaker", "CreateEndpoint", endpoint)
    refuse(
        f"the endpoint '{spec.endpoint_name}'",
        [*faults, *servicemodel.problems("sagemaker", "CreateEndpointConfig", config)],
    )
    return EndpointRequests(config, endpoint)
