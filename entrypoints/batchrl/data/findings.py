"""Everything that is wrong with some data, said at once: each kind of fault with its rows and its first places.

What cannot be read is found where a file is read, what cannot be used by the checks after that, and both are told
together. A cell that has been found once is not found again, nor what comes of it alone: a ``Finding`` says which cells
mean nothing because of it, and ``Known`` tells the checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchrl.contract.errors import InputError, shortened
from batchrl.contract.text import listed
from batchrl.data.dataset import Integers
from batchrl.data.locations import SHOWN, RowLocation, RowLocations

# Kinds of fault that a message tells in full, and rows and columns that it names of each.
MOST = 10
NAMED = 3
NOWHERE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Args:
        problem: what is wrong; ``{value}`` stands for the first wrong cell where there is a column.
        advice: what would be right, or what to do.
        rows: ``[m]``, the rows that are wrong, counted through all files; none where it is the data as a whole.
        column: the column whose cells are wrong; None where it is no single one.
        spoils: further columns whose cells mean nothing because of it: in those rows, or in all where it is the data as
            a whole.
    """

    problem: str
    advice: str
    rows: Integers
    column: str | None = None
    spoils: tuple[str, ...] = ()


def of_cells(column: str, problem: str, right: str, rows: Integers) -> Finding:
    """Some cells of a column are wrong; ``right`` is what they should be."""
    return Finding(problem, f"Right is: {right}.", rows, column)


class Findings:
    """What is found while files are read block by block: one kind of fault is one finding, wherever its rows lie."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, str], Finding] = {}

    def add(self, finding: Finding, kind: str | None = None) -> None:
        """Keep a finding that has rows, or that is the data as a whole.

        Args:
            finding: which.
            kind: what findings of one kind have in common; None: their problem.
        """
        key = (finding.column, kind or finding.problem)
        known = self._found.get(key)
        if known is not None:
            finding = replace(known, rows=np.concatenate([known.rows, finding.rows]))
        self._found[key] = finding

    def note(self, column: str, problem: str, right: str, rows: Integers, kind: str | None = None) -> None:
        """Keep ``of_cells``, if there are any."""
        if len(rows):
            self.add(of_cells(column, problem, right, rows), kind)

    def all(self) -> tuple[Finding, ...]:
        """What was found, in the order in which it was."""
        return tuple(self._found.values())


class Known:
    """Which cells mean nothing, since something is wrong with them that is told.

    Args:
        findings: what is told.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._rows: dict[str, Integers] = {}
        self._columns: set[str] = set()
        for finding in findings:
            for column in (finding.column, *finding.spoils):
                if column is not None and len(finding.rows):
                    self.add(column, finding.rows)
                elif column is not None:
                    self._columns.add(column)

    def add(self, column: str, rows: Integers) -> None:
        """Some rows' cells in a column as well."""
        self._rows[column] = np.union1d(self.rows(column), rows)

    def rows(self, *columns: str) -> Integers:
        """The rows with such a cell in any of some columns, sorted."""
        found = [self._rows[column] for column in columns if column in self._rows]
        return np.unique(np.concatenate(found)) if found else NOWHERE

    def everywhere(self, *columns: str) -> bool:
        """Whether any of some columns has such cells only."""
        return not self._columns.isdisjoint(columns)

    @property
    def all_rows(self) -> Integers:
        """The rows with such a cell in any column, sorted."""
        return self.rows(*self._rows)


def refuse_all(findings: Sequence[Finding], places: RowLocations) -> None:
    """Say everything that is wrong, the first in full and then the others, ``MOST`` kinds at most.

    Raises:
        InputError: there are findings.
    """
    if not findings:
        return
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for number, finding in enumerate(findings):
        alone = None if finding.column else number
        alike.setdefault((finding.problem, finding.advice, alone), []).append(finding)
    kinds = list(alike.values())
    told, left = kinds[:MOST], kinds[MOST:]
    found = _found([*(kind[0] for kind in told), *(of for kind in told for of in kind[1 : 1 + NAMED])], places)
    first, *others = [_with_others(_said(kind[0], found, places), kind[1:], found, places) for kind in told]
    hint = [first[1]]
    if others:
        hint.append("Also wrong:")
        hint += [f"- {message} {advice}" for message, advice in others]
    if left:
        named = dict.fromkeys(_name(of.column, places) for kind in left for of in kind if of.column)
        where = f", of the columns {_quoted(list(named))}" if named else ""
        hint.append(f"- and {len(left)} more kind{'s' if len(left) > 1 else ''} of fault{where}.")
    raise InputError(first[0], "\n".join(hint))


def said_of(findings: Sequence[Finding], places: RowLocations) -> list[tuple[str, str]]:
    """Message and advice of each; the files are read once for all of them."""
    found = _found(findings, places)
    return [_said(finding, found, places) for finding in findings]


def _found(findings: Sequence[Finding], places: RowLocations) -> dict[int, RowLocation]:
    """The places of the first rows of some findings, by the numbers of the rows."""
    wanted = sorted({row for finding in findings for row in _first(finding)})
    return dict(zip(wanted, places.find_all(wanted), strict=True))


def _first(finding: Finding) -> list[int]:
    rows: list[int] = np.unique(finding.rows)[:NAMED].tolist()
    return rows


def _said(finding: Finding, found: Mapping[int, RowLocation], places: RowLocations) -> tuple[str, str]:
    first = [found[row] for row in _first(finding)]
    if finding.column is not None:
        more = len(np.unique(finding.rows)) - 1
        return places.said(first[0], finding.column, finding.problem, finding.advice, more, first[1:])
    path = str(places.tables[0].path)
    where = "; ".join(place.words.removeprefix(f"{path}, ") for place in first)
    of_rows = "row" if len(first) == 1 else "rows"
    return f"{path}: {finding.problem}{f' (first {of_rows}: {where})' if where else ''}.", finding.advice


def _with_others(
    said: tuple[str, str], others: Sequence[Finding], found: Mapping[int, RowLocation], places: RowLocations
) -> tuple[str, str]:
    """Message and advice of a fault, and that other columns have it, too."""
    if not others:
        return said
    named = []
    for other in others[:NAMED]:
        count, first = len(np.unique(other.rows)), found[_first(other)[0]]
        rows = f"{count:,} rows, first" if count > 1 else "1 row,"
        named.append(f"'{_name(other.column or '', places)}' ({rows} {first.place})")
    columns = "column has" if len(others) == 1 else "columns have"
    dots = ", ..." if len(others) > NAMED else ""
    return said[0], f"{said[1]} {len(others)} more {columns} this fault: {', '.join(named)}{dots}."


def _name(column: str, places: RowLocations) -> str:
    return shortened(places.called(column), SHOWN)


def _quoted(names: Sequence[str]) -> str:
    return listed([f"'{name}'" for name in names], NAMED)
