"""States on their way to an endpoint: from lists, arrays, frames and records to lines of JSON, in bodies small enough.

numpy and pandas are understood by what their objects can do, not imported.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchrl.contract.errors import InputError
from launcher.api.constants import MAX_INVOCATION_BYTES

_NUMBERS = {int, float}
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True)
class Body:
    """One request.

    Args:
        first: index of its first row, from 0.
        rows: how many there are.
        content: a line of JSON each.
    """

    first: int
    rows: int
    content: bytes


def as_lines(states: Any) -> list[bytes]:
    """States as lines of JSON, without line ends.

    Args:
        states: as ``as_rows`` has them; or records as the log has them, one or a list: mappings from the columns' names
            to numbers, texts, dates, or None where there is no value (NaN is none).

    Raises:
        InputError: naming the first row that is not like that.
    """
    if isinstance(states, Mapping):
        states = [states]
    if not (isinstance(states, list | tuple) and states and all(isinstance(each, Mapping) for each in states)):
        return encode(as_rows(states))
    lines = []
    for index, record in enumerate(states):
        try:
            lines.append(_encode({str(name): _cell(value) for name, value in record.items()}).encode())
        except (TypeError, ValueError) as error:
            raise InputError(
                f"row {index + 1}: it is no record: {error}.", "Values are numbers, texts, dates and lists of them."
            ) from error
    return lines


def _cell(value: Any) -> Any:
    """A value of a record as JSON has it."""
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_cell(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def as_rows(states: Any) -> list[list[float]]:
    """States as a list of rows of numbers.

    Args:
        states: rows of ``d`` numbers: lists, an array ``[N, d]``, a frame with ``d`` columns; or one state alone.

    Raises:
        InputError: naming the first row that is not like that.
    """
    if hasattr(states, "to_numpy"):
        states = states.to_numpy()
    if hasattr(states, "tolist"):
        states = states.tolist()
    if isinstance(states, str | bytes) or not isinstance(states, Sequence):
        raise InputError(
            f"states: a {type(states).__name__} holds no states.", "Give a list of lists, an array or a frame."
        )
    given = [states] if states and not _is_row(states[0]) else states
    rows: list[list[float]] = []
    for index, each in enumerate(given):
        row = each.tolist() if hasattr(each, "tolist") else each
        width = len(rows[0]) if rows else None
        if not _is_plain(row, width):
            row = _checked(index, row, width)
        rows.append(row)
    return rows


def encode(rows: Sequence[Sequence[float]]) -> list[bytes]:
    """Rows as lines of JSON, without line ends."""
    return [_encode(row).encode() for row in rows]


def bodies(lines: Sequence[bytes], limit: int = MAX_INVOCATION_BYTES) -> Iterator[Body]:
    """As few requests as the limit allows, in the order of the lines.

    Args:
        lines: without line ends.
        limit: bytes of one request.

    Raises:
        InputError: a line alone is longer than that.
    """
    first, size = 0, 0
    held: list[bytes] = []
    for index, line in enumerate(lines):
        length = len(line) + 1
        if length > limit:
            raise InputError(
                f"row {index + 1}: {length} bytes, and a request to an endpoint holds {limit} at most.",
                "Use a batch transform, whose requests may be larger.",
            )
        if size + length > limit:
            yield Body(first, len(held), b"\n".join(held) + b"\n")
            first, size, held = index, 0, []
        held.append(line)
        size += length
    if held:
        yield Body(first, len(held), b"\n".join(held) + b"\n")


def _is_row(value: Any) -> bool:
    return hasattr(value, "tolist") or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def _is_plain(row: Any, width: int | None) -> bool:
    """Whether a row needs no second look: as many Python numbers as the first one, all finite."""
    try:
        return (
            type(row) is list
            and (len(row) == width or (width is None and bool(row)))
            and _NUMBERS.issuperset(map(type, row))
            and all(map(math.isfinite, row))
        )
    except OverflowError:  # a whole number that no double can hold
        return False


def _checked(index: int, row: Any, width: int | None) -> list[float]:
    """A row of Python numbers.

    Raises:
        InputError: it cannot be one.
    """
    where = f"row {index + 1}"
    if not _is_row(row):
        raise InputError(f"{where}: {row!r} is no list of features.")
    if width is not None and len(row) != width:
        raise InputError(f"{where}: {len(row)} features, and the first row has {width}.")
    if not len(row):
        raise InputError(f"{where}: it has no features.")
    numbers: list[float] = []
    for column, given in enumerate(row, 1):
        value = given.item() if hasattr(given, "item") else given
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{where}, feature {column}: {value!r} is no number.")
        if not abs(value) <= sys.float_info.max:
            raise InputError(f"{where}, feature {column}: {value!r} is not finite.")
        numbers.append(value)
    return numbers
