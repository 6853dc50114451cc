"""Where a row stands, in words: found by reading its file again, for messages only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.blanks import NULLS
from batchrl.data.dataset import Flags, Integers
from batchrl.data.formats import has_decimal_comma
from batchrl.data.probabilities import UnreadableProbabilities
from batchrl.data.tables import Table

EMPTY = "empty"


@dataclass(frozen=True)
class RowLocation:
    """One row.

    Args:
        words: its file and its line (csv, JSON Lines) or row (Parquet), both counted from 1, and its episode.
        cells: its cells by the names of their columns; ``EMPTY`` where there is nothing.
    """

    words: str
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
        number = int(np.searchsorted(self.starts, position, side="right")) - 1
        table, rest = self.tables[number], position - self.starts[number]
        place, cells = self._in_text(table, rest) if table.lined else self._in_parquet(table, rest)
        episode = cells.get(columns.EPISODE_ID, EMPTY)
        return RowLocation(f"{table.path}, {place}" + (f", episode {episode}" if episode != EMPTY else ""), cells)

    def _in_text(self, table: Table, rest: int) -> tuple[str, dict[str, str]]:
        records = table.records()
        _, written = next(records)
        where = {name: written.index(table.names[name]) for name in self.used if name not in table.constants}
        for line, cells in records:
            if all(cells[column] in NULLS for column in where.values()):
                continue
            if rest == 0:
                found = {name: cells[column] for name, column in where.items()}
                found |= {name: "" if value is None else value for name, value in table.constants.items()}
                return f"line {line}", {
                    name: EMPTY if _is_nothing(name, cell) else cell for name, cell in found.items()
                }
            rest -= 1
        raise InputError(f"{table.path}: the file changed while it was read.", "Read it again.")

    def _in_parquet(self, table: Table, rest: int) -> tuple[str, dict[str, str]]:
        row = 0
        for batch in table.batches(dict.fromkeys(self.used), blank=True):
            rows = batch.to_pylist()
            for cells in rows:
                row += 1
                shown = {name: _shown(cell) for name, cell in cells.items()}
                if all(cell == EMPTY for name, cell in shown.items() if name not in table.constants):
                    continue
                if rest == 0:
                    return f"row {row}", shown
                rest -= 1
        raise InputError(f"{table.path}: the file changed while it was read.", "Read it again.")

    def refuse(self, position: int, column: str, problem: str, right: str, more: int = 0) -> InputError:
        """The error that a row is wrong.

        Args:
            position: of the row.
            column: the name of the wrong cell's column.
            problem: what is wrong; ``{value}`` stands for the cell.
            right: what would be right.
            more: further rows that are wrong like it.
        """
        place = self.find(position)
        further = f" ({more} more row{'s' if more > 1 else ''} like it)" if more else ""
        cell = place.cells.get(column, EMPTY)
        said = problem.format(value=cell)
        comma = has_decimal_comma(cell) and self.tables[0].format.decimal == "."
        decimal = " A decimal comma is read with data.decimal=comma." if comma else ""
        return InputError(
            f"{place.words}, column '{self.called(column)}': {said}{further}.", f"Right is: {right}.{decimal}"
        )

    def called(self, column: str) -> str:
        """What the first file itself calls a column of ours."""
        return self.tables[0].names.get(column, column).strip()

    def refuse_vector(self, first: int, column: str, error: UnreadableProbabilities) -> InputError:
        """The error that a cell is no vector; ``first`` is the row from which the error counts."""
        reason = error.reason.replace("{", "{{").replace("}", "}}")
        return self.refuse(first + error.position, column, reason, "one number for each action, as [0.5, 0.5]")

    def refuse_any(self, wrong: Flags, rows: Integers, column: str, problem: str, right: str) -> None:
        """Report the first wrong row of ``rows``, if there is one; see ``refuse``.

        Raises:
            InputError: there is.
        """
        if wrong.any():
            found = rows[wrong]
            raise self.refuse(int(found.min()), column, problem, right, len(found) - 1)


def _is_nothing(name: str, cell: str) -> bool:
    """Whether a cell of text is empty; an id is text, also that of a missing value."""
    return cell == "" or (cell in NULLS and name != columns.EPISODE_ID)


def _shown(cell: Any) -> str:
    return EMPTY if cell is None or cell != cell else str(cell)
