"""A log that kept some episodes with a smaller chance than others, thinned until all were kept with the same chance.

The weight of an episode is the reciprocal of its chance, up to a factor. Kept once more with probability ``weight /
largest weight``, every episode has had the same chance, whatever the weights depend on: rewards, actions, contexts.
What is left is a sample of what was to be logged, so that estimates, intervals, checks and training need know nothing
of weights (cost-proportionate rejection sampling: Zadrozny, Langford & Abe 2003). The price is what is left out:
episodes of a small weight are many in such a log, and say as much as their share of what was to be logged does.
"""

from __future__ import annotations

import numpy as np

from batchrl.contract import columns
from batchrl.data.layout import Layout
from batchrl.data.rows import Rows
from batchrl.data.storage import taken

# Of the draw: the same log is always thinned alike.
SEED = 32_768


def thinned(rows: Rows, layout: Layout) -> tuple[Layout, tuple[str, ...]]:
    """The steps that are left, and what there is to say about it, in words.

    Args:
        rows: with weights above 0, one an episode; without any, everything stays.
        layout: their steps.
    """
    if rows.weights is None:
        return layout, ()
    weights = taken(rows.weights, layout.first_steps)
    n, largest = len(weights), float(weights.max())
    left = np.random.default_rng([SEED, n]).random(n) < weights / largest
    if left.all():
        return layout, ()
    note = (
        f"weights ('{rows.places.called(columns.WEIGHT)}') say that episodes were kept with different chances: "
        f"{int(left.sum()):,} of {n:,} were drawn, each with its weight over the largest, {largest:.6g}, so that all "
        "that are left were kept with one chance"
    )
    return layout.only(left), (note,)
