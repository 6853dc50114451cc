"""The column of eligible actions: which actions could be taken in a row, as a matrix.

==============================  ====================================================================
a cell                          means
==============================  ====================================================================
``["coupon", "mail"]``          these actions, by what they are called; also in Python's spelling
``coupon|mail``, ``coupon;mail``  the same
a list in a Parquet file        the same
``[1, 0, 1]``                   a mask: 1 for each eligible action, where every cell of the column is
                                one, and some cell could not be a list of actions
an empty cell                   not known, which is refused for a step
==============================  ====================================================================
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import shortened
from batchrl.contract.text import listed
from batchrl.data.cells import labels
from batchrl.data.dataset import Flags, Floats64, Integers
from batchrl.data.findings import Finding, Known, of_cells
from batchrl.data.probabilities import UnreadableProbabilities, as_literal
from batchrl.data.storage import Array, Storage, chunks
from batchrl.data.vectors import NO_LIST, Unread, is_list, vectors_of

RIGHT = 'the actions that could be taken, as ["a", "b"] or a|b'
SHOWN, SHOWN_NAME = 5, 80
_SEPARATOR = re.compile(r"[|;,]")


@dataclass(frozen=True)
class Eligible:
    """What the cells of a whole column say.

    Args:
        flags: ``[M, A]``, whether each action could be taken; all false in empty cells.
        codes: ``[M]``, which list a row has; -1 for none.
        positions: the actions of each list, in its order.
        note: what was assumed, in words; None for nothing.
        findings: cells that are no list, or hold an action that there is not; their flags mean nothing.
    """

    flags: Flags
    codes: Integers
    positions: Sequence[Sequence[int]]
    note: str | None = None
    findings: tuple[Finding, ...] = ()


class EligibleColumn:
    """Grows by blocks of rows; equal cells are read once.

    Args:
        storage: where the rows go.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._column = storage.column()
        self._texts: dict[str, int] = {}

    def append(self, cells: pa.Array) -> None:
        """Add rows: the position of each cell's text among all texts so far, -1 for an empty one."""
        if is_list(cells.type):
            cells = pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()], pa.string())
        codes, texts = labels(cells)
        known = np.array([self._texts.setdefault(text.strip(), len(self._texts)) for text in texts], np.int64)
        self._column.append(np.where(codes < 0, -1, known[codes] if len(known) else -1))

    def finish(self, names: Sequence[str], all_are_named: bool) -> Eligible:
        """What the cells mean.

        Args:
            names: ``A`` names of the actions.
            all_are_named: whether they were given, or there are probabilities of all; else an action that was never
                taken is left out.
        """
        codes: Array = self._column.finish()
        lists = [items_of(text) for text in self._texts]
        positions, unknown = _positions([items or [] for items in lists], names)
        findings = []
        if no_lists := [number for number, items in enumerate(lists) if items is None]:
            rows = np.flatnonzero(np.isin(codes, no_lists))
            findings.append(of_cells(columns.ELIGIBLE, "'{value}' is no list of actions", RIGHT, rows))
        if unknown and all_are_named:
            findings.append(_unknown(unknown, lists, codes, names))
        flags = self._storage.empty((len(codes), len(names)), np.bool_)
        # One more at the end, which the code -1 of empty cells finds.
        found = np.zeros((len(positions) + 1, len(names)), np.bool_)
        for number, of_cell in enumerate(positions):
            found[number, of_cell] = True
        for start, stop in chunks(len(codes)):
            flags[start:stop] = found[codes[start:stop]]
        note = None if all_are_named else _note(list(unknown))
        return Eligible(flags, codes, positions, note, tuple(findings))


class RaggedColumn:
    """Probabilities of the eligible actions alone, in the order of the row's list; grows by blocks of rows.

    Args:
        storage: where the rows go.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._vectors: list[Floats64] = []
        self._column = storage.column()

    def append(self, cells: pa.Array) -> tuple[Unread, ...]:
        """Add rows.

        Returns:
            What is wrong with cells that are no vectors, which count as empty.
        """
        codes = np.full(len(cells), -1, np.int64)
        wrong = []
        for position in np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False)).tolist():
            try:
                read = vectors_of(cells.slice(position, 1))
            except UnreadableProbabilities:
                wrong.append(position)
                continue
            assert read is not None
            codes[position] = len(self._vectors)
            self._vectors.append(read[0])
        self._column.append(codes)
        return (Unread(NO_LIST, NO_LIST, np.array(wrong, np.int64)),) if wrong else ()

    def finish(self, eligible: Eligible) -> tuple[Floats64, list[Finding]]:
        """``[M, A]``, 0 for actions that are not eligible, ``nan`` in rows whose cell is empty; and what is wrong.

        Wrong are rows that have another number of probabilities than of eligible actions; they are ``nan`` as well.
        """
        n_actions = eligible.flags.shape[1]
        codes: Integers = self._column.finish()
        result: Floats64 = self._storage.empty((len(codes), n_actions), np.float64)
        wrong, problem = [], ""
        listed_well = np.ones(len(codes), np.bool_)
        listed_well[Known(eligible.findings).rows(columns.ELIGIBLE)] = False
        for row, (code, of_row) in enumerate(zip(codes.tolist(), eligible.codes.tolist(), strict=True)):
            result[row] = np.nan
            if code < 0 or not listed_well[row]:
                continue
            vector = self._vectors[code]
            where: Sequence[int] = () if of_row < 0 else eligible.positions[of_row]
            if len(where) != len(vector) == n_actions:
                where = range(n_actions)
            if len(where) != len(vector):
                wrong.append(row)
                problem = problem or f"{{value}} has {len(vector)} numbers, but {len(where)} actions are eligible"
                continue
            result[row] = 0.0
            result[row, list(where)] = vector
        name, right = columns.ALL_ACTION_PROBABILITIES, "one for each of them, in their order"
        findings = [of_cells(name, problem, right, np.array(wrong, np.int64))] if wrong else []
        return result, findings


def items_of(text: str) -> list[str] | None:
    """The entries of a cell, as text; None where it is no list. An empty cell has none."""
    if not text or text[0] not in "[(":
        return [part.strip() for part in _SEPARATOR.split(text)] if text else []
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    entries = list(value) if isinstance(value, (list, tuple)) else []
    if not entries or not all(isinstance(entry, (str, int)) for entry in entries):
        return None
    return [str(int(entry)) if isinstance(entry, bool) else str(entry).strip() for entry in entries]


def _positions(lists: Sequence[Sequence[str]], names: Sequence[str]) -> tuple[list[list[int]], dict[str, int]]:
    """The actions of each list by position, and what is called by no name, each with the first list that holds it."""
    if _are_masks(lists, len(names)):
        return [[number for number, item in enumerate(items) if item == "1"] for items in lists], {}
    position = {name.strip(): number for number, name in enumerate(names)}
    unknown: dict[str, int] = {}
    for number, items in enumerate(lists):
        for item in items:
            if item not in position:
                unknown.setdefault(item, number)
    return [[position[item] for item in items if item in position] for items in lists], unknown


def _are_masks(lists: Sequence[Sequence[str]], n_actions: int) -> bool:
    filled = [items for items in lists if items]
    return (
        bool(filled)
        and all(len(items) == n_actions and set(items) <= {"0", "1"} for items in filled)
        and any(len(set(items)) < len(items) for items in filled)
    )


def _unknown(
    unknown: Mapping[str, int], lists: Sequence[Sequence[str] | None], codes: Integers, names: Sequence[str]
) -> Finding:
    """That lists hold actions that there are not."""
    odd = [number for number, items in enumerate(lists) if items and not unknown.keys().isdisjoint(items)]
    rows = np.flatnonzero(np.isin(codes, odd))
    first = next(item for item in lists[codes[rows[0]]] or () if item in unknown)
    others = f", nor {len(unknown) - 1:,} more that are held elsewhere" if len(unknown) > 1 else ""
    problem = f"there is no action '{as_literal(shortened(first, SHOWN_NAME))}', which '{{value}}' holds{others}"
    return of_cells(columns.ELIGIBLE, problem, f"some of {listed(names, SHOWN)}", rows)


def _note(unknown: Sequence[str]) -> str | None:
    if not unknown:
        return None
    names = listed([f"'{name}'" for name in unknown], SHOWN)
    were, it = ("was", "it") if len(unknown) == 1 else ("were", "them")
    return (
        f"{names} {were} eligible in some rows and never taken: nothing is known of {it}, so that no policy "
        f"chooses {it}; to keep {it} as actions, name all in data.actions"
    )
