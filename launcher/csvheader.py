"""CSV files of records that begin with a header, which a transform would take for a record."""

from __future__ import annotations

import csv
import gzip
import io
import shlex
from collections.abc import Sequence
from pathlib import Path

from batchrl.contract.columns import STATE_FEATURE_PREFIX
from batchrl.contract.errors import InputError

# Of a line; what is longer is no header that anybody wrote.
LONGEST_BYTES = 1024 * 1024
COMPRESSED = ".gz"


def check_no_header(path: Path) -> None:
    """Refuse a file whose first line names the columns of those that follow.

    Args:
        path: CSV, which may be compressed.

    Raises:
        InputError: it does, or it cannot be read.
    """
    first, second = _first_rows(path)
    if not first or any(map(_is_number, first)) or not any(map(_is_number, second)):
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
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    first, second = (next(csv.reader(io.StringIO(line)), []) for line in lines)
    return first, second


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
