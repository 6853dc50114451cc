"""Whether each episode ends with a row that closes it.

Schema A: an episode ends with a row that holds only the terminal observation. Schema B: every row is a step and the
terminal observation is not written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from batchrl.contract import columns
from batchrl.data.dataset import Flags, Integers
from batchrl.data.findings import Finding, Known, of_cells
from batchrl.data.layout import Episodes
from batchrl.data.rows import Rows

Schema = Literal["A", "B"]
_INNER = "the cell is empty, but this is not the episode's last row"
_FILLED = "the episode's last row has action {value}, but other episodes end with a row that holds only a state"
_RIGHT_FILLED = "every episode ends with a row whose action is empty, or none does (schema B)"


def with_schema(rows: Rows, episodes: Episodes, wanted: str) -> tuple[Rows, Schema]:
    """The rows with what is wrong about their order and schema among the findings, and the schema.

    An action that cannot be read is one all the same. Episodes whose rows are in no known order tell nothing.

    Args:
        rows: all rows.
        episodes: their episodes.
        wanted: the setting ``data.csv_schema``.
    """
    known = Known(rows.findings)
    blank = np.isnan(rows.actions)
    blank[known.rows(columns.ACTION)] = False
    rows = _with_timeless(rows, episodes, blank)
    lasts: Integers = episodes.lasts
    unsettled = rows.unsettled
    if unsettled is not None:
        blank[unsettled] = False
        lasts = lasts[~unsettled[lasts]]
    closed = bool(blank[lasts[0]]) if len(lasts) else bool(np.isnan(rows.actions).any())
    if wanted == "B" or (wanted == "auto" and not closed):
        return rows, "B"
    if known.everywhere(columns.ACTION):
        return rows, "A"
    inner = np.setdiff1d(np.flatnonzero(blank), lasts)
    filled = lasts[~blank[lasts]]
    found: list[Finding] = []
    if len(inner):
        found.append(of_cells(columns.ACTION, _INNER, "the action taken", inner))
    if len(filled):
        found.append(of_cells(columns.ACTION, _FILLED, _RIGHT_FILLED, filled))
    return replace(rows, findings=(*rows.findings, *found)), "A"


def _with_timeless(rows: Rows, episodes: Episodes, blank: Flags) -> Rows:
    """Rows with an action but without a time, in episodes of several, are among the findings: none knows their place.

    Args:
        rows: all rows.
        episodes: their episodes.
        blank: ``[M]``, which have no action.
    """
    if rows.times is None:
        return rows
    empty = np.setdiff1d(np.flatnonzero(np.isnan(rows.times) & ~blank), Known(rows.findings).rows(columns.TIME))
    empty = empty[episodes.counts[rows.episode[empty]] > 1]
    if not len(empty):
        return rows
    right = "the time of the row, by which those of its episode are sorted"
    return replace(rows, findings=(*rows.findings, of_cells(columns.TIME, "the cell is empty", right, empty)))
