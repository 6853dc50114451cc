"""Logged episodes divided into those that may be learnt from and those that are held out, under ids that stay unique.

A loop of rounds collects file after file, each numbered from 0, and gates every round's policy on episodes that it was
not trained on. Whole episodes are held out, drawn by a seed; both files are schema B with the ends of episodes,
whatever the source was, so that the files of all rounds can be read as one data set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.divided import Divided, Returns
from batchrl.contract.errors import InputError
from batchrl.contract.limits import LEAST_HELD_OUT, held_out_size
from batchrl.data.convert import write_batches
from batchrl.data.convert_schema import batches_of
from batchrl.data.dataset import Flags, Floats32, Floats64, Integers
from batchrl.data.loader import CheckedRows, read_checked
from batchrl.data.storage import taken
from presets.dataschema import DataSettings

# Logged probabilities are often rounded.
SAME_PROBABILITY = 1e-3
Probabilities = Callable[[Floats32], Floats64]


def divide(
    source: Path,
    kept: Path,
    held_out: Path | None,
    *,
    share: float,
    seed: int,
    prefix: str,
    logged_by: Callable[[int], Probabilities] | None = None,
) -> Divided:
    """Write the episodes of a data set into two files.

    Args:
        source: a file or folder of data.
        kept: file for the episodes that are not held out; its name says the format.
        held_out: file for the others; None to hold out none.
        share: of the episodes that are held out, rounded, but at least two.
        seed: of the draw.
        prefix: what every id begins with from now on.
        logged_by: given the number of actions, the probabilities ``[B, A]`` of the policy that is said to have logged
            the data; None where nothing is said.

    Raises:
        InputError: the data is wrong, has too few episodes, or was logged by another policy.
    """
    checked = read_checked(source, DataSettings(storage="auto"))
    checked.rows.require_plain("a loop")
    n, total = len(checked.layout.kept), len(checked.layout.episodes.counts)
    if logged_by is not None:
        _check_logged_by(checked, logged_by, source)
    drawn = np.zeros(total, np.bool_)
    if held_out is not None:
        size = held_out_size(n, share)
        if n - size < LEAST_HELD_OUT:
            raise InputError(
                f"{source} has {n} episodes: {size} held out leave {n - size} to learn from.",
                "Log more episodes, or hold out a smaller share.",
            )
        drawn[checked.layout.kept[np.random.default_rng([seed, n]).permutation(n)[:size]]] = True
        write_batches(_some(checked, drawn, prefix), held_out, overwrite=True)
    write_batches(_some(checked, ~drawn, prefix), kept, overwrite=True)
    returns, lengths = _returns(checked)
    found = drawn[checked.layout.kept]
    return Divided(
        _figures(returns, lengths),
        _figures(returns[found], lengths[found]) if held_out is not None else None,
        features=checked.rows.states.shape[1],
        actions=checked.rows.n_actions,
        eligible=checked.rows.eligible is not None,
    )


def _some(checked: CheckedRows, wanted: Flags, prefix: str) -> Iterator[pa.RecordBatch]:
    """The steps of the wanted episodes ``[e]``, under their new ids."""
    for chunk, batch in batches_of(checked, "B"):
        chosen = wanted[taken(checked.rows.episode, chunk.rows).astype(np.int64)]
        if not chosen.any():
            continue
        position = batch.schema.get_field_index(columns.EPISODE_ID)
        ids = pa.array([prefix + text for text in batch.column(position).to_pylist()])
        yield batch.set_column(position, columns.EPISODE_ID, ids).filter(pa.array(chosen))


def _returns(checked: CheckedRows) -> tuple[Floats64, Integers]:
    """Undiscounted returns and lengths of the kept episodes, both ``[n]``."""
    rows, total = checked.rows, len(checked.layout.episodes.counts)
    sums, lengths = np.zeros(total), np.zeros(total, np.int64)
    for chunk in checked.layout.chunks():
        codes = taken(rows.episode, chunk.rows).astype(np.int64)
        sums += np.bincount(codes, weights=taken(rows.rewards, chunk.rows), minlength=total)
        lengths += np.bincount(codes, minlength=total)
    return sums[checked.layout.kept], lengths[checked.layout.kept]


def _figures(returns: Floats64, lengths: Integers) -> Returns:
    n = len(returns)
    error = float(returns.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return Returns(n, int(lengths.sum()), float(returns.mean()), error)


def _check_logged_by(checked: CheckedRows, logged_by: Callable[[int], Probabilities], source: Path) -> None:
    """Refuse data that another policy logged; who is said to be in place must be who acted."""
    rows = checked.rows
    if rows.probabilities is None:
        has = "no probabilities" if rows.chances is None else "the probability of the taken action alone"
        raise InputError(
            f"{source} has {has}, which cannot tell who logged it.",
            f"Log the probabilities of all actions: {columns.ALL_ACTION_PROBABILITIES}.",
        )
    probabilities = logged_by(rows.n_actions)
    for chunk in checked.layout.chunks():
        logged = taken(rows.probabilities, chunk.rows)
        expected = probabilities(taken(rows.states, chunk.rows))
        wrong = np.flatnonzero((np.abs(logged - expected) > SAME_PROBABILITY).any(axis=1))
        if len(wrong):
            place = rows.places.find(int(chunk.numbers[wrong[0]]))
            raise InputError(
                f"{place.words}: logged with probabilities {_shown(logged[wrong[0]])}, where the policy that is said "
                f"to be in place takes {_shown(expected[wrong[0]])}.",
                f"Name the policy that logged {source}, by collect.behavior: it stays in place until another one is "
                "promoted. Of a job, that is the folder that `batchrl model export JOB FOLDER` writes.",
            )


def _shown(row: Floats64) -> str:
    return f"[{', '.join(f'{chance:.4g}' for chance in row)}]"
