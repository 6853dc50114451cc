"""The rows of all files as arrays, with the way back to file, line, column and episode for messages."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.cells import Bytes, flags, labels, numbers
from batchrl.data.dataset import Floats32, Floats64, Integers
from batchrl.data.formats import TextOptions
from batchrl.data.locations import RowLocations
from batchrl.data.opening import CellOfAnotherType
from batchrl.data.probabilities import UnreadableProbabilities
from batchrl.data.storage import Kind, Storage
from batchrl.data.tables import AS_FOUND, Table, open_tables
from batchrl.data.vectors import VectorColumn

REQUIRED = (columns.ACTION, columns.ALL_ACTION_PROBABILITIES, columns.EPISODE_ID, columns.REWARD)
FLAGS = (columns.TERMINAL, columns.TRUNCATED)
TARGETS = (columns.TARGET_ACTION_PROBABILITIES, columns.TARGET_Q_VALUES)
_NUMBERED = re.compile(rf"{columns.STATE_FEATURE_PREFIX}(\d+)")
_CODED_TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Rows:
    """M rows in the order of the files.

    Args:
        places: the way back to the files.
        storage: where the arrays lie.
        state_columns: ``d`` names.
        states: ``[M, d]``.
        next_states: ``[M, d]``, ``nan`` in empty cells, or None where the files have no such columns.
        actions: ``[M]``, ``nan`` in empty cells.
        rewards: ``[M]``, ``nan`` in empty cells.
        probabilities: ``[M, A]``, ``nan`` in rows where the cell is empty.
        flags: ``[M]`` of 0, 1 and ``UNKNOWN`` for each of ``terminal`` and ``truncated`` that the files have.
        targets: ``[M, A]`` for each column of a policy to be scored that was asked for and that the files have.
        episode: ``[M]``, position of the row's episode among ``episode_ids``.
        episode_ids: ids in order of first appearance, as text.
    """

    places: RowLocations
    storage: Storage
    state_columns: tuple[str, ...]
    states: Floats32
    next_states: Floats32 | None
    actions: Floats64
    rewards: Floats64
    probabilities: Floats64
    flags: dict[str, Bytes]
    targets: dict[str, Floats64]
    episode: Integers
    episode_ids: tuple[str, ...]


def read_rows(
    path: Path,
    state_columns: Sequence[str] | None = None,
    with_targets: bool = False,
    storage: Kind = "memory",
    text: TextOptions = AS_FOUND,
) -> Rows:
    """Read the data files at a path.

    Args:
        path: a file, or a folder of files with the same columns.
        state_columns: names of the state's columns; by default all ``state_feature_*``, ordered by number.
        with_targets: whether to read the columns of a policy to be scored.
        storage: where the arrays lie.
        text: how text files are to be read.

    Raises:
        InputError: a file cannot be read, columns are missing or differ, a cell is no number, or an id occurs in two
            files.
    """
    tables = open_tables(path, text)
    chosen = _Columns.of(tables, state_columns, with_targets)
    try:
        return _Reading(chosen, Storage(storage), as_text=False).read(tables)
    except CellOfAnotherType:
        # Text takes longer to read, but each cell can be looked at, and Arrow refuses some numbers, such as +1.5.
        return _Reading(chosen, Storage(storage), as_text=True).read(tables)


@dataclass(frozen=True)
class _Columns:
    """The columns to be read; see ``Rows``."""

    states: tuple[str, ...]
    next_states: tuple[str, ...]
    flags: tuple[str, ...]
    targets: tuple[str, ...]

    @classmethod
    def of(cls, tables: Sequence[Table], state_columns: Sequence[str] | None, with_targets: bool) -> _Columns:
        first = tables[0]
        states = _state_columns(first, state_columns)
        following = tuple(
            name.replace(columns.STATE_FEATURE_PREFIX, columns.NEXT_STATE_FEATURE_PREFIX) for name in states
        )
        numbered = all(name.startswith(columns.STATE_FEATURE_PREFIX) for name in states)
        has_next = numbered and all(name in first.names for name in following)
        there = [name for name in (*FLAGS, *(TARGETS if with_targets else ())) if name in first.names]
        result = cls(
            states,
            following if has_next else (),
            tuple(name for name in there if name in FLAGS),
            tuple(name for name in there if name in TARGETS),
        )
        for table in tables:
            _check_columns(table, result.names)
            if state_columns is None and _state_columns(table, None) != states:
                raise InputError(f"{table.path}: its state columns differ from those of {first.path}.")
        return result

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*REQUIRED, *self.states, *self.next_states, *self.flags, *self.targets)))

    def types(self, as_text: bool) -> dict[str, pa.DataType]:
        """How a CSV is to be read."""
        special = dict.fromkeys((columns.EPISODE_ID, *self.flags), _CODED_TEXT)
        special |= dict.fromkeys((columns.ALL_ACTION_PROBABILITIES, *self.targets), pa.large_string())
        return {name: special.get(name, pa.string() if as_text else pa.float64()) for name in self.names}


class _Reading:
    """One pass over the files."""

    def __init__(self, chosen: _Columns, storage: Storage, as_text: bool) -> None:
        self._chosen = chosen
        self._types = chosen.types(as_text)
        self._storage = storage
        self._places = RowLocations(chosen.names)
        self._states = storage.column()
        self._next_states = storage.column() if chosen.next_states else None
        self._numbers = {name: storage.column() for name in (columns.ACTION, columns.REWARD)}
        self._vectors = {name: VectorColumn(storage) for name in (columns.ALL_ACTION_PROBABILITIES, *chosen.targets)}
        self._flags = {name: storage.column() for name in chosen.flags}
        self._episode = storage.column()
        self._codes: dict[str, int] = {}
        self._first_episodes: list[int] = []
        self._rows = 0

    def read(self, tables: Sequence[Table]) -> Rows:
        for table in tables:
            start = self._rows
            self._places.begin(table, start)
            self._first_episodes.append(len(self._codes))
            for batch in table.batches(self._types):
                if batch.num_rows:
                    self._take(table, batch)
            if self._rows == start:
                raise InputError(f"{table.path}: the file has a header but no rows.", "Log at least two episodes.")
        for name, column in self._vectors.items():
            if column.width is None:
                raise InputError(
                    f"{tables[0].path}, column '{name}': every cell is empty.",
                    "Right is: one number for each action, as [0.5, 0.5].",
                )
        return Rows(
            places=self._places,
            storage=self._storage,
            state_columns=self._chosen.states,
            states=self._states.finish(),
            next_states=None if self._next_states is None else self._next_states.finish(),
            actions=self._numbers[columns.ACTION].finish(),
            rewards=self._numbers[columns.REWARD].finish(),
            probabilities=self._vectors.pop(columns.ALL_ACTION_PROBABILITIES).finish(),
            flags={name: column.finish() for name, column in self._flags.items()},
            targets={name: column.finish() for name, column in self._vectors.items()},
            episode=self._episode.finish(),
            episode_ids=tuple(self._codes),
        )

    def _take(self, table: Table, batch: pa.RecordBatch) -> None:
        self._episode.append(self._episodes(table, batch.column(columns.EPISODE_ID)))
        self._states.append(self._matrix(batch, self._chosen.states))
        if self._next_states is not None:
            self._next_states.append(self._matrix(batch, self._chosen.next_states))
        for name, column in self._numbers.items():
            column.append(self._read_numbers(batch, name))
        for name, column in self._flags.items():
            values, wrong = flags(batch.column(name))
            if wrong is not None:
                raise self._places.refuse(self._rows + wrong, name, "{value} is no flag", "0 or 1")
            column.append(values)
        for name, vectors in self._vectors.items():
            try:
                vectors.append(batch.column(name))
            except UnreadableProbabilities as error:
                raise self._places.refuse_vector(self._rows, name, error) from None
        self._rows += batch.num_rows

    def _read_numbers(self, batch: pa.RecordBatch, name: str) -> Floats64:
        values, wrong = numbers(batch.column(name))
        if wrong is not None:
            raise self._places.refuse(self._rows + wrong, name, "'{value}' is not a number", "one number")
        return values

    def _matrix(self, batch: pa.RecordBatch, names: Sequence[str]) -> Floats32:
        result = np.empty((batch.num_rows, len(names)), np.float32)
        with np.errstate(over="ignore"):
            for number, name in enumerate(names):
                result[:, number] = self._read_numbers(batch, name)
        return result

    def _episodes(self, table: Table, cells: pa.Array) -> Integers:
        codes, texts = labels(cells)
        empty = codes < 0
        if empty.any():
            position = self._rows + int(np.argmax(empty))
            right = "the id of the row's episode"
            raise self._places.refuse(position, columns.EPISODE_ID, "the cell is empty", right)
        known = np.array([self._codes.setdefault(text, len(self._codes)) for text in texts], np.int64)
        before = np.flatnonzero(known < self._first_episodes[-1])
        if len(before):
            text = texts[before[0]]
            owner = self._places.tables[bisect_right(self._first_episodes, self._codes[text]) - 1]
            raise InputError(
                f"episode {text} is in {owner.path} and in {table.path}; ids must be unique over all files.",
                "Renumber the episodes of one file, or put all rows of an episode into one file.",
            )
        return known[codes]


def _state_columns(table: Table, chosen: Sequence[str] | None) -> tuple[str, ...]:
    if chosen is not None:
        return tuple(chosen)
    found = [name for name in table.names if name.startswith(columns.STATE_FEATURE_PREFIX)]
    if not found:
        raise InputError(
            f"{table.path}: no column starts with '{columns.STATE_FEATURE_PREFIX}'; "
            f"its columns are {', '.join(table.names)}.",
            "Name the columns of the state state_feature_0, state_feature_1, ... or set data.state_columns.",
        )

    def order(name: str) -> tuple[int, int, str]:
        match = _NUMBERED.fullmatch(name)
        return (0, int(match[1]), name) if match else (1, 0, name)

    return tuple(sorted(found, key=order))


def _check_columns(table: Table, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in table.names]
    if missing:
        raise InputError(
            f"{table.path}: column {', '.join(repr(name) for name in missing)} is missing; "
            f"the file has {', '.join(table.names)}.",
            f"A data file needs {', '.join(REQUIRED)} and the columns of the state.",
        )
