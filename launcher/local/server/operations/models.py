"""CreateModel, DescribeModel, ListModels, DeleteModel (contract 127, 190, 194, 207)."""

from __future__ import annotations

from launcher.api import serving_rules
from launcher.api.errors import ApiError, already_existing, could_not_find
from launcher.local.records.resources import MODEL, DuplicateResource, Resource
from launcher.local.server.operations.context import Context, Operation, Wire
from launcher.local.server.operations.paging import page_of_resources


def create(context: Context, request: Wire) -> Wire:
    """Keep the description of a model; nothing is started, and its data need not exist yet."""
    serving_rules.check_model(request)
    containers = request.get("Containers") or [request.get("PrimaryContainer")]
    kept = {key: value for key, value in request.items() if key not in ("Tags", "Containers") and value is not None}
    kept["PrimaryContainer"] = {"Mode": "SingleModel", **containers[0]}
    model = new_resource(context, MODEL, request["ModelName"], kept)
    try:
        context.records.resources.create(model, tags_of(request))
    except DuplicateResource as error:
        raise already_existing(f"model {error}") from None
    return {"ModelArn": model.arn}


def describe(context: Context, request: Wire) -> Wire:
    """Everything about a model; what was not given is left out."""
    model = found(context, request["ModelName"])
    return {"EnableNetworkIsolation": False, **model.request, "ModelArn": model.arn, "CreationTime": model.created_at}


def list_models(context: Context, request: Wire) -> Wire:
    """One page of models."""
    return page_of_resources(request, context.records.resources.list(MODEL), "Models", _summary)


def delete(context: Context, request: Wire) -> Wire:
    """Forget a model; its data stays (contract 207), and jobs and endpoints that run go on."""
    if not context.records.resources.delete(MODEL, request["ModelName"]):
        raise _unknown(context, request["ModelName"])
    return {}


def found(context: Context, name: str) -> Resource:
    """The model of a name.

    Raises:
        ApiError: there is none.
    """
    model = context.records.resources.find(MODEL, name)
    if model is None:
        raise _unknown(context, name)
    return model


def new_resource(context: Context, kind: str, name: str, request: Wire) -> Resource:
    """A resource with its ARN and the time."""
    return Resource(kind, name, context.arn("sagemaker", f"{kind}/{name}"), request, context.clock())


def tags_of(request: Wire) -> dict[str, str]:
    """Tags of a create request, by key."""
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()}


def _summary(model: Resource) -> Wire:
    return {"ModelName": model.name, "ModelArn": model.arn, "CreationTime": model.created_at}


def _unknown(context: Context, name: str) -> ApiError:
    return could_not_find(f'model "{context.arn("sagemaker", f"{MODEL}/{name}")}"')


OPERATIONS: dict[str, Operation] = {
    "CreateModel": create,
    "DescribeModel": describe,
    "ListModels": list_models,
    "DeleteModel": delete,
}
