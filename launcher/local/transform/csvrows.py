"""DataProcessing of CSV: a row is an array of its columns (contract 161; RFC 4180).

Rows are lines: a quoted line end is not supported (contract 138). Columns keep their bytes, in any encoding that
extends ASCII.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Sequence

from launcher.api.jsonpath import JsonPath, PathNotFound
from launcher.local.host.faults import ALGORITHM, CLIENT
from launcher.local.transform.jsonrecords import Locate, shown
from launcher.local.transform.outcome import RecordFault
from launcher.local.transform.settings import TransformSettings

# A column may be as long as its record; what that may be is told by the limit of requests.
csv.field_size_limit(sys.maxsize)

_ERROR = re.compile(r"error: line \d+: ")


class CsvRows:
    """Records that are rows of CSV.

    Args:
        settings: of the job; its filters hold indices and slices only.
    """

    error_mark = b'"error: line '  # begins every error row

    def __init__(self, settings: TransformSettings) -> None:
        self._join = settings.join
        self._input = settings.input_filter
        self._output = settings.output_filter

    def select(self, records: Sequence[bytes], locate: Locate) -> list[bytes]:
        """What the server is to see of each row; see ``JsonRecords.select``."""
        return [
            _written(_taken(self._input, "InputFilter", _columns(record, locate(index), CLIENT), locate(index)))
            for index, record in enumerate(records)
        ]

    def combine(self, records: Sequence[bytes], answers: Sequence[bytes], locate: Locate) -> bytes:
        """Columns of the row, then of its answer; see ``JsonRecords.combine``."""
        if self._output.is_root:
            pairs = map(b",".join, zip(records, answers, strict=True))
            text = b"\n".join([*pairs, b""])
            if b'"' in text:
                for index, (record, answer) in enumerate(zip(records, answers, strict=True)):
                    _columns(record, locate(index), CLIENT)
                    _columns(answer, locate(index), ALGORITHM)
            return text
        lines = []
        for index, answer in enumerate(answers):
            where = locate(index)
            row = _columns(answer, where, ALGORITHM)
            if self._join:
                row = _columns(records[index], where, CLIENT) + row
            lines.append(_written(_taken(self._output, "OutputFilter", row, where)) + b"\n")
        return b"".join(lines)

    def error(self, answer: bytes) -> str | None:
        """The text of our server's error row, without its line; None of any other answer."""
        if not answer.startswith(self.error_mark):
            return None
        return _ERROR.sub("", _columns(answer, "", ALGORITHM)[0])


def _columns(line: bytes, where: str, kind: str) -> list[str]:
    text = line.decode("latin-1")
    if '"' not in text:
        return text.split(",")
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        whose = "the answer" if kind == ALGORITHM else "it"
        raise RecordFault(
            f"{where}: {whose} is no row of CSV (RFC 4180, without line ends in quotes): {shown(line)}", kind
        ) from error
    return row


def _written(columns: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(columns)
    return text.getvalue().encode("latin-1")


def _taken(path: JsonPath, name: str, row: list[str], where: str) -> list[str]:
    try:
        value = path.select(row)
    except PathNotFound as error:
        raise RecordFault(f"{where}: {name} {path.text}: {error}") from error
    return value if isinstance(value, list) else [value]
