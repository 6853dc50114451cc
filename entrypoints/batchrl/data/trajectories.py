"""Episodes as arrays: what other programs' formats hold, as rows of batchrl's columns and back.

Those formats number actions and episodes, and hold no propensities. Rows are of schema A where an episode has the state
after its last step, else of schema B.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.loader import CheckedRows
from batchrl.data.storage import Array

# Rows of a batch, at least; one episode is in one batch.
BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class Trajectory:
    """One episode of ``T`` steps.

    Args:
        states: ``[T, d]``, or ``[T + 1, d]`` with the state after the last step.
        actions: ``[T]``, numbers of actions; or quantities.
        rewards: ``[T]``.
        terminated: whether it ended for good; else it was cut short.
    """

    states: Array
    actions: Array
    rewards: Array
    terminated: bool


def trajectory(where: str, states: Any, actions: Any, rewards: Any, terminated: bool) -> Trajectory:
    """An episode as a file holds it.

    Args:
        where: its file and number, for messages.
        states: ``[T, d]`` or ``[T + 1, d]``, or without ``d`` where that is 1.
        actions: ``[T]`` or ``[T, 1]``.
        rewards: ``[T]`` or ``[T, 1]``.
        terminated: see ``Trajectory``.

    Raises:
        InputError: an array has another shape, or does not hold numbers.
    """
    arrays = {"observations": np.asarray(states), "actions": np.asarray(actions), "rewards": np.asarray(rewards)}
    for name, values in arrays.items():
        if values.dtype.kind not in "buif":
            raise InputError(
                f"{where}: its {name} are no numbers, but of the type {values.dtype}.",
                "States of one vector of numbers are read, and actions of one number.",
            )
    found, taken, earned = (values[:, None] if values.ndim == 1 else values for values in arrays.values())
    if found.ndim != 2:
        raise InputError(
            f"{where}: its observations are of shape {found.shape[1:]}; a state is a vector of numbers.",
            "Write a table of the features that a policy is to see.",
        )
    for name, values in (("actions", taken), ("rewards", earned)):
        if values.ndim != 2 or values.shape[1] != 1:
            several = "; where an action is several quantities, write a table with a column for each" * (
                name == "actions"
            )
            raise InputError(
                f"{where}: its {name} are of shape {values.shape[1:]}, and not one number a step.",
                f"batchrl learns to choose among a number of actions{several}.",
            )
    n = len(taken)
    if not n or len(earned) != n or len(found) not in (n, n + 1):
        raise InputError(
            f"{where}: it has {n} actions, {len(earned)} rewards and {len(found)} observations.",
            "Right is: as many rewards as actions, and as many observations or one more.",
        )
    return Trajectory(_plain(found), _plain(taken)[:, 0], _plain(earned)[:, 0], terminated)


def batches_of(trajectories: Iterable[Trajectory]) -> Iterator[pa.RecordBatch]:
    """Rows, episode after episode, of many whole ones in a batch."""
    waiting: list[tuple[int, Trajectory]] = []
    rows = 0
    for each in enumerate(trajectories):
        waiting.append(each)
        rows += len(each[1].states)
        if rows >= BATCH_ROWS:
            yield _batch(waiting)
            waiting, rows = [], 0
    if waiting:
        yield _batch(waiting)


def trajectories_of(checked: CheckedRows) -> Iterator[Trajectory]:
    """The episodes of rows that passed every check, with the state after the last step wherever it is known."""
    rows, layout = checked.rows, checked.layout
    lengths, starts = np.diff(layout.offsets), layout.episodes.starts[layout.kept]
    cut = ~checked.end_is_terminal | checked.cut_unknown
    for start, length, terminated in zip(starts.tolist(), lengths.tolist(), (~cut).tolist(), strict=True):
        steps = layout.episodes.rows(np.arange(start, start + length))
        after = rows.states[layout.episodes.rows(np.arange(start + length, start + length + layout.drop_last))]
        if rows.next_states is not None and rows.are_known(rows.next_states[steps[-1:]]).all():
            after = rows.next_states[steps[-1:]]
        states = np.concatenate([rows.states[steps], after[rows.are_known(after)]])
        yield Trajectory(states, rows.actions[steps].astype(np.int64), rows.rewards[steps], terminated)


def is_quantity(actions: Array) -> Array:
    """``[T]``, whether each of them is no whole number."""
    return np.asarray(actions != np.floor(actions))


def _batch(episodes: list[tuple[int, Trajectory]]) -> pa.RecordBatch:
    """Rows of some episodes, each with its number."""

    def column(values: list[Array], closing: bool = False) -> pa.Array:
        """One array an episode; ``closing``: they have a cell for the state after the last step, too."""
        if closing:
            return pa.array(np.concatenate(values))
        filled = [np.arange(len(each.states)) < len(each.actions) for _, each in episodes]
        padded = [np.resize(part, len(mask)) for part, mask in zip(values, filled, strict=True)]
        return pa.array(np.concatenate(padded), mask=~np.concatenate(filled))

    def at_end(flags: list[bool]) -> pa.Array:
        return column(
            [
                np.eye(1, len(one.actions), len(one.actions) - 1, dtype=np.int64)[0] * flag
                for flag, (_, one) in zip(flags, episodes, strict=True)
            ]
        )

    every = [each for _, each in episodes]
    table = {
        columns.ACTION: column([each.actions for each in every]),
        columns.EPISODE_ID: column([np.full(len(each.states), number) for number, each in episodes], closing=True),
        columns.REWARD: column([each.rewards for each in every]),
        **{
            f"{columns.STATE_FEATURE_PREFIX}{number}": column([each.states[:, number] for each in every], closing=True)
            for number in range(every[0].states.shape[1])
        },
        columns.TERMINAL: at_end([each.terminated for each in every]),
        columns.TRUNCATED: at_end([not each.terminated for each in every]),
    }
    return pa.RecordBatch.from_pydict(table)


def _plain(values: Array) -> Array:
    """Of a type that every format has: integers, or floats as wide as they are."""
    if values.dtype.kind == "f":
        return values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32, copy=False)
    return values.astype(np.int64, copy=False)
