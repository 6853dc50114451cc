"""CreateModel, DescribeModel, ListModels, DeleteModel (contract 127, 190, 194, 207)."""

from __future__ import annotations

from launcher.api import serving_rules
from launcher.local.records.resources import MODEL
from launcher.local.server.operations.context import Context, Operation, Wire
from launcher.local.server.operations.kinds import KeptKind

# Its data stays when a model is deleted (contract 207), and jobs and endpoints that run go on.
MODELS = KeptKind(kind=MODEL, noun="model", path=MODEL, member="Model", listed="Models")


def create(context: Context, request: Wire) -> Wire:
    """Keep the description of a model; nothing is started, and its data need not exist yet."""
    serving_rules.check_model(request)
    containers = request.get("Containers") or [request.get("PrimaryContainer")]
    kept = {key: value for key, value in request.items() if key != "Containers"}
    return MODELS.create(context, kept | {"PrimaryContainer": {"Mode": "SingleModel", **containers[0]}})


def describe(context: Context, request: Wire) -> Wire:
    """Everything about a model; what was not given is left out."""
    return {"EnableNetworkIsolation": False} | MODELS.describe(context, request)


OPERATIONS: dict[str, Operation] = {
    "CreateModel": create,
    "DescribeModel": describe,
    "ListModels": MODELS.page,
    "DeleteModel": MODELS.delete,
}
