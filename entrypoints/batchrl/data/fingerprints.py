"""A number for each step by which equal steps are found: collisions are as good as impossible.

The bits of column after column are mixed into 64 bits: exclusive or, multiplication with an odd number, and the high
half onto the low one (the steps of MurmurHash: Appleby 2008). Each step is reversible, so that rows that differ in one
column never agree; others of N agree with probability about N * N / 2**65.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from batchrl.data.layout import Layout
from batchrl.data.rows import Rows
from batchrl.data.storage import Array, taken

FACTOR, HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)

Prints = NDArray[np.uint64]


def fingerprints(rows: Rows, layout: Layout) -> tuple[Prints, Prints]:
    """Of all N steps, in the order of the episodes.

    Returns:
        ``[N]`` numbers of everything in a row, and ``[N]`` of its episode, time and state alone.
    """
    whole, places = np.empty(layout.n_steps, np.uint64), np.empty(layout.n_steps, np.uint64)
    known = (rows.probabilities, rows.propensities, rows.next_states)
    rest: list[Array] = [rows.actions, rows.rewards, *rows.flags.values(), *rows.targets.values()]
    rest += [values for values in known if values is not None]
    for chunk in layout.chunks():
        part = slice(chunk.start, chunk.stop)
        state = taken(rows.episode, chunk.rows).astype(np.uint64)
        if rows.times is not None:
            _mix(state, taken(rows.times, chunk.rows))
        _mix(state, taken(rows.states, chunk.rows))
        places[part] = state
        for values in rest:
            _mix(state, taken(values, chunk.rows))
        whole[part] = state
    return whole, places


def fingerprints_of_states(rows: Rows, layout: Layout) -> Prints:
    """``[N]``, of the states of all steps, in the order of the episodes."""
    result = np.zeros(layout.n_steps, np.uint64)
    for chunk in layout.chunks():
        _mix(result[chunk.start : chunk.stop], taken(rows.states, chunk.rows))
    return result


def _mix(state: Prints, values: Array) -> None:
    """Mix the bits of ``[m]`` or ``[m, k]`` values into ``[m]``, in place."""
    for column in values.reshape(len(values), -1).T:
        state ^= np.ascontiguousarray(column).view(f"u{column.itemsize}")
        state *= FACTOR
        state ^= state >> HALF
