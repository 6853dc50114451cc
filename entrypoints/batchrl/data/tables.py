"""Files of logged data as batches of Arrow columns: CSV (also gzipped) and Parquet, one file or a folder of them.

Rows without any content are no rows. A CSV's columns come with the types that ``Table.batches`` is told, a Parquet
file's with their own.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from batchrl.contract.errors import InputError

CSV_SUFFIXES = (".csv", ".csv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")
NULLS = ("", "nan", "NaN", "NA", "null", "None")
# A CSV row must fit into a block; a few blocks are in memory at a time.
CSV_BLOCK_BYTES = 8 * 1024**2
PARQUET_ROWS = 1 << 17
LARGEST_CELL = 2**31 - 1


class CellOfAnotherType(ValueError):
    """A CSV cell cannot be read as the type that was asked for; read as text, it can be named."""


@dataclass(frozen=True)
class Table:
    """One file.

    Args:
        path: of the file.
        names: its columns as it spells them, by their names without spaces around.
        lined: whether rows are lines of a text file.
    """

    path: Path
    names: Mapping[str, str]
    lined: bool

    def batches(self, types: Mapping[str, pa.DataType | None], blank: bool = False) -> Iterator[pa.RecordBatch]:
        """The rows of some columns, in the file's order.

        Args:
            types: the columns, and for a CSV how to read each.
            blank: whether to give rows without any content, too.

        Raises:
            InputError: the file cannot be read; rows of another number of cells are named.
            CellOfAnotherType: a cell of a CSV is not of its column's type.
        """
        wanted = [self.names[name] for name in types]
        with _guarded(self.path):
            if self.lined:
                source = self._csv_batches(dict(zip(wanted, types.values(), strict=True)))
            else:
                file = pq.ParquetFile(self.path, pre_buffer=False)
                source = file.iter_batches(batch_size=PARQUET_ROWS, columns=list(dict.fromkeys(wanted)))
            for batch in source:
                chosen = [batch.column(name) for name in wanted]
                rows = pa.RecordBatch.from_arrays(chosen, names=list(types))
                yield rows if blank else _with_content(rows)

    def _csv_batches(self, types: Mapping[str, pa.DataType | None]) -> Iterator[pa.RecordBatch]:
        _keep_quiet_about_rows_that_are_no_text()
        try:
            with self._open() as stream:
                yield from pyarrow.csv.open_csv(
                    stream,
                    read_options=pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
                    parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=_invalid),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types=types, include_columns=list(types), null_values=NULLS, strings_can_be_null=True
                    ),
                )
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):  # a header without a line break after it
                return
            text_would_do = any(kind is not None and pa.types.is_floating(kind) for kind in types.values())
            if text_would_do and "conversion error" in str(error) and "UTF8" not in str(error):
                raise CellOfAnotherType(str(error)) from None
            self._refuse_ragged()
            raise

    def _open(self) -> Any:
        file = pa.OSFile(str(self.path), "rb")
        return pa.CompressedInputStream(file, "gzip") if is_packed(self.path) else file

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """A CSV's header and rows, each with the line that it begins in; slow, for those who look for one of them.

        Raises:
            InputError: the file cannot be read.
        """
        before = csv.field_size_limit(LARGEST_CELL)
        try:
            with _guarded(self.path), open_text(self.path) as file:
                reader = csv.reader(file)
                line = 1
                for cells in reader:
                    if len(cells) > 1 or (cells and cells[0].strip()):
                        yield line, cells
                    line = reader.line_num + 1
        finally:
            csv.field_size_limit(before)

    def _refuse_ragged(self) -> None:
        """Name the first row whose cells are fewer or more than the header's."""
        rows = self.records()
        _, header = next(rows)
        for line, cells in rows:
            if len(cells) != len(header):
                raise InputError(
                    f"{self.path}, line {line}: the row has {len(cells)} cells, but the header names "
                    f"{len(header)} columns.",
                    "Right is: a cell for each column; a cell with a comma in it stands in double quotes.",
                )


def data_files(path: Path) -> list[Path]:
    """The data files at a path, sorted by name.

    Args:
        path: a file, or a folder that holds files (folders in it are searched too, hidden names are not).

    Raises:
        InputError: there is no such path, or no data file in it.
    """
    known = (*CSV_SUFFIXES, *PARQUET_SUFFIXES)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.", "Give a csv or Parquet file, or a folder of them.")
    if path.is_file():
        return [path]
    relative = [file.relative_to(path) for file in path.rglob("*") if file.is_file()]
    visible = sorted(file for file in relative if not any(part.startswith((".", "_")) for part in file.parts))
    files = [path / file for file in visible if file.name.lower().endswith(known)]
    if not files:
        others = f" (found {', '.join(str(file) for file in visible[:3])})" if visible else ""
        raise InputError(f"{path}: no data file in this folder{others}.", f"Data files end with {', '.join(known)}.")
    return files


def is_packed(path: Path) -> bool:
    """Whether a file's name says that it is compressed with gzip."""
    return path.name.lower().endswith(".gz")


def open_table(path: Path) -> Table:
    """Look at one file's columns.

    Raises:
        InputError: it cannot be read, is empty, or names a column twice.
    """
    lined = not path.name.lower().endswith(PARQUET_SUFFIXES)
    if lined:
        _, written = next(Table(path, {}, lined).records(), (0, []))
        if not written:
            raise InputError(f"{path}: the file is empty.", "Give a csv file with a header, or a Parquet file.")
    else:
        with _guarded(path):
            written = pq.read_schema(path).names
    names = [name.strip() for name in written]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"{path}: column '{twice[0]}' stands twice in the header.", "Each column has its own name.")
    return Table(path, dict(zip(names, written, strict=True)), lined)


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """A CSV as text; bytes that are no UTF-8 are replaced."""
    with path.open("rb") as raw:
        packed = gzip.GzipFile(fileobj=raw) if is_packed(path) else raw
        with io.TextIOWrapper(packed, encoding="utf-8-sig", errors="replace", newline="") as file:
            yield file


def _with_content(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Only the rows that have a value in any of the columns."""
    if not all(column.null_count or pa.types.is_floating(column.type) for column in batch.columns):
        return batch
    blank = None
    for column in batch.columns:
        empty = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
        blank = empty if blank is None else pc.and_(blank, empty)
        if not pc.any(blank).as_py():
            return batch
    return batch if blank is None else batch.filter(pc.invert(blank))


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


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    try:
        yield
    except (InputError, CellOfAnotherType):
        raise
    except MemoryError:
        raise InputError(f"{path}: the file does not fit into memory.", "Set data.storage to mapped.") from None
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException, csv.Error) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: the file cannot be read: {reason}") from error
