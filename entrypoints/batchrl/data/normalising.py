"""Logged probabilities that rounding has moved: their sums are made 1 again, and that is told."""

from __future__ import annotations

import numpy as np

from batchrl.contract import columns
from batchrl.data.checking import SUM_TOLERANCE
from batchrl.data.layout import Layout
from batchrl.data.rows import Rows

# Sums within this of 1 differ by the arithmetic of whoever wrote them, and change no figure: they stay as they are.
EXACT = 1e-6


def normalised(rows: Rows, layout: Layout) -> tuple[str, ...]:
    """Divide the probabilities of each step by their sum, in place; slightly negative ones become 0.

    Args:
        rows: with probabilities that passed the checks, so that no sum is farther from 1 than ``SUM_TOLERANCE``.
        layout: which rows are steps.

    Returns:
        What was done, in words; nothing where nothing was.
    """
    if rows.probabilities is None:
        return _at_most_one(rows, layout)
    changed, farthest = 0, 0.0
    for chunk in layout.chunks():
        part = rows.probabilities[chunk.rows]
        off = np.abs(part.sum(axis=1) - 1)
        wrong = (off > EXACT) | (part < 0).any(axis=1)
        if not wrong.any():
            continue
        changed += int(wrong.sum())
        farthest = max(farthest, float(off.max()))
        mended = np.maximum(part[wrong], 0)
        rows.probabilities[chunk.numbers[wrong]] = mended / mended.sum(axis=1, keepdims=True)
    if not changed:
        return ()
    return (
        f"the probabilities of {changed} row{'s' if changed > 1 else ''} were divided by their sum, which was up to "
        f"{farthest:.2g} away from 1 (rounded, as it seems; more than {SUM_TOLERANCE:g} away is refused)",
    )


def _at_most_one(rows: Rows, layout: Layout) -> tuple[str, ...]:
    """The same of propensities a little above 1."""
    if rows.propensities is None:
        return ()
    above = 0
    for chunk in layout.chunks():
        numbers = chunk.numbers
        wrong = rows.propensities[numbers] > 1
        above += int(wrong.sum())
        rows.propensities[numbers[wrong]] = 1.0
    called = rows.places.called(columns.PROPENSITY)
    return (f"{above} cells of '{called}' were a little above 1 and count as 1",) if above else ()
