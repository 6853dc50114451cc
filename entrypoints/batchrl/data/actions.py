"""The column of actions: numbers, names or one-hot vectors, as positions among the actions of a log.

========================  ===========================  =========================================================
cells                     ``data.actions``             the actions
========================  ===========================  =========================================================
integers                  given, as numbers            those, by what they are called
integers                  given, as words              those, by position
integers                  not given, all probabilities 0 to A - 1, one for each probability
integers                  not given                    those that the log holds, in their order
names                     given                        those
names                     not given                    those that the log holds, sorted; with all probabilities,
                                                       there must be one for each
one-hot vectors           either                       one for each entry
one-hot columns           not given                    one for each column, called as ``batchrl.data.onehot`` says
one-hot columns           given                        those, which are the same in any order
ranges                    as for names                 as ``batchrl.data.binning`` calls them, ``[0.1, 0.35)``: no
                                                       vectors where one is half-open; sorted by where they begin
========================  ===========================  =========================================================
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.text import DECIMAL, listed
from batchrl.data.cells import is_text, labels, read_numbers
from batchrl.data.dataset import Floats64, Integers, default_names
from batchrl.data.findings import NOWHERE, Finding, of_cells
from batchrl.data.locations import RowLocations
from batchrl.data.storage import Array, Storage
from batchrl.data.vectors import each_vector, is_list

# The number of ranges that a message proposes for quantities.
RANGES = 5
# More integers than these are amounts, not names of choices.
MOST_ACTIONS = 100_000
WRITTEN_SEPARATELY = 5
# Ranges are called by their ends; of several all but the last one are half-open.
RANGE = re.compile(rf"\[({DECIMAL.pattern}), {DECIMAL.pattern}([])])")


@dataclass(frozen=True)
class NamedActions:
    """Actions of rows.

    Args:
        codes: ``[M]``, positions among the names, ``nan`` in empty cells; other numbers where ``names`` are positions
            and a cell holds none of them, which the checks of steps refuse.
        names: ``A`` names.
        note: what was assumed, in words; None for nothing.
        findings: what is wrong; the codes of their rows mean nothing, and nor do all where it is the data as a whole.
    """

    codes: Floats64
    names: tuple[str, ...]
    note: str | None = None
    findings: tuple[Finding, ...] = ()

    def but(self, *findings: Finding) -> NamedActions:
        """The same, of which more is wrong."""
        return replace(self, findings=(*findings, *self.findings))


class ActionColumn:
    """Grows by blocks of rows.

    Args:
        storage: where the rows go.
    """

    def __init__(self, storage: Storage) -> None:
        self._column = storage.column()
        self._texts: dict[str, int] = {}
        self._named: bool | None = None
        self._mixed = False

    def append(self, cells: pa.Array) -> Integers:
        """Add rows: numbers as they are, texts by their position among all texts so far.

        Returns:
            The positions of cells that are neither. Where these are numbers and those before were texts, or the other
            way round, ``finding`` says so, and they count as empty.
        """
        kind = cells.type
        named = pa.types.is_dictionary(kind) or is_text(kind) or pa.types.is_boolean(kind) or is_list(kind)
        if self._named is None:
            self._named = named
        if self._named != named:
            self._mixed = True
            self._column.append(np.full(len(cells), np.nan))
            return NOWHERE
        if not named:
            values, wrong = read_numbers(cells)
            self._column.append(values)
            return wrong
        if is_list(kind):
            cells = pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()])
        codes, texts = labels(cells)
        known = np.array([self._texts.setdefault(text.strip(), len(self._texts)) for text in texts], np.float64)
        values = np.full(len(codes), np.nan)
        filled = codes >= 0
        values[filled] = known[codes[filled]]
        self._column.append(values)
        return NOWHERE

    @property
    def finding(self) -> Finding | None:
        """That the column is of no one kind."""
        if not self._mixed:
            return None
        problem = "the column of actions holds numbers in some files or rows, and names in others"
        return _of_all(problem, "Write them alike in all: as names, or as numbers.")

    def finish(self) -> tuple[Floats64, tuple[str, ...] | None]:
        """``[M]`` values; and, where they are positions, the texts that they stand for."""
        values: Array = self._column.finish()
        return values, tuple(self._texts) if self._named else None


def named_actions(
    read: tuple[Floats64, tuple[str, ...] | None],
    given: Sequence[str] | None,
    n_probabilities: int | None,
    places: RowLocations,
    entries: tuple[str, ...] | None = None,
) -> NamedActions:
    """What the cells of a whole column mean.

    Args:
        read: ``[M]`` numbers and None, or positions and texts, of ``ActionColumn.finish``.
        given: the setting ``data.actions``.
        n_probabilities: ``A`` where the probabilities of all actions were logged, else None.
        places: of the rows.
        entries: what the entries of vectors are called, where they stand in columns of their own.
    """
    values, texts = read
    if np.isnan(values).all():
        problem = f"column '{places.called(columns.ACTION)}': every cell is empty"
        names = given or entries or default_names(n_probabilities or 1)
        advice = "Right is: the action taken; say which column holds it: data.columns.action."
        return NamedActions(values, tuple(names), findings=(_of_all(problem, advice),))
    if texts is not None:
        if entries is not None:
            return _of_entries(values, texts, entries, given, n_probabilities, places)
        ranges = any((found := RANGE.fullmatch(text)) and found[2] == ")" for text in texts)
        known = ranges or (given is not None and set(texts) <= set(given))
        vectors = None if known else _one_hot(values, texts, several=False)
        if vectors is not None:
            codes, width, findings = vectors
            if given is not None and width is not None and len(given) != width:
                findings = (_other_number(given, width, "entries in each action's vector"), *findings)
            names = tuple(given) if given is not None else default_names(width or n_probabilities or 1)
            return NamedActions(codes, names, findings=findings)
        meant, wrong = read_numbers(pa.array(texts, pa.string()))
        are_numbers = given is None and any(DECIMAL.fullmatch(text) for text in texts)
        if len(wrong) and are_numbers:
            rows = np.flatnonzero(np.isin(values, wrong))
            numbers = _meant(np.where(np.isin(values, wrong), np.nan, values), meant)
            return _of_numbers(numbers, given, n_probabilities, places).but(
                of_cells(columns.ACTION, "'{value}' is not a number, as other actions are", "one number", rows)
            )
        booleans = {text.lower() for text in texts} <= {"true", "false"} and n_probabilities is None
        if len(wrong) or booleans or (given is not None and set(texts) <= set(given)):
            return _of_names(values, texts, given, n_probabilities, places)
        values = _meant(values, meant)
    return _of_numbers(values, given, n_probabilities, places)


def _meant(values: Floats64, meant: Floats64) -> Floats64:
    """``[M]``, what the texts mean whose positions ``[M]`` are given; ``nan`` in empty cells."""
    return np.append(meant, np.nan)[np.where(np.isnan(values), len(meant), values).astype(np.int64)]


def _of_entries(
    values: Floats64,
    texts: Sequence[str],
    entries: tuple[str, ...],
    given: Sequence[str] | None,
    n_probabilities: int | None,
    places: RowLocations,
) -> NamedActions:
    """The actions of one-hot columns, as ``NamedActions`` has them."""
    found = _one_hot(values, texts, several=True)
    codes, _, findings = (np.full(len(values), np.nan), None, ()) if found is None else found
    if given is None:
        if n_probabilities not in (None, len(entries)):
            problem = (
                f"there are {len(entries)} columns of actions ({places.called(columns.ACTION)}), but "
                f"'{places.called(columns.ALL_ACTION_PROBABILITIES)}' has {n_probabilities} probabilities"
            )
            advice = "Name a column for each, in the order of the probabilities: data.columns.action."
            return NamedActions(codes, entries, findings=(_of_all(problem, advice), *findings))
        note = None if n_probabilities is None else _in_this_order(entries)
        return NamedActions(codes, entries, note, findings)
    if sorted(given) != sorted(entries):
        problem = f"data.actions names {_listed(given)}, but the columns of actions are those of {_listed(entries)}"
        wrong = _of_all(problem, "Name those, in the order that you want, or none.")
        return NamedActions(codes, entries, findings=(wrong, *findings))
    position = np.array([given.index(name) for name in entries], np.float64)
    filled = ~np.isnan(codes)
    codes[filled] = position[codes[filled].astype(np.int64)]
    return NamedActions(codes, tuple(given), findings=(*_number_checked(given, n_probabilities), *findings))


def _of_numbers(
    values: Floats64, given: Sequence[str] | None, n_probabilities: int | None, places: RowLocations
) -> NamedActions:
    if given is None and n_probabilities is not None:
        return NamedActions(values, default_names(n_probabilities))
    findings = []
    fraction = np.flatnonzero(~np.isnan(values) & ((values != np.floor(values)) | np.isinf(values)))
    if len(fraction):
        problem = "{value} is a quantity; batchrl learns to choose among a number of actions, not how much"
        right = f"a name or an integer, such as a range that the quantity lies in: {_ranges(places)}"
        findings.append(of_cells(columns.ACTION, problem, right, fraction))
        values[fraction] = np.nan
    filled = ~np.isnan(values)
    distinct = np.unique(values[filled])
    if given is None:
        if len(distinct) > MOST_ACTIONS:
            problem = (
                f"column '{places.called(columns.ACTION)}': {len(distinct)} different integers are more than can be "
                "chosen among"
            )
            advice = (
                "Is it an id? Name the column of the action: data.columns.action. Is it an amount? Choose among "
                f"ranges: {_ranges(places)}."
            )
            return NamedActions(values, default_names(2), findings=(*findings, _of_all(problem, advice)))
        positions = np.full(len(values), np.nan)
        positions[filled] = np.searchsorted(distinct, values[filled])
        return NamedActions(positions, tuple(f"{value:.0f}" for value in distinct), findings=tuple(findings))
    findings += _number_checked(given, n_probabilities)
    known = {name.strip(): float(position) for position, name in enumerate(given)}
    if not all(name.lstrip("+-").isdigit() for name in known):
        return NamedActions(values, tuple(given), findings=tuple(findings))
    codes = np.full(len(values), np.nan)
    unknown: dict[str, Integers] = {}
    for value in distinct:
        name = f"{value:.0f}"
        where = values == value
        if name in known:
            codes[where] = known[name]
        else:
            unknown[name] = np.flatnonzero(where)
    return NamedActions(codes, tuple(given), findings=(*findings, *_unknown(unknown, given)))


def _ranges(places: RowLocations) -> str:
    """The command that makes ranges of the column of actions."""
    called = places.called(columns.ACTION)
    return (
        f"`batchrl data convert DATA ranges.parquet --bin {shlex.quote(f'{called}={RANGES}')}` makes {RANGES} of them"
    )


def _of_names(
    values: Floats64,
    texts: Sequence[str],
    given: Sequence[str] | None,
    n_probabilities: int | None,
    places: RowLocations,
) -> NamedActions:
    note, findings = None, []
    if given is None:
        names = tuple(sorted(texts, key=_place))
        if n_probabilities is not None and n_probabilities != len(names):
            problem = (
                f"the log holds {len(names)} actions ({_listed(names)}), but "
                f"'{places.called(columns.ALL_ACTION_PROBABILITIES)}' has {n_probabilities} probabilities"
            )
            findings.append(_of_all(problem, "Name all actions in the order of the probabilities: data.actions."))
        elif n_probabilities is not None:
            note = _in_this_order(names)
    else:
        names = tuple(given)
        findings += _number_checked(names, n_probabilities)
    known = {name: float(position) for position, name in enumerate(names)}
    unknown = {text: np.flatnonzero(values == position) for position, text in enumerate(texts) if text not in known}
    meaning = np.array([known.get(text, np.nan) for text in texts], np.float64)
    return NamedActions(_meant(values, meaning), names, note, (*findings, *_unknown(unknown, names)))


def _in_this_order(names: Sequence[str]) -> str:
    return (
        f"the probabilities are taken for those of {_listed(names)}, in this order; where theirs is another, "
        "name the actions in it: data.actions"
    )


def _place(text: str) -> tuple[float, str]:
    """By what actions that are called by name are sorted: ranges by where they begin."""
    found = RANGE.fullmatch(text)
    return (float(found[1]) if found else math.inf, text)


def _one_hot(
    values: Floats64, texts: Sequence[str], several: bool
) -> tuple[Floats64, int | None, tuple[Finding, ...]] | None:
    """``[M]`` positions, the number of entries and what is wrong, where every text is a vector; None where not.

    Args:
        values: ``[M]``, positions among the texts, ``nan`` in empty cells.
        texts: the distinct cells.
        several: whether the vectors are cells of several columns.

    Returns:
        See above; the number of entries is None where no text can be read.
    """
    if not texts or not all(text.startswith(("[", "(", "array")) for text in texts):
        return None
    right = "a vector of one 1 and else 0, or the action's name"
    if several:
        right = "1 in one of these columns and 0 in the others; a list names them where a pattern names too many"
    vectors, unread = each_vector(pa.array(texts, pa.large_string()))
    kinds = [(kind.problem, kind.positions) for kind in unread]
    width = None if vectors is None else vectors.shape[1]
    meaning = np.full(len(texts), np.nan)
    if vectors is not None:
        whole = ((vectors == 0) | (vectors == 1)).all(axis=1) & (vectors.sum(axis=1) == 1)
        meaning[whole] = vectors[whole].argmax(axis=1)
        odd = np.setdiff1d(np.flatnonzero(~whole), [at for _, positions in kinds for at in positions])
        if len(odd):
            kinds.append((_problem(vectors[odd[0]]), odd))
    findings = [
        of_cells(columns.ACTION, problem, right, np.flatnonzero(np.isin(values, positions)))
        for problem, positions in kinds
    ]
    return _meant(values, meaning), width, tuple(findings)


def _problem(vector: Floats64) -> str:
    """Why a vector is not one-hot, where ``{value}`` stands for it."""
    ones = int((vector == 1).sum())
    if ones == 1 or not np.isin(vector, (0, 1)).all():
        return "{value} is no one-hot vector"
    return f"{{value}} is no one-hot vector: {'no entry is 1' if ones == 0 else f'{ones} entries are 1'}"


def _number_checked(given: Sequence[str], n_probabilities: int | None) -> tuple[Finding, ...]:
    if n_probabilities in (None, len(given)):
        return ()
    return (_other_number(given, n_probabilities, "probabilities in each row"),)


def _other_number(given: Sequence[str], count: int, of_what: str) -> Finding:
    return _of_all(
        f"data.actions names {len(given)} actions ({_listed(given)}), but there are {count} {of_what}",
        "Name all of them, in the same order.",
    )


def _of_all(problem: str, advice: str) -> Finding:
    """What keeps all actions from being understood, and with them what is said of actions elsewhere."""
    return Finding(problem, advice, NOWHERE, spoils=(columns.ACTION, columns.ELIGIBLE))


def _unknown(rows_of: Mapping[str, Integers], names: Sequence[str]) -> tuple[Finding, ...]:
    """That there are no actions of some names, which some rows have."""
    if not rows_of:
        return ()
    first = min(rows_of, key=lambda name: int(rows_of[name][0]))
    near = difflib.get_close_matches(first, names, n=1)
    right = f"one of {_listed(names)}" + (f"; {near[0]}, perhaps" if near else "")
    return (of_cells(columns.ACTION, "there is no action {value}", right, np.concatenate(list(rows_of.values()))),)


def _listed(names: Sequence[str]) -> str:
    of_all = f" ({len(names)} in all)" if len(names) > WRITTEN_SEPARATELY else ""
    return f"{listed(names, WRITTEN_SEPARATELY)}{of_all}"
