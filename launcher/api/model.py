"""From the description of a model to the CreateModel request: a pure function, and its checks (contract B1, D)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from batchrl.contract import variables
from launcher.api import servicemodel
from launcher.api.building import given, refuse, wire_tags
from launcher.api.constants import MAX_MODEL_ENVIRONMENT_BYTES
from launcher.api.names import MAX_NAME

DIGEST_CHARACTERS = 10
# What ``job_name_from`` puts behind a base.
_TIME = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{6}$")


@dataclass(frozen=True)
class ModelSpec:
    """Everything that a model is made of.

    Args:
        model_name: unique per account and region.
        image_uri: the container image, whose argument ``serve`` starts the server (contract 125).
        model_data: S3 URL of one ``model.tar.gz``; None for a container that brings its own model (contract 126, 127).
        role_arn: the role that the server acts as.
        environment: of the server; a transform job's own comes on top (contract 128).
        network_isolation: whether the server has no network (contract 178).
        subnets, security_group_ids: VPC; both or neither.
        tags: values by key.
    """

    model_name: str
    image_uri: str
    model_data: str | None
    role_arn: str
    environment: Mapping[str, str] = field(default_factory=dict)
    network_isolation: bool = False
    subnets: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def create_model(spec: ModelSpec) -> dict[str, Any]:
    """The request of a model, checked.

    Raises:
        InputError: naming everything that the API would refuse.
    """
    request = _build(spec)
    refuse(
        f"the model '{spec.model_name}'",
        [*servicemodel.problems("sagemaker", "CreateModel", request), *_rule_faults(spec)],
    )
    return request


def named_by_content(spec: ModelSpec, base: str) -> ModelSpec:
    """A model whose name tells what it is made of, so that asking for the same one again makes no second.

    Args:
        spec: the model; its name and tags do not count.
        base: beginning of the name, as the name of the job that trained it.
    """
    content = _build(replace(spec, model_name="", tags={}))
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    return replace(spec, model_name=f"{name_base(base)}-{digest[:DIGEST_CHARACTERS]}")


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


def _build(spec: ModelSpec) -> dict[str, Any]:
    vpc = {"Subnets": list(spec.subnets), "SecurityGroupIds": list(spec.security_group_ids)}
    return given(
        {
            "ModelName": spec.model_name,
            "PrimaryContainer": given(
                {
                    "Image": spec.image_uri,
                    "ModelDataUrl": spec.model_data,
                    "Environment": dict(spec.environment) or None,
                }
            ),
            "ExecutionRoleArn": spec.role_arn,
            "EnableNetworkIsolation": spec.network_isolation,
            "VpcConfig": vpc if spec.subnets or spec.security_group_ids else None,
            "Tags": wire_tags(spec.tags),
        }
    )


def _rule_faults(spec: ModelSpec) -> list[str]:
    faults = variables.mistakes(spec.environment)
    size = sum(len(str(key).encode()) + len(str(value).encode()) for key, value in spec.environment.items())
    if size > MAX_MODEL_ENVIRONMENT_BYTES:
        faults.append(
            f"PrimaryContainer.Environment has {size} bytes, at most {MAX_MODEL_ENVIRONMENT_BYTES} are allowed."
        )
    if bool(spec.subnets) != bool(spec.security_group_ids):
        faults.append("subnets and security_group_ids are given together or not at all.")
    if spec.model_data is not None and not re.fullmatch(r"s3://[^/]+/.+\.tar\.gz", spec.model_data):
        faults.append(f"PrimaryContainer.ModelDataUrl: '{spec.model_data}' is not an S3 URL of one .tar.gz archive.")
    return faults
