"""From schema A to B and back, without loss: what A says by its closing row, B says by ``next_state_feature_*``.

Rows come episode after episode, with the columns that training reads and those of a policy to be scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.convert import convert, lists_of, write_batches
from batchrl.data.dataset import Flags, Integers, default_names
from batchrl.data.formats import TextOptions
from batchrl.data.layout import Chunk
from batchrl.data.loader import CheckedRows, read_checked, states_after
from batchrl.data.rows import Rows
from batchrl.data.schemas import Schema
from batchrl.data.storage import Array, taken
from batchrl.data.tables import AS_FOUND
from presets.dataschema import DataSettings


def settings_of(text: TextOptions) -> DataSettings:
    """How files of batchrl's own names are read whose text has some form."""
    return DataSettings(separator=text.separator, decimal=text.decimal, encoding=text.encoding)


def convert_schema(
    source: Path, target: Path, schema: Schema, overwrite: bool = False, text: TextOptions = AS_FOUND
) -> int:
    """Write a data set in a schema; see ``convert``, also for the errors.

    Args:
        source: a file or folder of data.
        target: the file; its name says the format.
        schema: of the target.
        overwrite: whether it may replace a file.
        text: how text files of the source are to be read.

    Returns:
        The number of rows.

    Raises:
        InputError: the data is wrong, or schema A is wanted and a last step has no next state.
    """
    checked = read_checked(source, settings_of(text), with_targets=True)
    if checked.schema == schema:
        return convert(source, target, overwrite, text)
    checked.rows.require_plain("a change of schema")
    _require_next_states(checked, schema)
    return write_batches((batch for _, batch in batches_of(checked, schema)), target, overwrite)


def convert_described(
    source: Path, target: Path, settings: DataSettings, schema: Schema = "B", overwrite: bool = False
) -> tuple[int, tuple[str, ...]]:
    """Write a log that names its columns itself in batchrl's names, rows in the order of each episode's steps.

    A column ``age`` of the state becomes ``state_feature_age``.

    Args:
        source, target, schema, overwrite: as of ``convert_schema``.
        settings: the description.

    Returns:
        The number of rows, and what was assumed or mended, in words.

    Raises:
        InputError: the data is wrong, states are no plain numbers, several policies logged it, or schema A is wanted
            and a last step has no next state.
    """
    checked = read_checked(source, settings, with_targets=True)
    checked.rows.require_plain("a conversion to batchrl's names")
    if checked.rows.loggers is not None:
        raise InputError(
            "data.columns.logger: batchrl's own names have none for who logged an episode.",
            "Leave it out, or convert the log of each policy on its own.",
        )
    _require_next_states(checked, schema)
    rows = write_batches((batch for _, batch in batches_of(checked, schema)), target, overwrite)
    return rows, (*checked.rows.notes, *checked.notes)


def batches_of(checked: CheckedRows, schema: Schema) -> Iterator[tuple[Chunk, pa.RecordBatch]]:
    """All steps in a schema, in pieces; in schema B each row is a step of its chunk."""
    first_episode = 0
    for chunk in checked.layout.chunks():
        n_ends = int(chunk.is_end.sum())
        terminal, unknown = np.zeros(len(chunk.is_end), np.bool_), np.zeros(len(chunk.is_end), np.bool_)
        ends = slice(first_episode, first_episode + n_ends)
        # An episode that was cut short is no less so where the state after it is not known.
        unknown[chunk.is_end] = checked.cut_unknown[ends]
        terminal[chunk.is_end] = checked.end_is_terminal[ends] & ~checked.cut_unknown[ends]
        first_episode += n_ends
        yield chunk, _batch(checked, chunk, terminal, unknown, schema)


def _require_next_states(checked: CheckedRows, schema: Schema) -> None:
    """Refuse to make up the terminal observations that schema A holds."""
    rows, layout = checked.rows, checked.layout
    if schema == "B":
        return
    ends = layout.last_steps
    unknown: Flags = np.ones(len(ends), np.bool_)
    if rows.next_states is not None:
        unknown = np.asarray(np.isnan(rows.next_states[ends]).any(axis=1))
    if unknown.any():
        raise rows.places.refuse(
            int(ends[unknown].min()),
            columns.STATE_FEATURE_PREFIX + "*",
            "the state after the episode's last step is not in the data, and schema A holds it",
            "columns next_state_feature_* that are filled at least in the last row of each episode",
            int(unknown.sum()) - 1,
        )


def _batch(checked: CheckedRows, chunk: Chunk, terminal: Flags, unknown: Flags, schema: Schema) -> pa.RecordBatch:
    """The steps of a chunk, in schema A with a closing row after each end; the state after ``unknown`` ones is not."""
    rows = checked.rows
    closed = np.flatnonzero(chunk.is_end) + 1 if schema == "A" else np.zeros(0, np.int64)

    def steps(values: Array) -> Array:
        return taken(values, chunk.rows)

    def cells(values: Array, closing: Array | None = None) -> pa.Array:
        """A column; ``closing`` are its values in the closing rows, None leaves them empty."""
        if closing is not None:
            return pa.array(np.insert(values, closed, closing))
        empty = np.zeros(len(values) + len(closed), np.bool_)
        empty[closed + np.arange(len(closed))] = True
        if values.ndim == 2:
            return lists_of(np.insert(values, closed, 0.0, axis=0), pa.array(empty))
        return pa.array(np.insert(values, closed, 0), mask=empty)

    def lists(eligible: Flags) -> pa.Array:
        """The names of eligible actions; an empty cell in closing rows."""
        distinct, codes = np.unique(eligible, axis=0, return_inverse=True)
        names = [[rows.action_names[number] for number in np.flatnonzero(one)] for one in distinct]
        placed = np.insert(codes.ravel(), closed, -1).tolist()
        return pa.array([None if code < 0 else names[code] for code in placed], pa.list_(pa.string()))

    following = states_after(rows, checked.layout, chunk)
    ids = np.array([rows.episode_ids[code] for code in steps(rows.episode)], dtype=object)
    table = {
        columns.ACTION: cells(_actions(rows, steps(rows.actions).astype(np.int64))),
        **({} if rows.chances is None else {rows.chances_column: cells(steps(rows.chances))}),
        **({} if rows.eligible is None else {columns.ELIGIBLE: lists(steps(rows.eligible))}),
        columns.EPISODE_ID: cells(ids, ids[closed - 1]),
        columns.REWARD: cells(steps(rows.rewards)),
    }
    states = steps(rows.states)
    features = [_of_state(name) for name in rows.state_columns]
    for number, name in enumerate(features):
        table[name] = cells(states[:, number], following[closed - 1, number])
    if schema == "B":
        for number, name in enumerate(features):
            after = name.replace(columns.STATE_FEATURE_PREFIX, columns.NEXT_STATE_FEATURE_PREFIX)
            table[after] = pa.array(following[:, number], mask=unknown)
    table[columns.TERMINAL] = cells(terminal.astype(np.int64))
    table[columns.TRUNCATED] = cells((chunk.is_end & ~terminal).astype(np.int64))
    for name, values in rows.targets.items():
        table[name] = cells(steps(values))
    return pa.RecordBatch.from_pydict(table)


def _of_state(name: str) -> str:
    return name if name.startswith(columns.STATE_FEATURE_PREFIX) else f"{columns.STATE_FEATURE_PREFIX}{name}"


def _actions(rows: Rows, codes: Integers) -> Array:
    """``[m]``, actions as they are called."""
    if rows.action_names == default_names(rows.n_actions):
        return codes
    return np.array(rows.action_names, dtype=object)[codes]
