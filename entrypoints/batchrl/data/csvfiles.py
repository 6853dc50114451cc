"""CSV: its rows as Arrow batches, and line by line for those who look for one of them."""

from __future__ import annotations

import csv
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from batchrl.contract.errors import InputError
from batchrl.contract.text import like_it
from batchrl.data.formats import UTF8, FileFormat
from batchrl.data.opening import CellOfAnotherType, guarded, open_text

# A row must fit into a block; a few blocks are in memory at a time.
BLOCK_BYTES = 8 * 1024**2
LARGEST_CELL = 2**31 - 1
# Further lines that a message names.
NAMED = 2

Types = Mapping[str, pa.DataType | None]


def batches_of(path: Path, form: FileFormat, types: Types, nulls: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of some columns.

    Args:
        path: the file.
        form: what it is.
        types: the columns as the file spells them, and how to read each; None leaves that to Arrow.
        nulls: texts that stand for nothing.

    Raises:
        InputError: a row has another number of cells than the header, or is no text.
        CellOfAnotherType: a cell is not of its column's type.
        pa.ArrowInvalid: the file cannot be read.
    """
    _keep_quiet_about_rows_that_are_no_text()
    try:
        with _open(path, form) as stream:
            yield from pyarrow.csv.open_csv(
                stream,
                read_options=pyarrow.csv.ReadOptions(
                    block_size=BLOCK_BYTES, encoding="utf8" if form.encoding == UTF8 else form.encoding
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=form.separator, newlines_in_values=True, invalid_row_handler=_invalid
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types={name: kind for name, kind in types.items() if kind is not None},
                    include_columns=list(types),
                    null_values=nulls,
                    strings_can_be_null=True,
                    decimal_point=form.decimal,
                ),
            )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):  # a header without a line break after it
            return
        if "UTF8" in str(error):
            _refuse_bytes(path, form)
        text_would_do = any(kind is None or pa.types.is_floating(kind) for kind in types.values())
        if text_would_do and "conversion error" in str(error):
            raise CellOfAnotherType(str(error)) from None
        _refuse_ragged(path, form)
        raise


def records_of(path: Path, form: FileFormat) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows, each with the line that it begins in, counted from 1; slow.

    Raises:
        InputError: the file cannot be read.
    """
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        with guarded(path), open_text(path, form) as file:
            reader = csv.reader(file, delimiter=form.separator)
            line = 1
            for cells in reader:
                if len(cells) > 1 or (cells and cells[0].strip()):
                    yield line, cells
                line = reader.line_num + 1
    finally:
        csv.field_size_limit(before)


def _open(path: Path, form: FileFormat) -> Any:
    file = pa.OSFile(str(path), "rb")
    return pa.CompressedInputStream(file, "gzip") if form.packed else file


def _refuse_ragged(path: Path, form: FileFormat) -> None:
    """Name the first row whose cells are fewer or more than the header's, and count all of them."""
    rows = records_of(path, form)
    _, header = next(rows)
    ragged = ((line, cells) for line, cells in rows if len(cells) != len(header))
    if first := next(ragged, None):
        line, cells = first
        spaced = any(cell.startswith(" ") and cell.lstrip().startswith('"') for cell in cells)
        separator = "comma" if form.separator == "," else f"'{form.separator}'"
        raise InputError(
            f"{path}, line {line}: the row has {len(cells)} cells, but the header names {len(header)} columns"
            f"{_also([line, *(other for other, _ in ragged)])}.",
            f"Right is: a cell for each column; a cell with a {separator} in it stands in double quotes"
            f"{', which count only where no space stands before them' if spaced else ''}.",
        )


def _also(lines: Sequence[int]) -> str:
    """How many lines but the first are wrong as well, and which are the first of them."""
    return like_it(len(lines) - 1, "line", [f"line {line}" for line in lines[1 : 1 + NAMED]])


def _refuse_bytes(path: Path, form: FileFormat) -> None:
    """Name the first line that is no UTF-8, and count all of them."""
    wrong: list[tuple[int, int]] = []
    with open_text(path, form, "surrogateescape") as file:
        for line, text in enumerate(file, start=1):
            if sign := next((sign for sign in text if "\udc80" <= sign <= "\udcff"), None):
                wrong.append((line, ord(sign) - 0xDC00))
    if wrong:
        line, byte = wrong[0]
        raise InputError(
            f"{path}, line {line}: the byte 0x{byte:02x} is no UTF-8{_also([line for line, _ in wrong])}.",
            "Save the file as UTF-8, or say what it is: data.encoding=cp1252 for most files of Windows.",
        )


def _invalid(row: Any) -> str:
    return "error" if row.text.strip() else "skip"


@functools.cache
def _keep_quiet_about_rows_that_are_no_text() -> None:
    """Keep Arrow from printing a traceback for a row that it cannot decode for ``_invalid``.

    It takes such a row for an error, which is told with its line (``_refuse_ragged``).
    """
    earlier = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if unraisable.object is not _invalid:
            earlier(unraisable)

    sys.unraisablehook = hook
