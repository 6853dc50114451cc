"""No field of a request is accepted and ignored: each has a decision, and the decision is carried out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from launcher.api import asked
from launcher.api.errors import ApiError
from launcher.api.fields import TABLES, Kind
from launcher.api.servicemodel import service_model
from launcher.local.server.app import JSON_SERVICES

OPERATIONS = {
    **{operation: service for service, operations in JSON_SERVICES.values() for operation in operations},
    "InvokeEndpoint": "sagemaker-runtime",
}


def leaves(shape: Any, at: str = "", above: tuple[str, ...] = ()) -> Iterator[str]:
    """The paths of all fields of a shape, items of lists without their index."""
    while shape.type_name == "list":
        shape = shape.member
    if shape.type_name == "structure" and shape.name not in above and shape.members:
        for name, member in shape.members.items():
            yield from leaves(member, f"{at}.{name}" if at else name, (*above, shape.name))
    else:
        yield at


def fields_of(operation: str) -> list[str]:
    return list(leaves(service_model(OPERATIONS[operation]).operation_model(operation).input_shape))


def test_every_operation_that_is_answered_has_a_table() -> None:
    assert set(TABLES) == set(OPERATIONS)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_field_has_exactly_one_decision_and_no_decision_is_about_nothing(operation: str) -> None:
    table, fields = TABLES[operation], fields_of(operation)
    covers = {field: [path for path in table if field == path or field.startswith(f"{path}.")] for field in fields}
    assert {field: found for field, found in covers.items() if len(found) != 1} == {}
    assert set(table) == {found[0] for found in covers.values()}


def test_whatever_is_not_carried_out_says_why_or_what_to_do() -> None:
    for table in TABLES.values():
        for path, decision in table.items():
            assert bool(decision.why) == (decision.kind is not Kind.DONE), path


def built(path: str, value: Any) -> dict[str, Any]:
    """A request that holds a value at a path."""
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (operation, path)
        for operation, table in TABLES.items()
        for path, one in table.items()
        if one.kind is Kind.REFUSED
    ],
)
def test_what_is_not_done_is_refused_by_its_name(operation: str, path: str) -> None:
    with pytest.raises(ApiError, match="is not supported by the local cloud") as caught:
        asked.check(operation, built(path, {"EnableCapture": True, "Any": "x"}))
    assert caught.value.message.startswith(f"{path} ")
    for nothing in (
        None,
        {},
        [],
        "",
        False,
        {"EnableCapture": False, "Any": "x"} if path == "DataCaptureConfig" else {},
    ):
        if operation == "CreateTransformJob" and nothing:
            continue
        asked.check(operation, built(path, nothing))


def test_a_field_that_nobody_decided_on_is_refused() -> None:
    with pytest.raises(ApiError, match=r"ResourceConfig\.Quantum\.Qubits is not supported"):
        asked.check("CreateTrainingJob", {"ResourceConfig": {"InstanceType": "local", "Quantum": {"Qubits": 3}}})


def test_what_is_recorded_without_effect_is_named() -> None:
    request = {
        "ProfilerConfig": {"S3OutputPath": "s3://b/x", "DisableProfiler": True},
        "DebugHookConfig": {"S3OutputPath": "s3://b/x", "CollectionConfigurations": []},
        "ResourceConfig": {"KeepAlivePeriodInSeconds": 60, "VolumeSizeInGB": 30},
        "ExperimentConfig": {},
    }
    asked.check("CreateTrainingJob", request)
    assert list(asked.without_effect("CreateTrainingJob", request)) == [
        "DebugHookConfig",
        "ResourceConfig.KeepAlivePeriodInSeconds",
    ]
    profiled = {"ProfilerConfig": {"S3OutputPath": "s3://b/x", "DisableProfiler": False}}
    assert list(asked.without_effect("CreateTrainingJob", profiled)) == ["ProfilerConfig"]
