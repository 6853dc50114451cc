"""The same data in another format: CSV, gzip CSV and Parquet, with ranges in the place of quantities.

One CSV that becomes a CSV keeps every byte, also its separator, unless a column becomes one of ranges. In Parquet,
numbers are numbers, vectors are lists, and columns of a CSV that training does not know stay text. Nothing is checked
beyond that: ``batchrl data check`` does.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.contract.files import whole_file
from batchrl.data.binning import Bins
from batchrl.data.cells import numbers
from batchrl.data.dataset import Floats64
from batchrl.data.formats import TextOptions
from batchrl.data.locations import RowLocations
from batchrl.data.probabilities import UnreadableProbabilities
from batchrl.data.storage import out_of_room
from batchrl.data.tables import AS_FOUND, Table, open_tables
from batchrl.data.vectors import is_list, vectors_of

CSV, PACKED_CSV, PARQUET = "csv", "csv.gz", "parquet"
SUFFIXES = {".csv": CSV, ".csv.gz": PACKED_CSV, ".parquet": PARQUET, ".pq": PARQUET}
VECTORS = (columns.ALL_ACTION_PROBABILITIES, columns.TARGET_ACTION_PROBABILITIES, columns.TARGET_Q_VALUES)
INTEGERS = (columns.ACTION, columns.TERMINAL, columns.TRUNCATED)
FEATURES = (columns.STATE_FEATURE_PREFIX, columns.NEXT_STATE_FEATURE_PREFIX)
NUMBERS = (columns.REWARD, columns.CUMULATIVE_REWARDS)

LIST = pa.list_(pa.float64())

Batches = Iterable[pa.RecordBatch]


def format_of(path: Path) -> str:
    """The format that a file's name says.

    Raises:
        InputError: it says none.
    """
    for suffix, name in SUFFIXES.items():
        if path.name.lower().endswith(suffix):
            return name
    raise InputError(
        f"{path}: its name does not say a format.",
        f"End it with one of {', '.join(SUFFIXES)}; or .h5, for d3rlpy. For Minari, it is minari:NAME.",
    )


def convert(
    source: Path,
    target: Path,
    overwrite: bool = False,
    text: TextOptions = AS_FOUND,
    bins: Sequence[Bins] = (),
) -> int:
    """Write the rows of all files of a data set into one file, in their order.

    Args:
        source: a file or folder of data.
        target: the file; its name says the format. It appears when it is whole.
        overwrite: whether it may replace a file.
        text: how text files of the source are to be read.
        bins: the ranges of columns that are written as names of ranges.

    Returns:
        The number of rows.

    Raises:
        InputError: the source cannot be read, its files have different columns, a cell of a known column is no number
            or vector, or the target exists or has no room.
    """
    format_of(target)
    tables = open_tables(source, text)
    names = list(tables[0].names)
    for table in tables:
        if set(table.names) != set(names):
            missing = sorted(set(table.names) ^ set(names))
            raise InputError(f"{table.path}: its columns differ from those of {tables[0].path}: {', '.join(missing)}.")
    if len(tables) == 1 and tables[0].format.kind == "csv" and format_of(target) != PARQUET and not bins:
        return _recode(tables[0], target, overwrite)
    as_lists, ranges = format_of(target) == PARQUET, {each.column: each for each in bins}
    batches = (batch for table in tables for batch in _rows(table, names, as_lists, ranges))
    return write_batches(batches, target, overwrite)


def write_batches(batches: Batches, target: Path, overwrite: bool) -> int:
    """Write batches of one schema; see ``convert``."""
    rows = 0
    with whole_target(target, overwrite) as temporary:
        chosen = format_of(target)
        writer: Any = None
        try:
            for batch in batches:
                ready = batch if chosen == PARQUET else _as_text(batch)
                if writer is None:
                    schema = ready.schema
                    writer = _writer(chosen, temporary, schema)
                writer.write_batch(_cast(ready, schema, target))
                rows += batch.num_rows
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise InputError(f"{target}: there are no rows to write.", "Give data with a row.")
    return rows


def _cast(batch: pa.RecordBatch, schema: pa.Schema, target: Path) -> pa.RecordBatch:
    """A batch with the types of the first one: files of one data set may spell them differently."""
    if batch.schema == schema:
        return batch
    try:
        return pa.RecordBatch.from_arrays(
            [cells.cast(kind) for cells, kind in zip(batch.columns, schema.types, strict=True)], schema=schema
        )
    except pa.ArrowException as error:
        raise InputError(
            f"{target}: the files have columns of different types: {str(error).splitlines()[0]}.",
            "Convert each file on its own.",
        ) from None


class _CsvFile:
    """A CSV, compressed or not; the same rows give the same bytes."""

    def __init__(self, path: Path, schema: pa.Schema, packed: bool) -> None:
        self._raw = path.open("wb")
        self._file: IO[bytes] = _packed(self._raw) if packed else self._raw
        self._writer = pyarrow.csv.CSVWriter(self._file, schema)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()
        self._file.close()
        self._raw.close()


def _writer(chosen: str, path: Path, schema: pa.Schema) -> Any:
    return pq.ParquetWriter(path, schema) if chosen == PARQUET else _CsvFile(path, schema, chosen == PACKED_CSV)


def _packed(raw: IO[bytes]) -> IO[bytes]:
    # No name and no time in the header.
    return gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6)  # type: ignore[return-value]


def _recode(table: Table, target: Path, overwrite: bool) -> int:
    """Compress or expand a CSV, byte for byte."""
    rows: int = sum(batch.num_rows for batch in table.batches({next(iter(table.names)): pa.string()}, blank=True))
    with (
        whole_target(target, overwrite) as temporary,
        table.path.open("rb") as raw_source,
        temporary.open("wb") as raw_target,
    ):
        source: Any = gzip.GzipFile(fileobj=raw_source) if table.format.packed else raw_source
        packed = format_of(target) == PACKED_CSV
        file = _packed(raw_target) if packed else raw_target
        shutil.copyfileobj(source, file, 1 << 20)
        if packed:
            file.close()
    return rows


@contextmanager
def whole_target(target: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary file beside the target, which takes the target's name at the end and is removed on a fault.

    Raises:
        InputError: the target is a folder, exists and must not be replaced, or cannot be written.
    """
    if target.is_dir():
        raise InputError(f"{target} is a folder.", "Give the name of a file.")
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists.", "Choose another name, or replace it with --force.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as temporary, out_of_room(0, target.parent):
            yield temporary
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}.", "Choose another place.") from error


def _rows(table: Table, names: Sequence[str], as_lists: bool, ranges: Mapping[str, Bins]) -> Iterator[pa.RecordBatch]:
    """The file's rows with the columns in one order and with types; vectors as lists, or else as the file has them."""
    places = RowLocations(names)
    places.begin(table, 0)
    row = 0
    for batch in table.batches(dict.fromkeys(names, pa.string())):
        arrays = []
        for name in names:
            cells = batch.column(name)
            if name in ranges:
                cells = ranges[name].named(cells, places, row)
            elif as_lists and name in VECTORS:
                cells = _vector_lists(cells, name, places, row)
            elif table.lined and name not in VECTORS:
                cells = _typed(cells, name, places, row)
            arrays.append(cells)
        yield pa.RecordBatch.from_arrays(arrays, names=list(names))
        row += batch.num_rows


def _typed(cells: pa.Array, name: str, places: RowLocations, row: int) -> pa.Array:
    """A CSV's column as Parquet has it."""
    if not (name in (*INTEGERS, *NUMBERS) or name.startswith(FEATURES)):
        return cells
    floats, wrong = numbers(cells)
    if wrong is not None and name == columns.ACTION and np.isnan(floats).all():
        return cells  # actions that are called by name
    if wrong is not None:
        raise places.refuse(row + wrong, name, "'{value}' is not a number", "one number")
    whole = name in INTEGERS
    if whole and (uneven := np.flatnonzero(~np.isnan(floats) & (floats != np.round(floats)))).size:
        raise places.refuse(row + int(uneven[0]), name, "{value} is not an integer", "an integer")
    # NaN in a CSV is an empty cell.
    result = pa.array(floats, from_pandas=True)
    return result.cast(pa.int64()) if whole else result


def _vector_lists(cells: pa.Array, name: str, places: RowLocations, row: int) -> pa.Array:
    try:
        values = vectors_of(cells)
    except UnreadableProbabilities as error:
        raise places.refuse_vector(row, name, error) from None
    return pa.nulls(len(cells), LIST) if values is None else lists_of(values, pc.is_null(cells))


def lists_of(values: Floats64, empty: pa.Array | None = None) -> pa.Array:
    """``[m, A]`` as lists; null where ``empty``."""
    offsets = pa.array(np.arange(len(values) + 1, dtype=np.int32) * values.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()), mask=empty)


def _as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lists as text: a CSV has no other spelling for them."""
    arrays = [_texts(cells) if is_list(cells.type) else cells for cells in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _texts(cells: pa.Array) -> pa.Array:
    return pa.array([None if cell is None else json.dumps(cell) for cell in cells.to_pylist()], pa.string())
