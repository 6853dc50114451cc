"""Which rows are of one episode, as the setting ``data.episode_ids`` says."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import shortened
from batchrl.data.cells import labels
from batchrl.data.dataset import Integers
from batchrl.data.findings import Finding, of_cells
from batchrl.data.locations import SHOWN, RowLocations
from batchrl.data.tables import Table

# The name of the episode that rows without an id are put into until that is told.
NO_ID = ""


class EpisodeIds:
    """Numbers the episodes of files by first appearance.

    Args:
        rule: the setting.
        places: of the rows, for messages.
    """

    def __init__(self, rule: str, places: RowLocations) -> None:
        self._rule = rule
        self._places = places
        self._codes: dict[str, int] = {}
        self._names: list[str] = []
        self._used: dict[str, int] = {}
        self._first: list[int] = []
        self._before: str | None = None
        self._nameless: list[Integers] = []
        self._shared: dict[str, tuple[str, str]] = {}
        self._shared_rows: list[Integers] = []

    @property
    def names(self) -> tuple[str, ...]:
        """An id for each episode, by its number; one that comes back gets ``#2``, ``#3`` and so on behind it."""
        return tuple(self._names)

    def begin(self) -> None:
        """The rows from here on are of the next file."""
        self._first.append(len(self._names))
        if self._rule == "per_file":
            self._codes.clear()
        self._before = None

    def positions(self, table: Table, cells: pa.Array | None, first_row: int, count: int) -> Integers:
        """``[m]``, the number of the episode of each of the next ``count`` rows.

        Rows without an id are those of an episode of no name; ``findings`` tells of them.

        Args:
            table: their file.
            cells: their ids; None where the file has none.
            first_row: the number of the first among all rows.
            count: m.
        """
        if self._rule == "per_row":
            return self._numbered(first_row, count)
        assert cells is not None, "only rows that are episodes need no id"
        codes, texts = labels(cells)
        nameless = np.flatnonzero(codes < 0)
        if len(nameless):
            self._nameless.append(first_row + nameless)
            codes = np.where(codes < 0, len(texts), codes)
            texts = [*texts, NO_ID]
        if self._rule == "per_run":
            return self._runs(codes, texts)
        known = np.array([self._known(text) for text in texts], np.int64)
        if self._rule == "unique":
            self._find_those_of_another_file(table, known, texts, codes, first_row)
        return known[codes]

    def findings(self) -> Iterator[Finding]:
        """Ids that are missing, or in two files where that is not wanted."""
        if self._nameless:
            right = "the id of the row's episode"
            yield of_cells(columns.EPISODE_ID, "the cell is empty", right, np.concatenate(self._nameless))
        if self._shared:
            text, (owner, table) = next(iter(self._shared.items()))
            others = f"; {len(self._shared) - 1:,} more ids are in two files" if len(self._shared) > 1 else ""
            yield Finding(
                f"episode {shortened(text, SHOWN)} is in {owner} and in {table}{others}",
                "Are they one episode? Set data.episode_ids to global. Are they two? Set it to per_file.",
                np.concatenate(self._shared_rows),
                spoils=(columns.EPISODE_ID,),
            )

    def _known(self, text: str) -> int:
        if text not in self._codes:
            self._codes[text] = self._new(text)
        return self._codes[text]

    def _new(self, text: str) -> int:
        times = self._used[text] = self._used.get(text, 0) + 1
        self._names.append(text if times == 1 else f"{text}#{times}")
        return len(self._names) - 1

    def _runs(self, codes: Integers, texts: list[str]) -> Integers:
        begins = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
        numbers = []
        for number, begin in enumerate(begins):
            text = texts[codes[begin]]
            goes_on = number == 0 and text == self._before
            numbers.append(len(self._names) - 1 if goes_on else self._new(text))
            self._before = text
        return np.repeat(np.array(numbers, np.int64), np.diff([*begins, len(codes)]))

    def _numbered(self, first_row: int, count: int) -> Integers:
        self._names += [str(number) for number in range(first_row, first_row + count)]
        return np.arange(first_row, first_row + count)

    def _find_those_of_another_file(
        self, table: Table, known: Integers, texts: list[str], codes: Integers, first_row: int
    ) -> None:
        before = known < self._first[-1]
        if texts and texts[-1] == NO_ID:
            before[-1] = False
        if before.any():
            for at in np.flatnonzero(before).tolist():
                owner = self._places.tables[bisect_right(self._first, int(known[at])) - 1]
                self._shared.setdefault(texts[at], (str(owner.path), str(table.path)))
            self._shared_rows.append(first_row + np.flatnonzero(before[codes]))
