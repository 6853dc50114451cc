"""Files of logged data as batches of Arrow columns: CSV, JSON Lines and Parquet, one file or a folder of them.

What a file is, its first bytes tell (``formats``). Rows without any content are no rows. A CSV's columns come with the
types that ``Table.batches`` is told, those of other files with their own. Folders that are called ``key=value`` are
columns of the files in them, as Hive and Spark lay data out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from batchrl.contract import columns
from batchrl.contract.errors import InputError, shortened
from batchrl.contract.text import NULLS
from batchrl.data import csvfiles, jsonlines
from batchrl.data.blanks import emptied, with_content, with_points
from batchrl.data.csvfiles import Types
from batchrl.data.formats import JSON_SUFFIXES, PARQUET_SUFFIXES, FileFormat, TextOptions, format_of_file
from batchrl.data.onehot import vectors_as_text
from batchrl.data.opening import CellOfAnotherType, guarded, open_text

CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET_ROWS = 1 << 17
# What Hive writes where a partition's value is missing.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
AS_FOUND = TextOptions()


@dataclass(frozen=True)
class Table:
    """One file.

    Args:
        path: of the file.
        names: its columns as it spells them, by their names without spaces around.
        written: the columns that stand in it, as it spells them.
        format: what it is.
        constants: columns that the names of its folders say, as text; None where they say that there is no value.
        vectors: columns whose cells are vectors of the cells of several columns, which are as the file spells them.
    """

    path: Path
    names: Mapping[str, str]
    written: list[str]
    format: FileFormat
    constants: Mapping[str, str | None] = field(default_factory=dict)
    vectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def lined(self) -> bool:
        """Whether rows are lines of a text file."""
        return self.format.kind != "parquet"

    def with_names(self, columns_by_name: Mapping[str, str]) -> Table:
        """The same file, some of whose columns go by other names as well, all at once: two may change places."""
        constants = {name: value for name, value in self.constants.items() if name not in columns_by_name}
        constants |= {name: self.constants[of] for name, of in columns_by_name.items() if of in self.constants}
        names = {name: self.names[of] for name, of in columns_by_name.items()}
        return replace(self, names={**self.names, **names}, constants=constants)

    def with_vectors(self, name: str, parts: Sequence[str], of: Table) -> Table:
        """The same file with a column of vectors, of some columns of the file as it was before any got other names."""
        constants = {each: value for each, value in self.constants.items() if each != name}
        spelled = tuple(of.names[part] for part in parts)
        names = {**self.names, name: ", ".join(parts)}
        return replace(self, names=names, constants=constants, vectors={**self.vectors, name: spelled})

    def batches(
        self,
        types: Types,
        blank: bool = False,
        verbatim: Sequence[str] = (columns.EPISODE_ID,),
    ) -> Iterator[pa.RecordBatch]:
        """The rows of some columns, in the file's order.

        Args:
            types: the columns, and for a CSV how to read each.
            blank: whether to give rows without any content, too.
            verbatim: columns of text in which ``NULLS`` other than the empty text are texts like any other.

        Raises:
            InputError: the file cannot be read; rows of another number of cells are named.
            CellOfAnotherType: a cell of a CSV is not of its column's type.
        """
        vectors = {name: parts for name, parts in self.vectors.items() if name in types}
        own = [name for name in types if name not in self.constants and name not in vectors]
        spelled = {**{name: (self.names[name],) for name in own}, **vectors}
        inside = _one_type_each(types, spelled)
        if not inside:
            inside = {self.written[0]: None}
        fast = self.format.kind == "csv" and any(
            kind is not None and pa.types.is_floating(kind) for kind in inside.values()
        )
        with guarded(self.path):
            for batch in self._source(inside, NULLS if fast else ("",)):
                parts = {name: batch.column(name) for names in spelled.values() for name in names}
                clean = parts if fast or not self.lined else self._without_nulls(parts)
                cells = {name: parts[names[0]] for name, names in spelled.items()}
                filled = {name: clean[names[0]] for name, names in spelled.items()}
                filled |= {name: vectors_as_text([clean[part] for part in of]) for name, of in vectors.items()}
                kept = None if blank else with_content(list(filled.values()))
                cells = {name: (cells if name in verbatim else filled)[name] for name in cells}
                if kept is not None:
                    cells = {name: values.filter(kept) for name, values in cells.items()}
                n_rows = batch.num_rows if kept is None else kept.true_count
                if fast:
                    _refuse_nulls(cells, verbatim)
                for name in self.constants.keys() & types.keys():
                    cells[name] = self._constant(name, types[name], n_rows)
                yield pa.RecordBatch.from_arrays([cells[name] for name in types], names=list(types))

    def _source(self, types: Types, nulls: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns as the file spells them; ``nulls`` of a CSV's cells are empty."""
        if self.format.kind == "csv":
            yield from csvfiles.batches_of(self.path, self.format, types, nulls)
        elif self.format.kind == "jsonl":
            with open_text(self.path, self.format, "strict") as file:
                yield from jsonlines.batches_of(file, self.path, list(types), self.written)
        else:
            file = pq.ParquetFile(self.path, pre_buffer=False)
            yield from file.iter_batches(batch_size=PARQUET_ROWS, columns=list(types))

    def _without_nulls(self, cells: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Columns of text with nothing where ``NULLS`` stand, and with decimal points."""
        filled = {name: emptied(values) for name, values in cells.items()}
        return {name: with_points(values) for name, values in filled.items()} if self.format.decimal == "," else filled

    def _constant(self, name: str, kind: pa.DataType | None, n_rows: int) -> pa.Array:
        """A column of one value: of a wanted type, or else of whole numbers where the text is one."""
        value = self.constants[name]
        cell = pa.scalar(value, pa.string())
        if self.format.kind == "csv" and kind is not None:
            if pa.types.is_dictionary(kind):
                return pa.repeat(cell, n_rows).dictionary_encode()
            try:
                return pa.repeat(cell.cast(kind), n_rows)
            except pa.ArrowInvalid:
                raise CellOfAnotherType(f"'{value}' is not of the type {kind}") from None
        if value is not None and value.removeprefix("-").isdecimal() and str(int(value)) == value:
            cell = pa.scalar(int(value))
        return pa.repeat(cell, n_rows)

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """A text file's header and rows, each with the line that it begins in; slow, for those who look for one.

        Raises:
            InputError: the file cannot be read.
        """
        if self.format.kind == "csv":
            yield from csvfiles.records_of(self.path, self.format)
        else:
            yield 0, self.written
            with guarded(self.path), open_text(self.path, self.format) as file:
                yield from jsonlines.records_of(file, self.path, self.written)


def _refuse_nulls(cells: Mapping[str, pa.Array], verbatim: Sequence[str]) -> None:
    """Have a file read as text, in which the text NA is told from nothing."""
    for name in verbatim:
        if name in cells and cells[name].null_count:
            raise CellOfAnotherType(f"column '{name}' holds one of {', '.join(NULLS[1:])}, or is empty")


def _one_type_each(types: Types, names: Mapping[str, Sequence[str]]) -> dict[str, pa.DataType | None]:
    """How to read each column as the file spells it; as text where it is wanted as two things."""
    result: dict[str, pa.DataType | None] = {}
    for name, every in names.items():
        for spelled in every:
            result[spelled] = types[name] if result.get(spelled, types[name]) == types[name] else pa.string()
    return result


def data_files(path: Path) -> list[Path]:
    """The data files at a path, sorted by name.

    Args:
        path: a file, or a folder that holds files (folders in it are searched too, hidden names are not).

    Raises:
        InputError: there is no such path, or no data file in it.
    """
    known = (*CSV_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES)
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder.", "Give a csv, JSON Lines or Parquet file, or a folder of them."
        )
    if path.is_file():
        return [path]
    relative = [file.relative_to(path) for file in path.rglob("*") if file.is_file()]
    visible = sorted(file for file in relative if not any(part.startswith((".", "_")) for part in file.parts))
    files = [path / file for file in visible if file.name.lower().endswith(known)]
    if not files:
        others = f" (found {', '.join(str(file) for file in visible[:3])})" if visible else ""
        raise InputError(f"{path}: no data file in this folder{others}.", f"Data files end with {', '.join(known)}.")
    return files


def open_tables(path: Path, text: TextOptions = AS_FOUND) -> list[Table]:
    """Look at the columns of all data files at a path.

    Args:
        path: a file, or a folder of files; what its folders called ``key=value`` say are columns, too.
        text: how text files are to be read.

    Raises:
        InputError: one cannot be read, is empty, or names a column twice.
    """
    return [open_table(file, text, _partition(file.relative_to(path).parts[:-1])) for file in data_files(path)]


def _partition(folders: Sequence[str]) -> dict[str, str | None]:
    pairs = (folder.split("=", 1) for folder in folders if folder.find("=") > 0)
    return {unquote(key): None if value == NO_VALUE else unquote(value) for key, value in pairs}


def open_table(path: Path, text: TextOptions = AS_FOUND, partition: Mapping[str, str | None] | None = None) -> Table:
    """Look at one file's columns.

    Args:
        path: the file.
        text: how it is to be read where it is text.
        partition: columns that the names of its folders say; one of the file's own goes before.

    Raises:
        InputError: it cannot be read, is empty, or names a column twice.
    """
    with guarded(path):
        found = format_of_file(path, text)
        written = _columns_of(path, found)
    if not written:
        raise InputError(
            f"{path}: the file is empty.", "Give a csv file with a header, a JSON Lines or a Parquet file."
        )
    names = [name.strip() for name in written]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"{path}: column '{twice[0]}' stands twice in the header.", "Each column has its own name.")
    if found.kind == "csv" and len(names) == 1:
        raise InputError(
            f"{path}: the header is one column, '{shortened(names[0])}'.",
            "Columns are separated by comma, semicolon, tab or pipe; say another character as data.separator.",
        )
    constants = {name: value for name, value in (partition or {}).items() if name not in names}
    spelled = dict(zip(names, written, strict=True)) | {name: name for name in constants}
    return Table(path, spelled, written, found, constants)


def _columns_of(path: Path, found: FileFormat) -> list[str]:
    """As the file spells them; none where it is empty."""
    if found.kind == "parquet":
        return list(pq.read_schema(path).names)
    if found.kind == "csv":
        return next(csvfiles.records_of(path, found), (0, []))[1]
    with open_text(path, found, "strict") as file:
        return jsonlines.columns_of(file, path)
