"""Endpoint configurations and endpoints: create, describe, list, delete (contract C)."""

from __future__ import annotations

from launcher.api import serving_rules
from launcher.api.constants import ENDPOINT
from launcher.api.errors import validation
from launcher.api.instances import PROCESS_INSTANCE_TYPES
from launcher.api.training_rules import check_tags
from launcher.local.records import states
from launcher.local.records.jobrecord import MODELS_MEMBER, VARIANTS_MEMBER
from launcher.local.records.records import JobEnded, JobRecord
from launcher.local.records.resources import ENDPOINT_CONFIG
from launcher.local.server.operations.context import OF_A_JOB, Context, Operation, Wire
from launcher.local.server.operations.kinds import KeptKind, RunKind
from launcher.local.server.operations.models import MODELS
from launcher.local.server.operations.paging import without_none

# Endpoints that were made with a configuration go on when it is deleted.
CONFIGS = KeptKind(
    kind=ENDPOINT_CONFIG,
    noun="endpoint configuration",
    path=ENDPOINT_CONFIG,
    member="EndpointConfig",
    listed="EndpointConfigs",
)
ENDPOINTS = RunKind(kind=ENDPOINT, noun="endpoint", path="endpoint", member="Endpoint", listed="Endpoints")


def create_config(context: Context, request: Wire) -> Wire:
    """Keep a configuration; its models must exist."""
    serving_rules.check_endpoint_config(request)
    for variant in request["ProductionVariants"]:
        MODELS.found(context, variant["ModelName"])
    return CONFIGS.create(context, request)


def create(context: Context, request: Wire) -> Wire:
    """Record an endpoint and hand it to a shim."""
    check_tags(request.get("Tags") or ())
    variants = CONFIGS.found(context, request["EndpointConfigName"]).request["ProductionVariants"]
    if OF_A_JOB.get():
        for variant in variants:
            if variant["InstanceType"] in PROCESS_INSTANCE_TYPES:
                raise validation(
                    f"Endpoint configuration '{request['EndpointConfigName']}' asks for InstanceType "
                    f"'{variant['InstanceType']}', a process of this computer, which no job may start. Use 'local'."
                )
    models = {variant["ModelName"]: MODELS.found(context, variant["ModelName"]).request for variant in variants}
    return ENDPOINTS.create(context, request | {VARIANTS_MEMBER: variants, MODELS_MEMBER: models})


def describe(context: Context, request: Wire) -> Wire:
    """Everything about an endpoint."""
    record = ENDPOINTS.found(context, ENDPOINTS.name_in(request))
    answer = ENDPOINTS.facts(record) | {
        "EndpointConfigName": record.request["EndpointConfigName"],
        "LastModifiedTime": record.modified_at,
    }
    if record.status == states.IN_SERVICE:
        answer["ProductionVariants"] = [_variant(record, variant) for variant in record.request[VARIANTS_MEMBER]]
    return answer | without_none(FailureReason=record.failure_reason)


def delete(context: Context, request: Wire) -> Wire:
    """Ask an endpoint to go; its shim ends the servers and then forgets it."""
    try:
        ENDPOINTS.request_stop(context, request)
    except JobEnded as error:  # it has failed, and nobody serves it any more
        context.records.forget_endpoint(error.args[0])
    return {}


def _variant(record: JobRecord, variant: Wire) -> Wire:
    count = sum(server.variant == variant["VariantName"] for server in record.servers)
    weight = variant.get("InitialVariantWeight", 1.0)
    image = record.request[MODELS_MEMBER][variant["ModelName"]]["PrimaryContainer"].get("Image", "")
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image}],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": variant.get("InitialInstanceCount", 1),
    }


OPERATIONS: dict[str, Operation] = {
    "CreateEndpointConfig": create_config,
    "DescribeEndpointConfig": CONFIGS.describe,
    "ListEndpointConfigs": CONFIGS.page,
    "DeleteEndpointConfig": CONFIGS.delete,
    "CreateEndpoint": create,
    "DescribeEndpoint": describe,
    "ListEndpoints": ENDPOINTS.page,
    "DeleteEndpoint": delete,
}
