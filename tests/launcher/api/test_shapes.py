"""Faults of a request as data, before anybody words them."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.api.servicemodel import service_model
from launcher.api.shapes import Fault, Kind, faults

REQUEST = {"TrainingJobName": "job", "RoleArn": "arn:aws:iam::123456789012:role/x"}
REQUIRED = {
    **REQUEST,
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/x"},
    "StoppingCondition": {"MaxRuntimeInSeconds": 1},
}


def found(request: dict[str, Any], of_json: bool = False) -> list[Fault]:
    shape = service_model("sagemaker").operation_model("CreateTrainingJob").input_shape
    return list(faults(shape, request, of_json=of_json))


@pytest.mark.parametrize(
    ("changes", "path", "kind", "constraint"),
    [
        ({"OutputDataConfig": {}}, ("OutputDataConfig", "S3OutputPath"), Kind.MISSING, None),
        ({"RoleARN": "x"}, ("RoleARN",), Kind.UNKNOWN, None),
        ({"StoppingCondition": []}, ("StoppingCondition",), Kind.TYPE, None),
        ({"EnableManagedSpotTraining": 1}, ("EnableManagedSpotTraining",), Kind.TYPE, None),
        ({"Tags": [{"Key": "", "Value": "x"}]}, ("Tags", 0, "Key"), Kind.SHORT, 1),
        ({"HyperParameters": {"a": "x" * 2501}}, ("HyperParameters", "a"), Kind.LONG, 2500),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            ("StoppingCondition", "MaxRuntimeInSeconds"),
            Kind.LOW,
            1,
        ),
        (
            {"RetryStrategy": {"MaximumRetryAttempts": 31}},
            ("RetryStrategy", "MaximumRetryAttempts"),
            Kind.HIGH,
            30,
        ),
    ],
)
@pytest.mark.parametrize("of_json", [False, True])
def test_each_kind_of_fault_names_its_place_and_its_constraint(
    changes: dict[str, Any], path: tuple[Any, ...], kind: Kind, constraint: Any, of_json: bool
) -> None:
    (fault,) = found(REQUIRED | changes, of_json)
    assert (tuple(step.at for step in fault.path), fault.kind, fault.constraint) == (path, kind, constraint)


def test_the_local_clouds_own_values_are_of_the_enumeration() -> None:
    (fault,) = found(REQUIRED | {"ResourceConfig": {"InstanceType": "ml.huge", "VolumeSizeInGB": 1}})
    assert fault.kind is Kind.VALUE
    assert {"local", "local_process", "ml.m5.large"} <= set(fault.constraint)


def test_null_is_left_out_in_json_and_a_wrong_type_else() -> None:
    request = REQUIRED | {"RoleArn": None, "Tags": None}
    assert [fault.kind for fault in found(request)] == [Kind.TYPE, Kind.TYPE]
    assert [(fault.kind, fault.path[0].at) for fault in found(request, of_json=True)] == [(Kind.MISSING, "RoleArn")]


@pytest.mark.parametrize(("name", "kinds"), [("\N{GRINNING FACE} a", []), ("a\0", [Kind.PATTERN])])
def test_a_pattern_with_javas_surrogates_is_read(name: str, kinds: list[Kind]) -> None:
    assert [fault.kind for fault in faults(service_model("sagemaker").shape_for("Database"), name)] == kinds


def test_text_on_which_a_pattern_of_the_model_would_compute_for_ever_is_a_fault() -> None:
    shape = service_model("sagemaker").shape_for("ClusterSchedulerPriorityClassName")
    (fault,) = faults(shape, "a" * 2000 + "!")
    assert fault.kind is Kind.PATTERN


def test_text_that_is_much_too_long_is_refused_for_its_length_alone() -> None:
    assert [fault.kind for fault in found(REQUIRED | {"TrainingJobName": "-" * 10_000_000})] == [Kind.LONG]
