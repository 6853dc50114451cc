"""Raw states of a data set as features: the encoding that they ask for, and what it makes of them.

Memory is what this costs: columns are gathered a few at a time, and features are written where they stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from batchrl.data.dataset import Dataset, Flags, Floats32, Floats64, Integers
from batchrl.data.encoding import BLOCK_ROWS, Encoding, RawColumn
from batchrl.data.layout import Layout
from batchrl.data.rows import Rows
from batchrl.data.storage import Storage, chunks, taken

# Their numbers are next to each other in a line of a core's cache.
COLUMNS_AT_ONCE = 8


def fitted(columns: Sequence[RawColumn], raw: Dataset, episodes: Integers) -> Encoding:
    """The encoding that some episodes of a dataset ask for.

    Args:
        columns: ``d``, of the raw states.
        raw: the dataset.
        episodes: ``[m]``, positions of the episodes.

    Raises:
        InputError: a column has no value in them.
    """
    used = np.zeros(raw.n_episodes, np.bool_)
    used[episodes] = True
    return Encoding.of_columns(columns, _columns_of(raw, np.repeat(used, raw.lengths)))


def _columns_of(raw: Dataset, rows: Flags) -> Iterator[Floats64]:
    """The values of each column in some rows, until the next is asked for."""
    every = bool(rows.all())
    width = raw.states.shape[1]
    values = np.empty((min(COLUMNS_AT_ONCE, width), int(rows.sum())))
    for first in range(0, width, COLUMNS_AT_ONCE):
        chosen = values[: width - first]
        filled = 0
        for start in range(0, len(rows), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            part = raw.states[block, first : first + COLUMNS_AT_ONCE]
            if not every:
                part = part[rows[block]]
            chosen[:, filled : filled + len(part)] = part.T
            filled += len(part)
        yield from chosen


def are_left(rows: Rows) -> bool:
    """Whether the next states of transitions are made by ``encoded``: raw ones, each the state of the next row."""
    return rows.raw is not None and rows.next_states is None


def encoded(rows: Rows, layout: Layout, raw: Dataset, encoding: Encoding) -> Dataset:
    """A dataset of raw states with their features instead, which lie where those lie.

    Args:
        rows: that the states are of.
        layout: which of them are steps.
        raw: the dataset; where ``are_left``, its next states mean nothing.
        encoding: what becomes of the states.
    """
    assert rows.raw is not None, "plain numbers are not encoded"
    columns = rows.raw

    def features(states: Floats32 | Floats64) -> Floats32:
        result: Floats32 = Storage.like(states).empty((len(states), len(encoding.names)), np.float32)
        for start, stop in chunks(len(states)):
            encoding.encode(columns, np.asarray(states[start:stop], np.float64), result[start:stop])
        return result

    states = features(raw.states)
    if are_left(rows):
        next_states: Floats32 = Storage.like(raw.states).empty(states.shape, np.float32)
        next_states[:-1] = states[1:]
        # A terminal transition's is its own state, for it means nothing; of one that was cut, the row that closes it.
        ends = raw.offsets[1:] - 1
        cut = ~raw.terminal[ends]
        next_states[ends[~cut]] = states[ends[~cut]]
        closing, lasts = layout.closing[cut], ends[cut]
        for start, stop in chunks(len(lasts)):
            after = np.asarray(taken(rows.states, closing[start:stop]), np.float64)
            next_states[lasts[start:stop]] = encoding.encode(columns, after)
    else:
        next_states = features(raw.next_states)
    return replace(raw, states=states, next_states=next_states, state_columns=encoding.names, encoding=encoding)
