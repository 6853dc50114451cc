"""Requests against botocore's service model, as the service itself checks them.

botocore's clients check types, required members and minima only; patterns, enums and maxima are the server's business
(contract 203). Messages are worded as AWS words them, so that they read the same on both clouds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from launcher.api.errors import ApiError, validation
from launcher.api.servicemodel import service_model
from launcher.api.shapes import CONTAINERS, Fault, Into, Kind, Path, faults

MAX_SHOWN = 256

_CONSTRAINTS = {
    Kind.MISSING: "Member must not be null",
    Kind.SHORT: "Member must have length greater than or equal to {}",
    Kind.LONG: "Member must have length less than or equal to {}",
    Kind.LOW: "Member must have value greater than or equal to {}",
    Kind.HIGH: "Member must have value less than or equal to {}",
    Kind.VALUE: "Member must satisfy enum value set: [{}]",
    Kind.PATTERN: "Member must satisfy regular expression pattern: {}",
}


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
    found = list(faults(shape, request, of_json=True))
    if mistyped := next((fault for fault in found if fault.kind is Kind.TYPE), None):
        raise _wrong_type(mistyped)
    if found:
        said = list(_sentences(found))
        count = f"{len(said)} validation error{'s' if len(said) > 1 else ''} detected: "
        raise validation(count + "; ".join(said))


def given(value: Any) -> Any:
    """A checked request without its nulls: what is null was left out."""
    if isinstance(value, dict):
        return {name: given(item) for name, item in value.items() if item is not None}
    return [given(item) for item in value] if isinstance(value, list) else value


def _sentences(found: Iterable[Fault]) -> Iterator[str]:
    for path, group in itertools.groupby(found, key=lambda fault: fault.path):
        together = list(group)
        if _lies_in_map(together[0]):
            yield _of_map(path, together)
        else:
            yield from map(_sentence, together)


def _sentence(fault: Fault) -> str:
    place = f"at '{_spelled(fault.path)}' failed to satisfy constraint:"
    if fault.kind is Kind.UNKNOWN:
        return f"Value {place} {fault.shape.name} has no such member"
    shown = "null" if fault.kind is Kind.MISSING else f"'{str(fault.value)[:MAX_SHOWN]}'"
    return f"Value {shown} {place} {_constraint(fault)}"


def _lies_in_map(fault: Fault) -> bool:
    """Whether a value is a key or a scalar of a map: what is wrong with it is said of the map."""
    into = fault.path[-1].into
    return into is Into.KEY or (into is Into.ENTRY and fault.shape.type_name not in CONTAINERS)


def _of_map(path: Path, together: Sequence[Fault]) -> str:
    of_key = path[-1].into is Into.KEY
    shown, part = (path[-1].at, "keys") if of_key else (f"{path[-1].at}={together[0].value}", "value")
    return (
        f"Value '{{{shown[:MAX_SHOWN]}}}' at '{_spelled(path[:-1])}' failed to satisfy constraint: "
        f"Map {part} must satisfy constraint: [{', '.join(map(_constraint, together))}]"
    )


def _constraint(fault: Fault) -> str:
    wanted = ", ".join(fault.constraint) if fault.kind is Kind.VALUE else fault.constraint
    return _CONSTRAINTS[fault.kind].format(wanted)


def _spelled(path: Path) -> str:
    """A path as AWS's messages spell it: members with a small first letter, items counted from 1."""
    words: list[str] = []
    for step in path:
        match step.into:
            case Into.MEMBER:
                words.append(step.at[:1].lower() + step.at[1:])
            case Into.ITEM:
                words += [str(step.at + 1), "member"]
            case Into.KEY | Into.ENTRY:
                words += [step.at, "member"]
    return ".".join(words)


def _wrong_type(fault: Fault) -> ApiError:
    place = _spelled(fault.path)
    if _lies_in_map(fault) and fault.value is not None:
        place = place.removesuffix(".member")
    given, wanted = type(fault.value).__name__, fault.shape.type_name.capitalize()
    return ApiError("SerializationException", f"{given} at '{place}' cannot be converted to {wanted}")
