"""What kinds of values the columns of the state hold, and their cells as numbers: as they are, codes, or seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batchrl.contract.errors import InputError
from batchrl.contract.text import DECIMAL, NULLS
from batchrl.data.cells import is_text, labels, numbers, read_numbers, seconds_of_texts
from batchrl.data.dataset import Floats32, Floats64, Integers
from batchrl.data.encoding import Kind, RawColumn, needs_offset
from batchrl.data.formats import has_decimal_comma
from batchrl.data.tables import Table
from batchrl.data.timecolumn import seconds_of_temporal
from presets.dataschema import DataSettings

FIRST_TEXTS = 100
PROBLEM: Mapping[Kind, str] = {
    "number": "'{value}' is not a number",
    "category": "{value} is no level of a category",
    "date": "'{value}' is no date",
}
RIGHT: Mapping[Kind, str] = {
    "number": "one number; a column of texts is named in data.categories, one of dates in data.dates",
    "category": "a text or a whole number",
    "date": "a date as 2026-11-30 or 2026-11-30T08:00:00Z, or seconds since 1970",
}


def said_kinds(states: Sequence[str], settings: DataSettings) -> dict[str, Kind]:
    """The kinds that the settings say.

    Raises:
        InputError: they name a column that is none of the state's, or one twice.
    """
    said: dict[str, Kind] = {}
    lists: tuple[tuple[str, Kind, Sequence[str] | None], ...] = (
        ("data.categories", "category", settings.categories),
        ("data.dates", "date", settings.dates),
    )
    for key, kind, names in lists:
        for name in names or ():
            if name not in states:
                raise InputError(
                    f"{key} names '{name}', which is no column of the state.", f"Its columns are {', '.join(states)}."
                )
            if name in said:
                raise InputError(f"{key} names '{name}', which data.categories names as well.", "Name it in one.")
            said[name] = kind
    return said


def found_kinds(tables: Sequence[Table], states: Sequence[str], said: Mapping[str, Kind]) -> dict[str, Kind]:
    """The kinds of all columns, from the first cells of each.

    A column in which any cell is a number holds numbers; one of texts only, dates if any is one, or else categories.

    Args:
        tables: the files.
        states: the columns.
        said: kinds that are known.
    """
    found = dict(said)
    for table in tables:
        wanted = [name for name in states if name not in found]
        if not wanted:
            break
        kind = pa.string() if table.format.kind == "csv" else None
        for batch in table.batches(dict.fromkeys(wanted, kind)):
            for name in wanted:
                if name not in found and (of_cells := kind_of(batch.column(name))) is not None:
                    found[name] = of_cells
            if all(name in found for name in wanted):
                break
    return {name: found.get(name, "number") for name in states}


def begins_with_text(table: Table, kinds: Mapping[str, Kind]) -> bool:
    """Whether the first row of a CSV has a text where a number is supposed: a guess, which saves a vain attempt."""
    own = [name for name, kind in kinds.items() if kind == "number" and name in table.names]
    try:
        records = table.records()
        _, header = next(records)
        _, cells = next(records)
        first = dict(zip(header, cells, strict=True))
    except (InputError, StopIteration, ValueError):
        return False
    texts = [first.get(table.names[name], "").strip() for name in own]
    return any(text not in NULLS and not DECIMAL.fullmatch(text) for text in texts)


def kind_of(cells: pa.Array) -> Kind | None:
    """Of a column that begins with these cells; None where all are empty."""
    kind = cells.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "date"
    if pa.types.is_dictionary(kind):
        return kind_of(cells.dictionary_decode())
    if not is_text(kind):
        return None if cells.null_count == len(cells) else "number"
    texts = pc.unique(pc.utf8_trim_whitespace(cells.drop_null()))
    texts = texts.filter(pc.invert(pc.is_in(texts, pa.array(NULLS, kind))))
    if not len(texts):
        return None
    # One number is enough, and is mostly found among the first.
    for some in (texts[:FIRST_TEXTS], texts[FIRST_TEXTS:]):
        if not np.isnan(numbers(some)[0]).all() or any(has_decimal_comma(text) for text in some.to_pylist()):
            return "number"
    dates = seconds_of_texts(pd.Series(texts.to_pylist(), dtype=object))
    return "category" if np.isnan(dates).all() else "date"


class StateColumns:
    """Reads the cells of the state's columns; those of the next state's share their levels.

    Args:
        kinds: of the columns.
    """

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = dict(kinds)
        self._levels: dict[str, dict[str, int]] = {name: {} for name, kind in kinds.items() if kind == "category"}

    def values(self, name: str, cells: pa.Array) -> tuple[Floats64, Integers]:
        """The cells of a column, and the positions of those that cannot be read; see ``read_numbers``."""
        kind = self._kinds[name]
        if kind == "category":
            return self._codes(name, cells)
        return seconds(cells) if kind == "date" else read_numbers(cells)

    def words(self, name: str) -> tuple[str, str]:
        """What is wrong with a cell of a column that cannot be read, and what it is to be."""
        return PROBLEM[self._kinds[name]], RIGHT[self._kinds[name]]

    def columns(self) -> tuple[RawColumn, ...]:
        """The columns, with the levels so far."""
        return tuple(RawColumn(name, kind, tuple(self._levels.get(name, ()))) for name, kind in self._kinds.items())

    def _codes(self, name: str, cells: pa.Array) -> tuple[Floats64, Integers]:
        if pa.types.is_floating(cells.type) or pa.types.is_nested(cells.type):
            return np.full(len(cells), np.nan), np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False))
        positions, texts = labels(cells)
        known = self._levels[name]
        codes = [_code(text.strip(), known) for text in texts]
        return np.array([*codes, np.nan], np.float64)[positions], np.zeros(0, np.int64)


def _code(text: str, known: dict[str, int]) -> float:
    return known.setdefault(text, len(known)) if text else np.nan


def seconds(cells: pa.Array) -> tuple[Floats64, Integers]:
    """A column of dates in seconds since 1970 (without a zone they are UTC); numbers are that already.

    Returns:
        ``[m]`` with ``nan`` in empty cells, and the positions of those that are neither.
    """
    kind = cells.type
    if pa.types.is_dictionary(kind):
        return seconds(cells.dictionary_decode())
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
        return seconds_of_temporal(cells), np.zeros(0, np.int64)
    values, wrong = read_numbers(cells)
    if not len(wrong) or not is_text(kind):
        return values, wrong
    texts = pd.Series(pc.utf8_trim_whitespace(cells).to_numpy(zero_copy_only=False), dtype=object)
    since = seconds_of_texts(texts)
    dated = ~np.isnan(since)
    result = np.where(dated, since, values)
    return result, np.flatnonzero(np.isnan(result) & texts.notna().to_numpy() & ~texts.isin(NULLS).to_numpy())


class Bounds:
    """Whether float32 merges values of a column that would stay apart nearer to 0; told as its cells are read.

    Args:
        n_columns: d.
    """

    def __init__(self, n_columns: int) -> None:
        self._low = np.full(n_columns, np.inf)
        self._high = np.full(n_columns, -np.inf)
        self._lossy = np.zeros(n_columns, np.bool_)

    def note(self, number: int, values: Floats64, rounded: Floats32) -> None:
        """Look at some cells ``[m]`` of a column, and at what float32 makes of them."""
        self._low[number] = np.fmin.reduce(values, initial=self._low[number])
        self._high[number] = np.fmax.reduce(values, initial=self._high[number])
        if not self._lossy[number]:
            self._lossy[number] = bool(np.any((values != rounded) & ~np.isnan(values)))

    @property
    def merge_values(self) -> bool:
        """Whether a column is so."""
        columns = np.flatnonzero(self._lossy)
        return any(needs_offset(float(self._low[number]), float(self._high[number])) for number in columns)
