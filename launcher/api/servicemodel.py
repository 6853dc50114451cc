"""Checks a request against botocore's model of the service, more strictly than botocore does.

botocore itself looks at types, required and unknown keys and minimums (contract 203); the service also refuses what
breaks a pattern, a maximum or an enumeration. All faults of a request are found, so that they can be reported together.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launcher.api.instances import EXTRA_VALUES


@functools.cache
def loader() -> Any:
    """The reader of botocore's data files; it remembers what it has read, so whoever can shares it."""
    from botocore.loaders import Loader

    return Loader()


@functools.cache
def service_model(service: str) -> Any:
    """botocore's ``ServiceModel`` of a service, loaded once (0.1 s of CPU for SageMaker's)."""
    from botocore.model import ServiceModel

    return ServiceModel(loader().load_service_model(service, "service-2"), service)


def problems(service: str, operation: str, parameters: Mapping[str, Any]) -> list[str]:
    """Everything that the service would refuse about a request, one sentence a fault; empty when all is well."""
    shape = service_model(service).operation_model(operation).input_shape
    return list(_faults(parameters, shape, ""))


def _faults(value: Any, shape: Any, where: str) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            yield from _structure_faults(value, shape, where)
        case "list":
            yield from _list_faults(value, shape, where)
        case "map":
            yield from _map_faults(value, shape, where)
        case "string":
            yield from _string_faults(value, shape, where)
        case "integer" | "long" | "float" | "double":
            yield from _number_faults(value, shape, where)
        case "boolean":
            if not isinstance(value, bool):
                yield f"{where}: {value!r} is neither true nor false."


def _structure_faults(value: Any, shape: Any, where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where or 'the request'}: {value!r} is no mapping."
        return
    prefix = f"{where}." if where else ""
    for name in shape.required_members:
        if name not in value:
            yield f"{prefix}{name} is missing."
    for name, item in value.items():
        if name in shape.members:
            yield from _faults(item, shape.members[name], prefix + name)
        else:
            near = difflib.get_close_matches(name, shape.members, 1)
            yield f"{prefix}{name} is unknown{f'; did you mean {near[0]}?' if near else '.'}"


def _list_faults(value: Any, shape: Any, where: str) -> Iterator[str]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        yield f"{where}: {value!r} is no list."
        return
    yield from _size_faults(len(value), shape, where, "items")
    for index, item in enumerate(value):
        yield from _faults(item, shape.member, f"{where}[{index}]")


def _map_faults(value: Any, shape: Any, where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where}: {value!r} is no mapping."
        return
    yield from _size_faults(len(value), shape, where, "entries")
    for key, item in value.items():
        yield from _faults(key, shape.key, f"{where} key '{key}'")
        yield from _faults(item, shape.value, f"{where}['{key}']")


def _string_faults(value: Any, shape: Any, where: str) -> Iterator[str]:
    import regex  # type: ignore[import-untyped]  # three of AWS's patterns are beyond ``re``

    if not isinstance(value, str):
        yield f"{where}: {value!r} is no text."
        return
    yield from _size_faults(len(value), shape, where, "characters")
    if shape.enum:
        own = EXTRA_VALUES.get(shape.name, ())
        known = [*shape.enum, *own]
        if value not in known:
            near = difflib.get_close_matches(value, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"it may be {', '.join([*own, *shape.enum][:8])}."
            yield f"{where}: '{value}' is not valid; {hint}"
    pattern = shape.metadata.get("pattern")
    if pattern and not regex.fullmatch(pattern, value):
        yield f"{where}: '{_shortened(value)}' does not match {pattern}"


def _number_faults(value: Any, shape: Any, where: str) -> Iterator[str]:
    whole = shape.type_name in ("integer", "long")
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        yield f"{where}: {value!r} is no {'whole ' if whole else ''}number."
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield f"{where}: {value} is below {low}."
    if high is not None and value > high:
        yield f"{where}: {value} is above {high}."


def _size_faults(size: int, shape: Any, where: str, unit: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"{where} has {size} {unit}, at least {low} are needed."
    if high is not None and size > high:
        yield f"{where} has {size} {unit}, at most {high} are allowed."


def _shortened(value: str, limit: int = 60) -> str:
    return value if len(value) <= limit else value[:limit] + "..."
