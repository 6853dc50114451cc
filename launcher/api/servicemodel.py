"""Checks a request against botocore's model of the service, more strictly than botocore does.

All faults of a request are found, so that they can be reported together.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from batchrl.contract.errors import shortened
from launcher.api.shapes import WHOLE_NUMBERS, Fault, Into, Kind, Path, faults

_UNITS = {"list": "items", "map": "entries", "string": "characters"}
_NOT = {
    "structure": "no mapping",
    "map": "no mapping",
    "list": "no list",
    "string": "no text",
    "boolean": "neither true nor false",
}


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
    return [_sentence(fault) for fault in faults(shape, parameters)]


def _sentence(fault: Fault) -> str:
    where, value, limit = _where(fault.path), fault.value, fault.constraint
    match fault.kind:
        case Kind.MISSING:
            return f"{where} is missing."
        case Kind.UNKNOWN:
            near = difflib.get_close_matches(fault.path[-1].at, fault.shape.members, 1)
            return f"{where} is unknown{f'; did you mean {near[0]}?' if near else '.'}"
        case Kind.TYPE:
            return f"{where or 'the request'}: {shortened(repr(value))} is {_not(fault.shape.type_name)}."
        case Kind.SHORT:
            return f"{where} has {len(value)} {_UNITS[fault.shape.type_name]}, at least {limit} are needed."
        case Kind.LONG:
            return f"{where} has {len(value)} {_UNITS[fault.shape.type_name]}, at most {limit} are allowed."
        case Kind.LOW:
            return f"{where}: {shortened(value)} is below {limit}."
        case Kind.HIGH:
            return f"{where}: {shortened(value)} is above {limit}."
        case Kind.VALUE:
            return f"{where}: '{shortened(value)}' is not valid; {_instead(value, fault.shape.enum, limit)}"
        case Kind.PATTERN:
            return f"{where}: '{_shortened(value)}' does not match {limit}"


def _where(path: Path) -> str:
    where = ""
    for step in path:
        match step.into:
            case Into.MEMBER:
                where += f".{step.at}" if where else step.at
            case Into.ITEM:
                where += f"[{step.at}]"
            case Into.KEY:
                where += f" key '{shortened(step.at)}'"
            case Into.ENTRY:
                where += f"['{shortened(step.at)}']"
    return where


def _not(kind: str) -> str:
    return _NOT.get(kind) or ("no whole number" if kind in WHOLE_NUMBERS else "no number")


def _instead(value: str, enum: Sequence[str], known: Sequence[str]) -> str:
    if near := difflib.get_close_matches(value, known, 1):
        return f"did you mean '{near[0]}'?"
    own = [one for one in known if one not in enum]
    return f"it may be {', '.join([*own, *enum][:8])}."


def _shortened(value: str, limit: int = 60) -> str:
    return value if len(value) <= limit else value[:limit] + "..."
