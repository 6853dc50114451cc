"""Each option of a model, a transform job or an endpoint is one field: its argument, and its place in a request."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field, fields, replace
from typing import Any

import pytest

from launcher import Model, RLEstimator, Transformer
from launcher.api.arguments import UnknownArgument
from launcher.api.endpoint import EndpointSpec, create_endpoint
from launcher.api.model import create_model
from launcher.api.options import Option, described
from launcher.api.servingoptions import DeployOptions, ModelOptions, TransformOptions
from launcher.api.transform import TransformSpec, create_transform_job
from launcher.api.transformcall import PlanCall, TransformCall

ARN = "arn:aws:iam::123456789012:role/jobs"
MODEL = ModelOptions("s3://bucket/job/output/model.tar.gz", "image:1", ARN, name="model")
TRANSFORM = TransformSpec("model", job_name="job", data_uri="s3://bucket/in/", output_path="s3://bucket/out")
ENDPOINT = EndpointSpec(1, "local", "endpoint", model_name="model")
# Values of options whose value may not be any text, with what the request holds.
SAMPLES: dict[str, tuple[Any, Any]] = {
    "model_data": ("s3://bucket/x.tar.gz", "s3://bucket/x.tar.gz"),
    "role": (ARN + "2", ARN + "2"),
    "env": ({"A": "b"}, {"A": "b"}),
    "tags": ({"team": "rl"}, [{"Key": "team", "Value": "rl"}]),
    "subnets": (("subnet-1",), ["subnet-1"]),
    "security_group_ids": (("sg-1",), ["sg-1"]),
    "instance_type": ("ml.m5.large", "ml.m5.large"),
    "output_path": ("s3://bucket/elsewhere", "s3://bucket/elsewhere"),
    "data_uri": ("s3://bucket/elsewhere", "s3://bucket/elsewhere"),
    "data_type": ("ManifestFile", "ManifestFile"),
    "compression_type": ("Gzip", "Gzip"),
    "split_type": ("Line", "Line"),
    "assemble_with": ("Line", "Line"),
    "strategy": ("MultiRecord", "MultiRecord"),
    "join_source": ("Input", "Input"),
    "input_filter": ("$[0]", "$[0]"),
    "output_filter": ("$[0]", "$[0]"),
    "transform_ami_version": ("al2-ami-sagemaker-batch-gpu-470", "al2-ami-sagemaker-batch-gpu-470"),
    "model_client_config": ({"InvocationsMaxRetries": 1}, {"InvocationsMaxRetries": 1}),
    "model_data_download_timeout": (600, 600),
    "container_startup_health_check_timeout": (600, 600),
}
RECORDS = {"content_type": "text/csv", "accept": "text/csv", "split_type": "Line", "assemble_with": "Line"}
BESIDE: dict[str, dict[str, Any]] = {
    "subnets": {"security_group_ids": ("sg-1",)},
    "security_group_ids": {"subnets": ("subnet-1",)},
    "strategy": {"split_type": "Line"},
    **dict.fromkeys(("join_source", "input_filter", "output_filter"), RECORDS),
}
PLACED = [
    pytest.param(spec, make, each, about, id=f"{type(spec).__name__}-{each.name}")
    for spec, make in (
        (MODEL, create_model),
        (TRANSFORM, create_transform_job),
        (ENDPOINT, lambda spec: create_endpoint(spec).config),
    )
    for each, about in described(spec)
    if about.wire
]


@pytest.mark.parametrize(("spec", "make", "each", "about"), PLACED)
def test_an_option_stands_at_its_place_in_the_request(
    spec: Any, make: Callable[[Any], dict[str, Any]], each: Field[Any], about: Option
) -> None:
    other: Any = not each.default if each.type == "bool" else 3 if "int" in str(each.type) else "text"
    value, expected = SAMPLES.get(each.name, (other, other))
    found: Any = make(replace(spec, **BESIDE.get(each.name, {}) | {each.name: value}))
    assert about.wire is not None
    for name in about.wire.split("."):
        found = found[name]
        found = found[0] if name == "ProductionVariants" else found
    assert found == expected


@pytest.mark.parametrize(
    ("taking", "kind", "returned"),
    [
        (Model, ModelOptions, "None"),
        (Transformer, TransformOptions, "None"),
        (Model.deploy, DeployOptions, "Predictor"),
        (RLEstimator.deploy, DeployOptions, "Predictor"),
        (Transformer.plan, PlanCall, "TransformPlan"),
        (Transformer.transform, TransformCall, "TransformJob"),
    ],
)
def test_a_signature_names_every_option_with_its_default(taking: Any, kind: type[Any], returned: str) -> None:
    parameters = {name: one for name, one in inspect.signature(taking).parameters.items() if name != "self"}
    assert list(parameters) == [each.name for each in fields(kind)]
    assert inspect.signature(taking).return_annotation == returned


def test_the_arguments_of_a_transform_may_be_given_by_position_in_the_order_of_0_1() -> None:
    parameters = inspect.signature(Transformer.transform).parameters.values()
    assert [one.name for one in parameters if one.name != "self"] == [
        *("data", "data_type", "content_type", "compression_type", "split_type", "job_name", "input_filter"),
        *("output_filter", "join_source", "model_client_config", "wait", "logs", "on_bytes"),
    ]
    assert {one.kind for one in parameters} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_what_is_needed_may_be_given_by_an_old_name_and_is_asked_for() -> None:
    assert Transformer(model="mine").options.model_name == "mine"
    assert Model("s3://b/model.tar.gz", None, image="x:1").options.image_uri == "x:1"
    for missing, make in (("model_name", Transformer), ("model_data", Model)):
        with pytest.raises(UnknownArgument, match=f"'{missing}' is missing"):
            make(**{missing: None})
