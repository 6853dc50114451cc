"""A value against one of botocore's shapes: each fault as data, for whoever words it.

botocore itself looks at types, required and unknown keys and minimums (contract 203); the service also refuses what
breaks a pattern, a maximum or an enumeration.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.api.instances import EXTRA_VALUES

WHOLE_NUMBERS = frozenset({"integer", "long"})
CONTAINERS = frozenset({"structure", "map", "list"})
_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (Mapping,),
    "map": (Mapping,),
    "list": (list, tuple),
    "string": (str,),
    "boolean": (bool,),
    **dict.fromkeys(WHOLE_NUMBERS, (int,)),
    **dict.fromkeys(("float", "double"), (int, float)),
}
_JSON_TYPES: dict[str, tuple[type, ...]] = {**_TYPES, "blob": (str,), "timestamp": (int, float)}
# How long one pattern may take for one text, and how much too long a text may be to be looked at at all.
PATTERN_SECONDS = 1.0
LOOKED_AT_BEYOND_MAXIMUM = 256
_BITS = {"integer": 32, "long": 64}
_REAL = frozenset({"float", "double", "timestamp"})
_SIZED = frozenset({"string", "blob", "map", "list"})


class Kind(enum.Enum):
    """What is wrong with a value; in brackets, the constraint that a fault names."""

    MISSING = enum.auto()
    UNKNOWN = enum.auto()  # the structure has no such member
    TYPE = enum.auto()
    SHORT = enum.auto()  # text, list or map [least size]
    LONG = enum.auto()  # [greatest size]
    LOW = enum.auto()  # number [least]
    HIGH = enum.auto()  # [greatest]
    VALUE = enum.auto()  # not in the enumeration [its values and the local cloud's own]
    PATTERN = enum.auto()  # [the pattern]


class Into(enum.Enum):
    """How a step leads into a value."""

    MEMBER = enum.auto()
    ITEM = enum.auto()
    KEY = enum.auto()  # a map's key itself
    ENTRY = enum.auto()  # what lies under a map's key


@dataclass(frozen=True)
class Step:
    """One step on the way from a request to a value in it: a name, an index from 0 or a map's key."""

    into: Into
    at: Any


Path = tuple[Step, ...]


@dataclass(frozen=True)
class Fault:
    """One thing that the service would refuse.

    Args:
        path: the steps to the value.
        kind: what is wrong.
        value: what was given; None where it is missing.
        shape: botocore's shape of it; of the structure where a member is missing or unknown.
        constraint: what it does not meet, by its kind.
    """

    path: Path
    kind: Kind
    value: Any
    shape: Any
    constraint: Any = None


def faults(shape: Any, value: Any, *, of_json: bool = False, path: Path = ()) -> Iterator[Fault]:
    """Everything that the service would refuse about a value.

    Args:
        shape: botocore's shape.
        value: what is given for it.
        of_json: whether it came as JSON, where null means left out, a blob is text and a timestamp is a number; else
            it is what botocore's clients take, which look at these themselves.
        path: the steps that led to it.
    """
    kind, below = shape.type_name, functools.partial(faults, of_json=of_json)
    wanted = (_JSON_TYPES if of_json else _TYPES).get(kind)
    if wanted is None:
        return
    # To Python, true and false are numbers.
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted) or _beyond(kind, value):
        yield Fault(path, Kind.TYPE, value, shape)
        return
    for broken, constraint in _broken(shape, value):
        yield Fault(path, broken, value, shape, constraint)
    parts: Any = value
    match kind:
        case "structure":
            yield from _members(shape, parts, of_json, path)
        case "list":
            for index, item in enumerate(parts):
                yield from below(shape.member, item, path=(*path, Step(Into.ITEM, index)))
        case "map":
            for key, item in parts.items():
                yield from below(shape.key, key, path=(*path, Step(Into.KEY, key)))
                yield from below(shape.value, item, path=(*path, Step(Into.ENTRY, key)))


def _beyond(kind: str, value: Any) -> bool:
    """Whether a number is none that the service can hold: beyond 32 or 64 bits, infinite, or not a number."""
    if kind in _BITS:
        most: int = 2 ** (_BITS[kind] - 1)
        return not -most <= value < most
    try:
        return kind in _REAL and not math.isfinite(value)
    except (TypeError, OverflowError):  # no number: botocore's clients take other forms of a time; or one of 400 digits
        return isinstance(value, int)


def _members(shape: Any, value: Mapping[str, Any], of_json: bool, path: Path) -> Iterator[Fault]:
    given = {name: item for name, item in value.items() if not (of_json and item is None and name in shape.members)}
    for name in shape.required_members:
        if name not in given:
            yield Fault((*path, Step(Into.MEMBER, name)), Kind.MISSING, None, shape)
    for name, item in given.items():
        here = (*path, Step(Into.MEMBER, name))
        if name in shape.members:
            yield from faults(shape.members[name], item, of_json=of_json, path=here)
        else:
            yield Fault(here, Kind.UNKNOWN, item, shape)


def _broken(shape: Any, value: Any) -> Iterator[tuple[Kind, Any]]:
    """The constraints of one shape that a value of its type does not meet; what lies in it is not looked at."""
    kind = shape.type_name
    if kind in ("structure", "boolean"):
        return
    sized = kind in _SIZED
    size, least, most = len(value) if sized else value, shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield Kind.SHORT if sized else Kind.LOW, least
    if most is not None and size > most:
        yield Kind.LONG if sized else Kind.HIGH, most
    if kind not in ("string", "blob"):
        return
    if kind == "string" and shape.enum:
        allowed = (*shape.enum, *EXTRA_VALUES.get(shape.name, ()))
        if value not in allowed:
            yield Kind.VALUE, allowed
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value, most):
        yield Kind.PATTERN, pattern


def _matches(pattern: str, value: str, most: int | None) -> bool:
    """Whether text has a pattern. Some of the model's take exponential time for text that nobody would send."""
    if most is not None and len(value) > most + LOOKED_AT_BEYOND_MAXIMUM:
        return True  # it is refused for its length
    try:
        return _compiled(pattern).fullmatch(value, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        return False


@functools.cache
def _compiled(pattern: str) -> Any:
    import regex  # type: ignore[import-untyped]  # three of AWS's patterns are beyond ``re``

    # Java spells characters beyond the first plane as pairs of surrogates; Python's are single characters.
    return regex.compile(pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"))
