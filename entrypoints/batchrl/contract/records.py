"""Dataclasses as JSON and back, for what must start without pydantic: a server, a job, the command line."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")


def to_json(record: Any) -> dict[str, Any]:
    """The fields of a dataclass in JSON's types: those of others within it as mappings, tuples as lists."""
    return {field.name: _plain(getattr(record, field.name)) for field in fields(record)}


def from_json(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Read what ``to_json`` gave.

    Args:
        kind: the dataclass; a field may be another one, a tuple, or optional.
        values: by field; one that is missing has its default.

    Raises:
        TypeError: a field without a default is missing, or there is none of a name.
    """
    hints = _hints(kind)  # type: ignore[arg-type]  # a class has a hash
    return kind(**{name: _read(hints.get(name), value) for name, value in values.items()})


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_json(value)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _read(hint: Any, value: Any) -> Any:
    options = get_args(hint)
    if NoneType in options:
        hint = None if value is None else next(option for option in options if option is not NoneType)
    if get_origin(hint) is tuple:
        return tuple(value)
    return from_json(hint, value) if is_dataclass(hint) else value  # type: ignore[arg-type]  # a class, and no value
