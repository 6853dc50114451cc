"""Rows that are exact copies of one before in their episode, and whether states repeat by themselves.

Rows are logged twice by mistake, or they are equal because little happens: a state that stays, an unchanging user, a
problem of few states. Then some rows share their state and differ in the rest, or episodes share their states; of
continuous states, neither happens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchrl.data.dataset import Flags, Integers
from batchrl.data.fingerprints import fingerprints, fingerprints_of_states
from batchrl.data.layout import Layout
from batchrl.data.rows import Rows

# States repeat where so many rows have that of one before and differ otherwise, for each copy.
REPEATING = 0.01
# And where so many of the copies have a state that another episode has, too.
SHARED = 0.5


@dataclass(frozen=True)
class Copies:
    """Copies among the steps.

    Args:
        rows: ``[m]``, in the order of the files.
        natural: whether they may be equal by themselves.
    """

    rows: Integers
    natural: bool


def copies_of(rows: Rows, layout: Layout) -> Copies:
    """The steps that are exact copies of one before in their episode."""
    whole, places = fingerprints(rows, layout)
    in_order = np.sort(whole)
    if not (in_order[1:] == in_order[:-1]).any():
        return Copies(np.zeros(0, np.int64), False)
    copied: Flags = np.ones(len(whole), np.bool_)
    copied[np.unique(whole, return_index=True)[1]] = False
    repeats = len(places) - len(np.unique(places)) - int(copied.sum())
    natural = repeats >= REPEATING * copied.sum()
    if not natural and rows.times is None:
        natural = bool(_shared(rows, layout)[copied].mean() >= SHARED)
    steps = np.concatenate([chunk.numbers for chunk in layout.chunks()])
    return Copies(np.sort(steps[copied]), natural)


def _shared(rows: Rows, layout: Layout) -> Flags:
    """``[N]``, whether another episode has the state of a step."""
    _, codes = np.unique(fingerprints_of_states(rows, layout), return_inverse=True)
    n_episodes = len(layout.kept)
    episodes = np.repeat(np.arange(n_episodes), np.diff(layout.offsets))
    pairs = np.unique(codes.astype(np.int64) * n_episodes + episodes)
    return np.asarray(np.bincount(pairs // n_episodes)[codes] > 1)
