"""Endpoint configurations and endpoints: create, describe, list, delete (contract C)."""

from __future__ import annotations

from launcher.api import serving_rules
from launcher.api.constants import ENDPOINT
from launcher.api.errors import ApiError, already_existing, could_not_find
from launcher.api.training_rules import check_tags
from launcher.local.records import states
from launcher.local.records.jobrecord import MODELS_MEMBER, VARIANTS_MEMBER
from launcher.local.records.records import DuplicateJob, JobEnded, JobRecord, UnknownJob
from launcher.local.records.resources import ENDPOINT_CONFIG, DuplicateResource, Resource
from launcher.local.server.operations import models
from launcher.local.server.operations.context import Context, Operation, Wire
from launcher.local.server.operations.paging import page_of_jobs, page_of_resources, without_none


def create_config(context: Context, request: Wire) -> Wire:
    """Keep a configuration; its models must exist."""
    serving_rules.check_endpoint_config(request)
    for variant in request["ProductionVariants"]:
        models.found(context, variant["ModelName"])
    kept = {key: value for key, value in request.items() if key != "Tags" and value is not None}
    config = models.new_resource(context, ENDPOINT_CONFIG, request["EndpointConfigName"], kept)
    try:
        context.records.resources.create(config, models.tags_of(request))
    except DuplicateResource as error:
        raise already_existing(f"endpoint configuration {error}") from None
    return {"EndpointConfigArn": config.arn}


def describe_config(context: Context, request: Wire) -> Wire:
    """Everything about a configuration."""
    config = _config(context, request["EndpointConfigName"])
    return {**config.request, "EndpointConfigArn": config.arn, "CreationTime": config.created_at}


def list_configs(context: Context, request: Wire) -> Wire:
    """One page of configurations."""
    return page_of_resources(
        request, context.records.resources.list(ENDPOINT_CONFIG), "EndpointConfigs", _config_summary
    )


def delete_config(context: Context, request: Wire) -> Wire:
    """Forget a configuration; endpoints that were made with it go on."""
    name = request["EndpointConfigName"]
    if not context.records.resources.delete(ENDPOINT_CONFIG, name):
        raise _unknown_config(context, name)
    return {}


def create(context: Context, request: Wire) -> Wire:
    """Record an endpoint and hand it to a shim."""
    check_tags(request.get("Tags") or ())
    name = request["EndpointName"]
    config = _config(context, request["EndpointConfigName"])
    variants = config.request["ProductionVariants"]
    kept = {key: value for key, value in request.items() if key != "Tags" and value is not None}
    kept[VARIANTS_MEMBER] = variants
    kept[MODELS_MEMBER] = {
        variant["ModelName"]: models.found(context, variant["ModelName"]).request for variant in variants
    }
    arn = context.arn("sagemaker", f"endpoint/{name}")
    record = JobRecord.new(name, ENDPOINT, arn, kept, context.clock(), "Creating the endpoint")
    try:
        context.records.create(record, models.tags_of(request))
    except DuplicateJob as error:
        raise already_existing(f"endpoint {error}") from None
    context.assign(name, ENDPOINT)
    return {"EndpointArn": arn}


def describe(context: Context, request: Wire) -> Wire:
    """Everything about an endpoint."""
    record = found(context, request["EndpointName"])
    answer: Wire = {
        "EndpointName": record.name,
        "EndpointArn": record.arn,
        "EndpointConfigName": record.request["EndpointConfigName"],
        "EndpointStatus": record.status,
        "CreationTime": record.created_at,
        "LastModifiedTime": record.modified_at,
    }
    if record.status == states.IN_SERVICE:
        answer["ProductionVariants"] = [_variant(record, variant) for variant in record.request[VARIANTS_MEMBER]]
    return answer | without_none(FailureReason=record.failure_reason)


def list_endpoints(context: Context, request: Wire) -> Wire:
    """One page of endpoints."""
    return page_of_jobs(context, request, ENDPOINT, "Endpoints", _summary)


def delete(context: Context, request: Wire) -> Wire:
    """Ask an endpoint to go; its shim ends the servers and then forgets it."""
    name = request["EndpointName"]
    try:
        context.records.request_stop(name, context.clock(), ENDPOINT)
    except UnknownJob:
        raise _unknown(context, name) from None
    except JobEnded as error:  # it has failed, and nobody serves it any more
        context.records.forget_endpoint(error.args[0])
    return {}


def found(context: Context, name: str) -> JobRecord:
    """The endpoint of a name.

    Raises:
        ApiError: there is none.
    """
    record = context.records.find(name, ENDPOINT)
    if record is None:
        raise _unknown(context, name)
    return record


def _config(context: Context, name: str) -> Resource:
    config = context.records.resources.find(ENDPOINT_CONFIG, name)
    if config is None:
        raise _unknown_config(context, name)
    return config


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


def _summary(record: JobRecord) -> Wire:
    return {
        "EndpointName": record.name,
        "EndpointArn": record.arn,
        "CreationTime": record.created_at,
        "LastModifiedTime": record.modified_at,
        "EndpointStatus": record.status,
    }


def _config_summary(config: Resource) -> Wire:
    return {
        "EndpointConfigName": config.name,
        "EndpointConfigArn": config.arn,
        "CreationTime": config.created_at,
    }


def _unknown(context: Context, name: str) -> ApiError:
    return could_not_find(f'endpoint "{context.arn("sagemaker", f"endpoint/{name}")}"')


def _unknown_config(context: Context, name: str) -> ApiError:
    arn = context.arn("sagemaker", f"{ENDPOINT_CONFIG}/{name}")
    return could_not_find(f'endpoint configuration "{arn}"')


OPERATIONS: dict[str, Operation] = {
    "CreateEndpointConfig": create_config,
    "DescribeEndpointConfig": describe_config,
    "ListEndpointConfigs": list_configs,
    "DeleteEndpointConfig": delete_config,
    "CreateEndpoint": create,
    "DescribeEndpoint": describe,
    "ListEndpoints": list_endpoints,
    "DeleteEndpoint": delete,
}
