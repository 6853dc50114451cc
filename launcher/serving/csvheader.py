"""CSV files of records that begin with a header, which a transform would take for a record."""

from __future__ import annotations

import csv
import gzip
import io
import re
import shlex
import zlib
from collections.abc import Sequence
from pathlib import Path

from batchrl.contract.columns import STATE_FEATURE_PREFIX
from batchrl.contract.errors import InputError

# Of a line; what is longer is no header that anybody wrote.
LONGEST_BYTES = 1024 * 1024
COMPRESSED = ".gz"
_NAME = re.compile(r"\s*[A-Za-z_][\w .:-]{0,99}")


def check_no_header(path: Path) -> None:
    """Refuse a file whose first line names the columns of those that follow.

    Args:
        path: CSV, which may be compressed.

    Raises:
        InputError: it does, or it cannot be read.
    """
    first, second = _first_rows(path)
    if not _names_columns(first, second):
        return
    file = shlex.quote(str(path))
    rows = f"zcat {file} | tail -n +2" if path.suffix == COMPRESSED else f"tail -n +2 {file}"
    hint = f"Write the rows alone: {rows} > rows.csv"
    if picked := _state_filter(first):
        hint += (
            f"\nOf such rows the policy takes the columns {STATE_FEATURE_PREFIX}*: --input-filter '{picked}' "
            "(input_filter in Python)."
        )
    raise InputError(f"{path}: line 1 is a header, and each line would be taken for a record.", hint)


def _first_rows(path: Path) -> tuple[Sequence[str], Sequence[str]]:
    try:
        with gzip.open(path) if path.suffix == COMPRESSED else path.open("rb") as file:
            lines = [file.readline(LONGEST_BYTES).decode("utf-8", "replace") for _ in range(2)]
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    try:
        first, second = (next(csv.reader(io.StringIO(line)), []) for line in lines)
    except csv.Error:  # a column of a length that no name has
        return [], []
    return first, second


def _names_columns(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a row can only be the header of the other: several names, all different, most of them above numbers.

    A list of numbers counts as one, as logs hold probabilities; texts are what a log has of ids, dates and categories.
    """
    if len(first) < 2 or len(first) != len(second) or len(set(first)) < len(first):
        return False
    filled = [cell for cell in second if cell.strip()]
    named = all(_NAME.fullmatch(cell) and not _is_number(cell) for cell in first)
    return named and sum(map(_holds_numbers, filled)) > len(filled) / 2


def _holds_numbers(cell: str) -> bool:
    """Whether a cell is a number, or a list of them in JSON."""
    text = cell.strip()
    if text.startswith("[") and text.endswith("]"):
        return all(map(_is_number, text[1:-1].split(",")))
    return _is_number(text)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _state_filter(header: Sequence[str]) -> str:
    """JSONPath of the state's columns; empty where there are none of their usual name."""
    places = [place for place, name in enumerate(header) if name.startswith(STATE_FEATURE_PREFIX)]
    if not places:
        return ""
    if places == list(range(places[0], places[-1] + 1)):
        return f"$[{places[0]}:{places[-1] + 1}]"
    return f"$[{','.join(map(str, places))}]"
