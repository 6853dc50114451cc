"""Quantities as ranges: a column of numbers becomes one of names, a name for each of its quantile bins.

batchrl learns to choose among actions. How much of something was given is one of them only as a range: ``[0.1, 0.35)``
holds 0.1 and what lies below 0.35, the last range holds both of its ends. Bins of equal counts are made of the values
in the files: of the values at which a bin could begin, each edge takes the one with the wanted share of rows below it,
or the nearest share. So equal values are never divided, no bin is empty, and there may be fewer bins than asked. An
edge is written with the fewest decimals that put every row into the same bin.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from batchrl.contract.errors import InputError
from batchrl.data.cells import numbers
from batchrl.data.dataset import Floats64
from batchrl.data.formats import TextOptions
from batchrl.data.locations import RowLocations
from batchrl.data.proposing import NAMES
from batchrl.data.tables import AS_FOUND, Table, open_tables

FEWEST_BINS, MOST_BINS = 2, 1_000
# The outer edges may lie beyond the smallest and the largest value by so much of what lies between these.
MARGIN = 1e-3
# What is as large as this, or infinite, is no quantity.
LARGEST, SMALLEST = 1e300, 1e-300
# What else columns of densities are called.
DENSITIES = ("*density*", "*pdf*")
# No double has more digits from its first to its last.
_EXACT = Context(prec=800)


@dataclass(frozen=True)
class Bins:
    """The ranges of one column.

    Args:
        column: its name.
        asked: the number of bins that were wanted.
        edges: ``K + 1`` numbers, growing; only the last two may be equal.
        counts: ``K`` numbers of rows.
    """

    column: str
    asked: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """``K`` names, in the order of the ranges."""
        written = [_written(edge) for edge in self.edges]
        last = len(written) - 2
        return tuple(f"[{written[k]}, {written[k + 1]}{']' if k == last else ')'}" for k in range(last + 1))

    def named(self, cells: pa.Array, places: RowLocations, first: int) -> pa.Array:
        """The names of the ranges of some cells; empty ones stay empty.

        Args:
            cells: ``m``.
            places: of all rows.
            first: the row of the first cell.

        Raises:
            InputError: a cell is no finite number.
        """
        values = _quantities(cells, self.column, places, first)
        empty = np.isnan(values)
        codes = np.searchsorted(self.edges[1:-1], np.where(empty, self.edges[0], values), side="right")
        return pa.array(np.array(self.names, dtype=object)[codes], pa.string(), mask=empty)


def asked_bins(texts: Sequence[str]) -> dict[str, int]:
    """The numbers of bins by column, of texts such as ``dose=5``.

    Raises:
        InputError: a text says none, or a column is named twice.
    """
    result: dict[str, int] = {}
    for text in texts:
        column, _, number = (part.strip() for part in text.rpartition("="))
        if not column or not number.isascii() or not number.isdigit() or not FEWEST_BINS <= int(number) <= MOST_BINS:
            raise InputError(
                f"--bin '{text}': no column and number of bins.",
                f"Write COLUMN=NUMBER, such as dose=5; the number is {FEWEST_BINS} to {MOST_BINS:,}.",
            )
        if column in result:
            raise InputError(f"--bin: column '{column}' is given twice.", "Keep one of them.")
        result[column] = int(number)
    return result


def quantile_bins(source: Path, asked: Mapping[str, int], text: TextOptions = AS_FOUND) -> tuple[Bins, ...]:
    """The ranges of columns, of all rows of all files.

    Args:
        source: a file or folder of data.
        asked: the number of bins of each column.
        text: how text files are to be read.

    Raises:
        InputError: there is no such column, a cell of it is no finite number, or all of its numbers are equal.
    """
    tables = open_tables(source, text) if asked else []
    return tuple(_fitted(tables, column, number) for column, number in asked.items())


def notes_on(bins: Sequence[Bins], names: Sequence[str]) -> tuple[str, ...]:
    """What is to be known about ranges, in words.

    Args:
        bins: the ranges.
        names: the columns of the files.
    """
    notes = [
        f"'{each.column}' has {len(each.counts)} ranges, not {each.asked}: equal values are never divided"
        for each in bins
        if len(each.counts) < each.asked
    ]
    if bins:
        known = "|".join(
            fnmatch.translate(pattern) for pattern in (*NAMES["propensity"], *NAMES["probabilities"], *DENSITIES)
        )
        found = [repr(name) for name in names if re.fullmatch(known, name, re.IGNORECASE)]
        where = f" ({', '.join(found)}?)" if found else ""
        notes.append(
            f"where a range is the action, the density of a logged quantity{where} is no probability of its range: "
            "leave that column out, or set data.propensities to estimated"
        )
    return tuple(notes)


def _fitted(tables: Sequence[Table], column: str, asked: int) -> Bins:
    places, parts, row = RowLocations([column]), [], 0
    for table in tables:
        if column not in table.names:
            near = difflib.get_close_matches(column, table.names, n=1)
            raise InputError(
                f"{table.path}: column '{column}' is missing, which is named by --bin.",
                f"{f'Did you mean {near[0]!r}? ' if near else ''}The file has {', '.join(table.names)}.",
            )
        places.begin(table, row)
        for batch in table.batches({column: pa.string()}):
            parts.append(_quantities(batch.column(column), column, places, row))
            row += batch.num_rows
    values = np.concatenate([np.zeros(0), *parts])
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(distinct) < 2:
        held = f"all numbers are {_written(float(distinct[0]))}" if len(distinct) else "every cell is empty"
        raise InputError(f"{tables[0].path}, column '{column}': {held}.", "Right is: a column of different numbers.")
    total, below = counts.sum(), np.cumsum(counts)[:-1]
    starts = sorted({int(np.argmin(np.abs(below * asked - total * k))) for k in range(1, asked)})
    span = float(distinct[-1] - distinct[0])
    edges = (
        _shortest(float(distinct[0]) - MARGIN * span, float(distinct[0])),
        *(_shortest(float(distinct[start]), float(distinct[start + 1])) for start in starts),
        0.0 - _shortest(-float(distinct[-1]) - MARGIN * span, -float(distinct[-1])),
    )
    return Bins(column, asked, edges, tuple(np.diff([0, *below[starts], total]).tolist()))


def _quantities(cells: pa.Array, column: str, places: RowLocations, first: int) -> Floats64:
    values, wrong = numbers(cells)
    if wrong is not None:
        raise places.refuse(first + wrong, column, "'{value}' is not a number", "one number, or nothing")
    if (boundless := np.flatnonzero(np.abs(values) > LARGEST)).size:
        raise places.refuse(first + int(boundless[0]), column, "{value} lies in no range", "one number, or nothing")
    return values


def _shortest(low: float, high: float) -> float:
    """The number of the fewest decimals in ``(low, high]``."""
    exact = Decimal(high)
    exponent = math.floor(math.log10(max(abs(low), abs(high), SMALLEST)))
    for place in range(exponent, exponent - 17, -1):
        step = Decimal(1).scaleb(place)
        found = float(_EXACT.multiply(_EXACT.divide(exact, step).to_integral_value(ROUND_FLOOR), step))
        if low < found <= high:
            return found + 0.0  # no negative zero
    return high


def _written(edge: float) -> str:
    return f"{edge:.0f}" if edge == math.floor(edge) and abs(edge) < 1e15 else repr(edge)
