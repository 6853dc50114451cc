"""Where a row stands, in words: found by reading its file again, for messages only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from batchrl.contract import columns
from batchrl.contract.errors import InputError, shortened
from batchrl.contract.text import NULLS, like_it
from batchrl.data.formats import has_decimal_comma
from batchrl.data.onehot import vector_of_texts
from batchrl.data.probabilities import RIGHT_VECTOR, UnreadableProbabilities
from batchrl.data.tables import Table

EMPTY = "empty"
# Characters of a cell, an id or a column's name that a message shows.
SHOWN = 80


@dataclass(frozen=True)
class RowLocation:
    """One row.

    Args:
        words: its file and its line (csv, JSON Lines) or row (Parquet), both counted from 1, and its episode.
        file: its file.
        place: its line or row.
        cells: its cells by the names of their columns; ``EMPTY`` where there is nothing.
    """

    words: str
    file: str
    place: str
    cells: dict[str, str]


@dataclass
class RowLocations:
    """The rows of all files, counted from 0 through all of them.

    Args:
        used: columns that are read; a row without a value in any of them is none.
        tables: the files so far.
        starts: the first row of each.
    """

    used: Sequence[str]
    tables: list[Table] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def begin(self, table: Table, start: int) -> None:
        """The rows from ``start`` on are this file's."""
        self.tables.append(table)
        self.starts.append(start)

    def find(self, position: int) -> RowLocation:
        """A row of a file that has begun."""
        return self.find_all([position])[0]

    def find_all(self, positions: Sequence[int]) -> list[RowLocation]:
        """Rows of files that have begun; each file is read once."""
        numbers = np.searchsorted(self.starts, positions, side="right") - 1
        found: dict[int, RowLocation] = {}
        for number in np.unique(numbers).tolist():
            table, start = self.tables[number], self.starts[number]
            wanted = {position - start for position, owner in zip(positions, numbers, strict=True) if owner == number}
            unit = "line" if table.lined else "row"
            for row, (place, cells) in enumerate(self._in_text(table) if table.lined else self._in_parquet(table)):
                if row in wanted:
                    shown = {name: _shown(name, cell) for name, cell in cells}
                    episode = shown.get(columns.EPISODE_ID, EMPTY)
                    whose = f", episode {shortened(episode, SHOWN)}" if episode != EMPTY else ""
                    file, at = str(table.path), f"{unit} {place}"
                    found[start + row] = RowLocation(f"{file}, {at}{whose}", file, at, shown)
                    wanted.remove(row)
                    if not wanted:
                        break
            if wanted:
                raise InputError(f"{table.path}: the file changed while it was read.", "Read it again.")
        return [found[position] for position in positions]

    def _in_text(self, table: Table) -> Iterator[tuple[int, Iterable[tuple[str, Any]]]]:
        """Every row: its line, and its cells by their names."""
        records = table.records()
        _, written = next(records)
        where = {
            name: [written.index(part) for part in table.vectors.get(name, (table.names[name],))]
            for name in self.used
            if name not in table.constants
        }
        constants = {name: value for name, value in table.constants.items() if name in self.used}
        read = [column for parts in where.values() for column in parts]

        def cell(of: Sequence[str], name: str) -> str:
            found = [of[column] for column in where[name]]
            return vector_of_texts(found) if name in table.vectors else found[0]

        for line, cells in records:
            if not all(cells[column] in NULLS for column in read):
                yield line, chain(((name, cell(cells, name)) for name in where), constants.items())

    def _in_parquet(self, table: Table) -> Iterator[tuple[int, Iterable[tuple[str, Any]]]]:
        """Every row: its number, and its cells by their names."""
        row = 0
        for batch in table.batches(dict.fromkeys(self.used), blank=True):
            for cells in batch.to_pylist():
                row += 1
                if not all(cell is None or cell != cell for name, cell in cells.items() if name not in table.constants):
                    yield row, cells.items()

    def refuse(self, position: int, column: str, problem: str, right: str, more: int = 0) -> InputError:
        """The error that a row is wrong.

        Args:
            position: of the row.
            column: the name of the wrong cell's column.
            problem: what is wrong; ``{value}`` stands for the cell.
            right: what would be right.
            more: further rows that are wrong like it.
        """
        return InputError(*self.said(self.find(position), column, problem, f"Right is: {right}.", more))

    def said(
        self,
        place: RowLocation,
        column: str,
        problem: str,
        advice: str,
        more: int,
        others: Sequence[RowLocation] = (),
    ) -> tuple[str, str]:
        """Message and advice that a cell is wrong; see ``refuse``. ``others`` are the first of the further rows."""
        cell = place.cells.get(column, EMPTY)
        said = problem.format(value=shortened(cell, SHOWN))
        comma = has_decimal_comma(cell) and self.tables[0].format.decimal == "."
        decimal = " A decimal comma is read with data.decimal=comma." if comma else ""
        named = [other.place if other.file == place.file else f"{other.file}, {other.place}" for other in others]
        return (
            f"{place.words}, column '{shortened(self.called(column), SHOWN)}': {said}{like_it(more, 'row', named)}.",
            f"{advice}{decimal}",
        )

    def called(self, column: str) -> str:
        """What the first file itself calls a column of ours."""
        return self.tables[0].names.get(column, column).strip()

    def refuse_vector(self, first: int, column: str, error: UnreadableProbabilities) -> InputError:
        """The error that a cell is no vector; ``first`` is the row from which the error counts."""
        return self.refuse(first + error.position, column, error.problem, RIGHT_VECTOR)


def _shown(name: str, cell: Any) -> str:
    """A cell as a message shows it; an id is text, also that of a missing value."""
    nothing = cell is None or cell != cell or cell == "" or (cell in NULLS and name != columns.EPISODE_ID)
    return EMPTY if nothing else str(cell)
