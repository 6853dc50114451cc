"""Records of a transform's outputs that hold an error in place of a prediction, as our server answers a bad record."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# ``{"error": "line 3: expected ...", "line": 3}``, and as a row of CSV ``"error: line 3: expected ..."``.
_MARK = re.compile(rb'error"?: ?"?line \d+: ')


@dataclass(frozen=True)
class ErrorRecords:
    """Those of one file.

    Args:
        file: the output.
        count: at least 1.
        first_line: of the file, from 1.
    """

    file: Path
    count: int
    first_line: int


def error_records(files: Iterable[Path]) -> list[ErrorRecords]:
    """Look through outputs, whatever their size; files without error records are left out."""
    found = []
    for file in files:
        if not _is_marked(file):
            continue
        with file.open("rb") as content:
            lines = [number for number, line in enumerate(content, start=1) if _MARK.search(line)]
        found.append(ErrorRecords(file, len(lines), lines[0]))
    return found


def _is_marked(file: Path) -> bool:
    if file.stat().st_size == 0:
        return False
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _MARK.search(content) is not None
