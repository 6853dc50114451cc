"""Requests against botocore's service model, as the service itself checks them.

botocore's clients check types, required members and minima only; patterns, enums and maxima are the server's business
(contract 203). Messages are worded as AWS words them, so that they read the same on both clouds.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import regex  # type: ignore[import-untyped]  # some of AWS's patterns are beyond ``re``

from launcher.api.errors import ApiError, validation
from launcher.api.instances import EXTRA_VALUES
from launcher.api.servicemodel import service_model

MAX_SHOWN = 256

_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}
_CONTAINERS = {"structure": dict, "map": dict, "list": list}


def check(service: str, operation: str, request: Any) -> None:
    """Check a parsed request.

    Raises:
        ApiError: SerializationException for a wrong type, ValidationException for everything else, all faults in one.
    """
    shape = service_model(service).operation_model(operation).input_shape
    if not isinstance(request, dict):
        raise ApiError("SerializationException", "The request is no JSON object.")
    if shape is None:
        return
    faults = list(_faults(shape, request, ""))
    if faults:
        count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: "
        raise validation(count + "; ".join(faults))


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind in _CONTAINERS:
        if not isinstance(value, _CONTAINERS[kind]):
            raise _wrong_type(path, value, kind)
        yield from {"structure": _structure, "map": _map, "list": _list}[kind](shape, value, path)
        return
    if not isinstance(value, _SCALARS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise _wrong_type(path, value, kind)
    for constraint in _broken(shape, value):
        yield f"Value '{str(value)[:MAX_SHOWN]}' at '{path}' failed to satisfy constraint: {constraint}"


def _structure(shape: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    members: Mapping[str, Any] = shape.members
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, entry in value.items():
        if name not in members:
            yield f"Value at '{_join(path, name)}' failed to satisfy constraint: {shape.name} has no such member"
        elif entry is not None:
            yield from _faults(members[name], entry, _join(path, name))


def _list(shape: Any, value: list[Any], path: str) -> Iterator[str]:
    yield from _sized(shape, value, path)
    for index, entry in enumerate(value, 1):
        yield from _faults(shape.member, entry, f"{path}.{index}.member")


def _map(shape: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    yield from _sized(shape, value, path)
    for key, entry in value.items():
        if constraints := _broken(shape.key, key):
            yield _of_map(path, key, "keys", constraints)
        if entry is None or shape.value.type_name in _CONTAINERS:
            yield from _faults(shape.value, entry, f"{path}.{key}.member")
        elif not isinstance(entry, _SCALARS[shape.value.type_name]):
            raise _wrong_type(f"{path}.{key}", entry, shape.value.type_name)
        elif constraints := _broken(shape.value, entry):
            yield _of_map(path, f"{key}={entry}", "value", constraints)


def _of_map(path: str, shown: str, part: str, constraints: list[str]) -> str:
    return (
        f"Value '{{{shown[:MAX_SHOWN]}}}' at '{path}' failed to satisfy constraint: "
        f"Map {part} must satisfy constraint: [{', '.join(constraints)}]"
    )


def _sized(shape: Any, value: Any, path: str) -> Iterator[str]:
    for constraint in _bounds(shape, len(value), "length"):
        yield f"Value '{str(value)[:MAX_SHOWN]}' at '{path}' failed to satisfy constraint: {constraint}"


def _broken(shape: Any, value: Any) -> list[str]:
    """Constraints of a scalar shape that a value does not meet."""
    if shape.type_name in ("string", "blob"):
        broken = _bounds(shape, len(value), "length")
        allowed = shape.enum and (*shape.enum, *EXTRA_VALUES.get(shape.name, ()))
        if allowed and value not in allowed:
            broken.append(f"Member must satisfy enum value set: [{', '.join(allowed)}]")
        pattern = shape.metadata.get("pattern")
        if pattern and not _compiled(pattern).fullmatch(value):
            broken.append(f"Member must satisfy regular expression pattern: {pattern}")
        return broken
    return [] if shape.type_name == "boolean" else _bounds(shape, value, "value")


def _bounds(shape: Any, size: float, what: str) -> list[str]:
    broken = []
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if most is not None and size > most:
        broken.append(f"Member must have {what} less than or equal to {most}")
    if least is not None and size < least:
        broken.append(f"Member must have {what} greater than or equal to {least}")
    return broken


@functools.cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    # Java spells characters beyond the first plane as pairs of surrogates; Python's are single characters.
    return regex.compile(pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"))


def _join(path: str, name: str) -> str:
    # AWS's messages spell members with a small first letter.
    small = name[0].lower() + name[1:]
    return f"{path}.{small}" if path else small


def _wrong_type(path: str, value: Any, wanted: str) -> ApiError:
    return ApiError(
        "SerializationException", f"{type(value).__name__} at '{path}' cannot be converted to {wanted.capitalize()}"
    )
