"""From the description of a model to the CreateModel request: a pure function, and its checks (contract B1, D)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from batchrl.contract import variables
from launcher.api import servicemodel
from launcher.api.building import both_or_none, refuse
from launcher.api.constants import MAX_MODEL_ENVIRONMENT_BYTES
from launcher.api.names import MAX_NAME
from launcher.api.options import in_order, place
from launcher.api.servingoptions import ModelOptions

DIGEST_CHARACTERS = 10
# What ``job_name_from`` puts behind a base.
_TIME = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{6}$")


# The parts of a request in the order in which they are sent.
ORDER = ("ModelName", "PrimaryContainer", "ExecutionRoleArn", "EnableNetworkIsolation", "VpcConfig", "Tags")


def create_model(spec: ModelOptions) -> dict[str, Any]:
    """The request of a model, checked.

    Args:
        spec: the model with everything settled: its name, image and role are those that the request names, and its
            archive is an S3 URL, or None for a container that brings its own model (contract 126, 127).

    Raises:
        InputError: naming everything that the API would refuse.
    """
    request = _build(spec)
    refuse(
        f"the model '{spec.name}'",
        [*servicemodel.problems("sagemaker", "CreateModel", request), *_rule_faults(spec)],
    )
    return request


def named_by_content(spec: ModelOptions, base: str) -> ModelOptions:
    """A model whose name tells what it is made of, so that asking for the same one again makes no second.

    Args:
        spec: the model; its name and tags do not count.
        base: beginning of the name, as the name of the job that trained it.
    """
    content = _build(replace(spec, name="", tags={}))
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    return replace(spec, name=f"{name_base(base)}-{digest[:DIGEST_CHARACTERS]}")


def name_base(base: str) -> str:
    """What the names of all models of one origin begin with, made valid and short enough (contract 190)."""
    room = MAX_NAME - DIGEST_CHARACTERS - 1
    return re.sub(r"[^a-zA-Z0-9-]+", "-", base).strip("-")[:room].rstrip("-") or "model"


def is_named_by_content(name: str, base: str) -> bool:
    """Whether ``named_by_content`` gave a name for this base."""
    return bool(re.fullmatch(rf"{re.escape(name_base(base))}-[0-9a-f]{{{DIGEST_CHARACTERS}}}", name))


def without_time(job_name: str) -> str:
    """The base of a name that ``job_name_from`` made; any other name as it is."""
    return _TIME.sub("", job_name)


def is_same_model(known: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a model that the cloud describes does what a request asks for; tags do not count."""
    return _essence(known) == _essence(asked)


def _essence(model: Mapping[str, Any]) -> tuple[Any, ...]:
    container = model.get("PrimaryContainer") or {}
    return (
        container.get("Image"),
        container.get("ModelDataUrl"),
        container.get("Environment") or {},
        bool(model.get("EnableNetworkIsolation")),
        model.get("VpcConfig") or {},
        model.get("ExecutionRoleArn"),
    )


def _build(model: ModelOptions) -> dict[str, Any]:
    subnets, groups = both_or_none(model.subnets, model.security_group_ids)
    placed = place(replace(model, env=model.env or {}, subnets=subnets, security_group_ids=groups))
    container = placed.get("PrimaryContainer", {})
    return in_order(placed | {"PrimaryContainer": in_order(container, ("Image", "ModelDataUrl"))}, ORDER)


def _rule_faults(spec: ModelOptions) -> list[str]:
    environment, archive = spec.env or {}, spec.model_data
    faults = variables.mistakes(environment)
    size = sum(len(str(key).encode()) + len(str(value).encode()) for key, value in environment.items())
    if size > MAX_MODEL_ENVIRONMENT_BYTES:
        faults.append(
            f"PrimaryContainer.Environment has {size} bytes, at most {MAX_MODEL_ENVIRONMENT_BYTES} are allowed."
        )
    if bool(spec.subnets) != bool(spec.security_group_ids):
        faults.append("subnets and security_group_ids are given together or not at all.")
    if archive is not None and not re.fullmatch(r"s3://[^/]+/.+\.tar\.gz", str(archive)):
        faults.append(f"PrimaryContainer.ModelDataUrl: '{archive}' is not an S3 URL of one .tar.gz archive.")
    return faults
