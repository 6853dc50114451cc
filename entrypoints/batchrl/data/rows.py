"""The rows of all files as arrays, with the way back to file, line, column and episode for messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.dataset import Flags, Floats64, Integers
from batchrl.data.probabilities import UnreadableProbabilities, parse_probabilities
from batchrl.data.tables import Table, data_files, numeric, read_table

REQUIRED = (columns.ACTION, columns.ALL_ACTION_PROBABILITIES, columns.EPISODE_ID, columns.REWARD)
TARGETS = (columns.TARGET_ACTION_PROBABILITIES, columns.TARGET_Q_VALUES)
EMPTY = "empty"
_NUMBERED = re.compile(rf"{columns.STATE_FEATURE_PREFIX}(\d+)")


@dataclass(frozen=True)
class Rows:
    """M rows in the order of the files.

    Args:
        tables: the files.
        state_columns: ``d`` names.
        states: ``[M, d]``.
        next_states: ``[M, d]``, ``nan`` in empty cells, or None where the files have no such columns.
        actions: ``[M]``, ``nan`` in empty cells.
        rewards: ``[M]``, ``nan`` in empty cells.
        probabilities: ``[M, A]``, ``nan`` in rows where the cell is empty.
        terminal: ``[M]`` of 0, 1 and ``nan``, or None where the files have no such column.
        truncated: the same.
        target_policy: as ``probabilities``, of a policy to be scored; None where not asked for or not there.
        target_q: ``[M, A]``, the values of that policy; the same.
        episode: ``[M]``, position of the row's episode among ``episode_ids``.
        episode_ids: ids in order of first appearance, as text.
    """

    tables: tuple[Table, ...]
    state_columns: tuple[str, ...]
    states: Floats64
    next_states: Floats64 | None
    actions: Floats64
    rewards: Floats64
    probabilities: Floats64
    terminal: Floats64 | None
    truncated: Floats64 | None
    target_policy: Floats64 | None
    target_q: Floats64 | None
    episode: NDArray[np.intp]
    episode_ids: tuple[str, ...]

    def refuse(self, wrong: Flags, column: str, problem: str, right: str, among: Integers | None = None) -> None:
        """Report the first wrong row, if there is one.

        Args:
            wrong: ``[M]`` or, with ``among``, ``[len(among)]``.
            column: its name.
            problem: what is wrong; ``{value}`` stands for the cell.
            right: what would be right.
            among: positions of the rows that ``wrong`` is about.

        Raises:
            InputError: names file, line, episode, column and the number of further rows.
        """
        if not wrong.any():
            return
        found = np.flatnonzero(wrong) if among is None else np.sort(among[wrong])
        position = int(found[0])
        value = _cell(self.tables, position, column)
        more = f" ({len(found) - 1} more rows like it)" if len(found) > 1 else ""
        raise InputError(
            f"{_place(self.tables, position)}, column '{column}': {problem.format(value=value)}{more}.",
            f"Right is: {right}.",
        )


def read_rows(path: Path, state_columns: Sequence[str] | None = None, with_targets: bool = False) -> Rows:
    """Read all data files at a path.

    Args:
        path: a file or a folder of files.
        state_columns: columns of the state; None takes every ``state_feature_*`` in the order of their numbers.

    Raises:
        InputError: a file cannot be read, lacks a column, or a cell is no number.
    """
    tables = tuple(read_table(file) for file in data_files(path))
    states = _state_columns(tables[0], state_columns)
    following = tuple(name.replace(columns.STATE_FEATURE_PREFIX, columns.NEXT_STATE_FEATURE_PREFIX) for name in states)
    for table in tables:
        _check_columns(table, (*REQUIRED, *states))
        if state_columns is None and _state_columns(table, None) != states:
            raise InputError(f"{table.path}: its state columns differ from those of {tables[0].path}.")
    present = set(tables[0].frame.columns)
    named_so = all(name.startswith(columns.STATE_FEATURE_PREFIX) for name in states)
    has_next = named_so and present.issuperset(following)
    wanted = (columns.TERMINAL, columns.TRUNCATED, *(TARGETS if with_targets else ()))
    optional = {name: name in present for name in wanted}
    used = [*(following if has_next else ()), *(name for name, is_there in optional.items() if is_there)]
    for table in tables:
        _check_columns(table, used)
    episode, episode_ids = _episodes(tables)
    return Rows(
        tables=tables,
        state_columns=states,
        states=np.column_stack([_numbers(tables, name) for name in states]),
        next_states=np.column_stack([_numbers(tables, name) for name in following]) if has_next else None,
        actions=_numbers(tables, columns.ACTION),
        rewards=_numbers(tables, columns.REWARD),
        probabilities=_vectors(tables, columns.ALL_ACTION_PROBABILITIES),
        terminal=_flags(tables, columns.TERMINAL) if optional[columns.TERMINAL] else None,
        truncated=_flags(tables, columns.TRUNCATED) if optional[columns.TRUNCATED] else None,
        target_policy=_vectors(tables, columns.TARGET_ACTION_PROBABILITIES)
        if optional.get(columns.TARGET_ACTION_PROBABILITIES)
        else None,
        target_q=_vectors(tables, columns.TARGET_Q_VALUES) if optional.get(columns.TARGET_Q_VALUES) else None,
        episode=episode,
        episode_ids=episode_ids,
    )


def _state_columns(table: Table, chosen: Sequence[str] | None) -> tuple[str, ...]:
    if chosen is not None:
        return tuple(chosen)
    found = [str(name) for name in table.frame.columns if str(name).startswith(columns.STATE_FEATURE_PREFIX)]
    if not found:
        raise InputError(
            f"{table.path}: no column starts with '{columns.STATE_FEATURE_PREFIX}'; "
            f"its columns are {', '.join(map(str, table.frame.columns))}.",
            "Name the columns of the state state_feature_0, state_feature_1, ... or set data.state_columns.",
        )

    def order(name: str) -> tuple[int, int, str]:
        match = _NUMBERED.fullmatch(name)
        return (0, int(match[1]), name) if match else (1, 0, name)

    return tuple(sorted(found, key=order))


def _check_columns(table: Table, needed: Sequence[str]) -> None:
    names = [str(name) for name in table.frame.columns]
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"{table.path}: column {', '.join(repr(name) for name in missing)} is missing; "
            f"the file has {', '.join(names)}.",
            f"A data file needs {', '.join(REQUIRED)} and the columns of the state.",
        )


def _place(tables: Sequence[Table], position: int) -> str:
    """File, line and episode of a row, in words."""
    episode = _cell(tables, position, columns.EPISODE_ID)
    for table in tables:
        if position < len(table.frame):
            return table.place(position) + (f", episode {episode}" if episode != EMPTY else "")
        position -= len(table.frame)
    raise IndexError(position)


def _cell(tables: Sequence[Table], position: int, column: str) -> str:
    for table in tables:
        if position < len(table.frame):
            value = table.frame[column].iloc[position]
            return EMPTY if np.ndim(value) == 0 and pd.isna(value) else str(value)
        position -= len(table.frame)
    raise IndexError(position)


def _numbers(tables: Sequence[Table], name: str) -> Floats64:
    parts = []
    start = 0
    for table in tables:
        values, wrong = numeric(table.frame, name)
        if wrong is not None:
            position = start + wrong
            value = _cell(tables, position, name)
            raise InputError(
                f"{_place(tables, position)}, column '{name}': '{value}' is not a number.", "Right is: one number."
            )
        parts.append(values)
        start += len(table.frame)
    return np.concatenate(parts)


def _flags(tables: Sequence[Table], name: str) -> Floats64:
    values = _numbers(tables, name)
    wrong = ~np.isnan(values) & (values != 0) & (values != 1)
    if wrong.any():
        position = int(np.argmax(wrong))
        value = _cell(tables, position, name)
        raise InputError(f"{_place(tables, position)}, column '{name}': {value} is no flag.", "Right is: 0 or 1.")
    return values


def _episodes(tables: Sequence[Table]) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    owner: dict[str, Table] = {}
    parts = []
    start = 0
    for table in tables:
        labels = table.frame[columns.EPISODE_ID]
        empty = labels.isna().to_numpy()
        if empty.any():
            position = start + int(np.argmax(empty))
            raise InputError(
                f"{_place(tables, position)}, column '{columns.EPISODE_ID}': the cell is empty.",
                "Right is: the id of the row's episode.",
            )
        text = labels.astype(str)
        for label in text.unique():
            first = owner.setdefault(label, table)
            if first is not table:
                raise InputError(
                    f"episode {label} is in {first.path} and in {table.path}; ids must be unique over all files.",
                    "Renumber the episodes of one file, or put all rows of an episode into one file.",
                )
        parts.append(text.to_numpy(dtype=object))
        start += len(table.frame)
    codes, unique = pd.factorize(np.concatenate(parts))
    return codes, tuple(str(label) for label in unique)


def _vectors(tables: Sequence[Table], name: str) -> Floats64:
    series = [table.frame[name].astype(object) for table in tables]
    cells = np.concatenate([part.to_numpy() for part in series])
    filled = np.concatenate([part.notna().to_numpy() for part in series])
    if not filled.any():
        raise InputError(
            f"{tables[0].path}, column '{name}': every cell is empty.",
            "Right is: one number for each action, as [0.5, 0.5].",
        )
    try:
        # A list column of Parquet arrives as arrays: their text is read like any other.
        texts = [cell if isinstance(cell, str) else str(np.asarray(cell).tolist()) for cell in cells[filled]]
        vectors = parse_probabilities(texts)
    except UnreadableProbabilities as error:
        position = int(np.flatnonzero(filled)[error.position])
        raise InputError(
            f"{_place(tables, position)}, column '{name}': {error.reason}.",
            "Right is: one number for each action, as [0.5, 0.5].",
        ) from None
    result = np.full((len(cells), vectors.shape[1]), np.nan)
    result[filled] = vectors
    return result
