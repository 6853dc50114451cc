"""Everything that is wrong with some data, said at once: each kind of fault with its rows and its first places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Integers
from batchrl.data.locations import RowLocation, RowLocations

# Kinds of fault that a message tells in full, and rows that it names of those that are no single cell's.
MOST = 10
NAMED = 3


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Args:
        problem: what is wrong; ``{value}`` stands for the first wrong cell where there is a column.
        advice: what would be right, or what to do.
        rows: ``[m]``, the rows that are wrong, counted through all files; none where it is the data as a whole.
        column: the column whose cells are wrong; None where it is no single one.
    """

    problem: str
    advice: str
    rows: Integers
    column: str | None = None


def refuse_all(findings: Sequence[Finding], places: RowLocations) -> None:
    """Say everything that is wrong, the first in full and then the others, ``MOST`` at most.

    Raises:
        InputError: there are findings.
    """
    if not findings:
        return
    first, *others = said_of(findings[:MOST], places)
    hint = [first[1]]
    if others:
        hint.append("Also wrong:")
        hint += [f"- {message} {advice}" for message, advice in others]
    if len(findings) > MOST:
        hint.append(f"- and {len(findings) - MOST} more kinds of fault.")
    raise InputError(first[0], "\n".join(hint))


def said_of(findings: Sequence[Finding], places: RowLocations) -> list[tuple[str, str]]:
    """Message and advice of each; the files are read once for all of them."""
    named = [np.unique(finding.rows)[: 1 if finding.column else NAMED].tolist() for finding in findings]
    wanted = sorted({row for some in named for row in some})
    found = dict(zip(wanted, places.find_all(wanted), strict=True))
    return [_said(finding, [found[row] for row in some], places) for finding, some in zip(findings, named, strict=True)]


def _said(finding: Finding, first: Sequence[RowLocation], places: RowLocations) -> tuple[str, str]:
    if finding.column is not None:
        more = len(np.unique(finding.rows)) - 1
        return places.said(first[0], finding.column, finding.problem, finding.advice, more)
    path = str(places.tables[0].path)
    where = "; ".join(place.words.removeprefix(f"{path}, ") for place in first)
    of_rows = "row" if len(first) == 1 else "rows"
    return f"{path}: {finding.problem}{f' (first {of_rows}: {where})' if where else ''}.", finding.advice
