"""Records of a transform's outputs that hold an error in place of a prediction, as our server answers a bad record."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# ``{"error": "line 3: expected ...", "line": 3}``, and as a row of CSV ``"error: line 3: expected ..."``.
_MARK = re.compile(rb'error"?: ?"?line \d+: ([^"\\\n]*)')


@dataclass(frozen=True)
class ErrorRecords:
    """Those of one file.

    Args:
        file: the output.
        count: at least 1.
        first_line: of the file, from 1.
        fault: what is wrong with the first.
    """

    file: Path
    count: int
    first_line: int
    fault: str


def error_records(files: Iterable[Path]) -> list[ErrorRecords]:
    """Look through outputs, whatever their size; files without error records are left out."""
    found = []
    for file in files:
        first = _first_mark(file)
        if first is None:
            continue
        with file.open("rb") as content:
            lines = [number for number, line in enumerate(content, start=1) if _MARK.search(line)]
        found.append(ErrorRecords(file, len(lines), lines[0], first))
    return found


def count_records(files: Iterable[Path]) -> int:
    """Records of outputs that hold one a line."""
    total = 0
    for file in files:
        with file.open("rb") as content:
            total += sum(not line.isspace() for line in content)
    return total


def _first_mark(file: Path) -> str | None:
    """What is wrong with the first error record; None where there is none."""
    if file.stat().st_size == 0:
        return None
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _MARK.search(content)
        return None if found is None else found[1].decode("utf-8", "replace")
