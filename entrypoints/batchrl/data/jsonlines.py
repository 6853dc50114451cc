"""JSON Lines: one object a line, whose keys are the columns; a key that is missing is an empty cell.

Columns come with the types of their values, as a Parquet file's do; one that mixes types is text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from batchrl.contract.errors import InputError, shortened

# So many lines say which columns there are.
HEAD_LINES = 10_000
BATCH_LINES = 1 << 15

Record = dict[str, Any]


def columns_of(file: TextIO, path: Path) -> list[str]:
    """The keys of the first ``HEAD_LINES`` objects, in the order in which they first occur.

    Raises:
        InputError: a line is no JSON object.
    """
    found: dict[str, None] = {}
    for _, record in islice(objects(file, path), HEAD_LINES):
        found.update(dict.fromkeys(record))
    return list(found)


def batches_of(file: TextIO, path: Path, names: Sequence[str], known: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """All objects as batches.

    Args:
        file: the open text.
        path: of the file, for messages.
        names: the columns that are wanted.
        known: all columns.

    Raises:
        InputError: a line is no JSON object, or has a key that no line before ``HEAD_LINES`` has.
    """
    everything = set(known)
    lines = objects(file, path)
    while several := list(islice(lines, BATCH_LINES)):
        for line, record in several:
            if not everything.issuperset(record):
                key = next(key for key in record if key not in everything)
                raise InputError(
                    f"{path}, line {line}: the key '{shortened(key)}' is in none of the first {HEAD_LINES:,} lines.",
                    "Write every key in the first line, with null where there is nothing.",
                )
        yield pa.RecordBatch.from_arrays(
            [_column([record.get(name) for _, record in several]) for name in names], names=list(names)
        )


def records_of(file: TextIO, path: Path, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Every object's line and its values as text, empty where there is none."""
    for line, record in objects(file, path):
        yield line, [_text(record.get(name)) or "" for name in names]


def objects(file: TextIO, path: Path) -> Iterator[tuple[int, Record]]:
    """Every object with its line, counted from 1; blank lines are none.

    Raises:
        InputError: a line is no JSON object.
    """
    for line, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = str(error).removesuffix(": line 1 column 1 (char 0)")
            raise _refuse(path, line, f"no JSON: {reason}") from None
        if not isinstance(found, dict):
            raise _refuse(path, line, f"'{shortened(text.strip(), 60)}' is no JSON object")
        yield line, found


def _refuse(path: Path, line: int, problem: str) -> InputError:
    return InputError(
        f"{path}, line {line}: {problem}.", 'Right is: one JSON object a line, as {"action": 0, "reward": 1.5}.'
    )


def _column(values: list[Any]) -> pa.Array:
    cells = [None if value == "" else value for value in values]
    try:
        return pa.array(cells)
    except (pa.ArrowException, OverflowError):
        return pa.array([_text(value) for value in cells], pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
