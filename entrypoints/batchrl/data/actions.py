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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.contract.text import DECIMAL, listed
from batchrl.data.cells import is_text, labels, numbers
from batchrl.data.dataset import Floats64, default_names
from batchrl.data.locations import RowLocations
from batchrl.data.probabilities import UnreadableProbabilities
from batchrl.data.storage import Array, Storage
from batchrl.data.vectors import is_list, vectors_of

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
    """

    codes: Floats64
    names: tuple[str, ...]
    note: str | None = None


class ActionColumn:
    """Grows by blocks of rows.

    Args:
        storage: where the rows go.
    """

    def __init__(self, storage: Storage) -> None:
        self._column = storage.column()
        self._texts: dict[str, int] = {}
        self._named: bool | None = None

    def append(self, cells: pa.Array) -> None:
        """Add rows: numbers as they are, texts by their position among all texts so far.

        Raises:
            InputError: these are numbers and those before were texts, or the other way round.
        """
        kind = cells.type
        named = pa.types.is_dictionary(kind) or is_text(kind) or pa.types.is_boolean(kind) or is_list(kind)
        if self._named is None:
            self._named = named
        if self._named != named:
            raise InputError(
                "the column of actions holds numbers in some files or rows, and names in others.",
                "Write them alike in all: as names, or as numbers.",
            )
        if not named:
            self._column.append(numbers(cells)[0])
            return
        if is_list(kind):
            cells = pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()])
        codes, texts = labels(cells)
        known = np.array([self._texts.setdefault(text.strip(), len(self._texts)) for text in texts], np.float64)
        values = np.full(len(codes), np.nan)
        filled = codes >= 0
        values[filled] = known[codes[filled]]
        self._column.append(values)

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

    Raises:
        InputError: names the first row whose action is none, or says why names cannot be matched with probabilities.
    """
    values, texts = read
    if texts is not None:
        if entries is not None:
            return _of_entries(values, texts, entries, given, n_probabilities, places)
        ranges = any((found := RANGE.fullmatch(text)) and found[2] == ")" for text in texts)
        known = ranges or (given is not None and set(texts) <= set(given))
        vectors = None if known else _one_hot(values, texts, places, several=False)
        if vectors is not None:
            names = tuple(given) if given is not None else default_names(vectors[1])
            if len(names) != vectors[1]:
                raise _other_number(given or (), vectors[1], "entries in each action's vector")
            return NamedActions(vectors[0], names)
        meant, wrong = numbers(pa.array(texts, pa.string()))
        if given is None and wrong is not None and any(DECIMAL.fullmatch(text) for text in texts):
            first = int(np.flatnonzero(values == wrong)[0])
            raise places.refuse(first, columns.ACTION, "'{value}' is not a number, as other actions are", "one number")
        booleans = {text.lower() for text in texts} <= {"true", "false"} and n_probabilities is None
        if wrong is not None or booleans or (given is not None and set(texts) <= set(given)):
            return _of_names(values, texts, given, n_probabilities, places)
        values = np.where(np.isnan(values), np.nan, meant[np.nan_to_num(values).astype(np.int64)])
    return _of_numbers(values, given, n_probabilities, places)


def _of_entries(
    values: Floats64,
    texts: Sequence[str],
    entries: tuple[str, ...],
    given: Sequence[str] | None,
    n_probabilities: int | None,
    places: RowLocations,
) -> NamedActions:
    """The actions of one-hot columns, as ``NamedActions`` has them."""
    found = _one_hot(values, texts, places, several=True)
    codes = np.full(len(values), np.nan) if found is None else found[0]
    if given is None:
        if n_probabilities not in (None, len(entries)):
            raise InputError(
                f"{places.tables[0].path}: there are {len(entries)} columns of actions "
                f"({places.called(columns.ACTION)}), but '{places.called(columns.ALL_ACTION_PROBABILITIES)}' has "
                f"{n_probabilities} probabilities.",
                "Name a column for each, in the order of the probabilities: data.columns.action.",
            )
        return NamedActions(codes, entries, None if n_probabilities is None else _in_this_order(entries))
    if sorted(given) != sorted(entries):
        raise InputError(
            f"data.actions names {_listed(given)}, but the columns of actions are those of {_listed(entries)}.",
            "Name those, in the order that you want, or none.",
        )
    _check_number(given, n_probabilities)
    position = np.array([given.index(name) for name in entries], np.float64)
    filled = ~np.isnan(codes)
    codes[filled] = position[codes[filled].astype(np.int64)]
    return NamedActions(codes, tuple(given))


def _of_numbers(
    values: Floats64, given: Sequence[str] | None, n_probabilities: int | None, places: RowLocations
) -> NamedActions:
    if given is None and n_probabilities is not None:
        return NamedActions(values, default_names(n_probabilities))
    filled = ~np.isnan(values)
    rows = np.arange(len(values))
    fraction = filled & (values != np.floor(values))
    places.refuse_any(
        fraction,
        rows,
        columns.ACTION,
        "{value} is a quantity; batchrl learns to choose among a number of actions, not how much",
        f"a name or an integer, such as a range that the quantity lies in: {_ranges(places)}",
    )
    distinct = np.unique(values[filled])
    if given is None:
        if len(distinct) > MOST_ACTIONS:
            raise InputError(
                f"{places.tables[0].path}, column '{places.called(columns.ACTION)}': {len(distinct)} different "
                "integers are more than can be chosen among.",
                "Is it an id? Name the column of the action: data.columns.action. Is it an amount? Choose among "
                f"ranges: {_ranges(places)}.",
            )
        positions = np.full(len(values), np.nan)
        positions[filled] = np.searchsorted(distinct, values[filled])
        return NamedActions(positions, tuple(f"{value:.0f}" for value in distinct))
    _check_number(given, n_probabilities)
    known = {name.strip(): float(position) for position, name in enumerate(given)}
    if not all(name.lstrip("+-").isdigit() for name in known):
        return NamedActions(values, tuple(given))
    codes = np.full(len(values), np.nan)
    for value in distinct:
        name = f"{value:.0f}"
        where = values == value
        if name not in known:
            raise _unknown(name, given, int(np.flatnonzero(where)[0]), places, int(where.sum()))
        codes[where] = known[name]
    return NamedActions(codes, tuple(given))


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
    note = None
    if given is None:
        names = tuple(sorted(texts, key=_place))
        if n_probabilities is not None and n_probabilities != len(names):
            raise InputError(
                f"{places.tables[0].path}: the log holds {len(names)} actions ({_listed(names)}), but "
                f"'{places.called(columns.ALL_ACTION_PROBABILITIES)}' has {n_probabilities} probabilities.",
                "Name all actions in the order of the probabilities: data.actions.",
            )
        if n_probabilities is not None:
            note = _in_this_order(names)
    else:
        names = tuple(given)
        _check_number(names, n_probabilities)
    known = {name: float(position) for position, name in enumerate(names)}
    for position, text in enumerate(texts):
        if text not in known:
            where = np.flatnonzero(values == position)
            raise _unknown(text, names, int(where[0]), places, len(where))
    order = np.array([known[text] for text in texts])
    codes = np.full(len(values), np.nan)
    filled = ~np.isnan(values)
    codes[filled] = order[values[filled].astype(np.int64)]
    return NamedActions(codes, names, note)


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
    values: Floats64, texts: Sequence[str], places: RowLocations, several: bool
) -> tuple[Floats64, int] | None:
    """``[M]`` positions and the number of entries, where every text is a vector; None where not.

    Args:
        values: ``[M]``, positions among the texts, ``nan`` in empty cells.
        texts: the distinct cells.
        places: of the rows.
        several: whether the vectors are cells of several columns.

    Raises:
        InputError: names the first row whose vector is not one-hot.
    """
    if not texts or not all(text.startswith(("[", "(", "array")) for text in texts):
        return None
    right = "a vector of one 1 and else 0, or the action's name"
    if several:
        right = "1 in one of these columns and 0 in the others; a list names them where a pattern names too many"

    def first(position: int) -> int:
        return int(np.flatnonzero(values == position)[0])

    try:
        vectors = vectors_of(pa.array(texts, pa.large_string()))
    except UnreadableProbabilities as error:
        raise places.refuse(first(error.position), columns.ACTION, error.problem, right) from None
    assert vectors is not None
    whole = ((vectors == 0) | (vectors == 1)).all(axis=1) & (vectors.sum(axis=1) == 1)
    if not whole.all():
        wrong = int(np.argmin(whole))
        raise places.refuse(first(wrong), columns.ACTION, _problem(vectors[wrong]), right)
    codes = np.full(len(values), np.nan)
    filled = ~np.isnan(values)
    codes[filled] = vectors.argmax(axis=1)[values[filled].astype(np.int64)]
    return codes, vectors.shape[1]


def _problem(vector: Floats64) -> str:
    """Why a vector is not one-hot, where ``{value}`` stands for it."""
    ones = int((vector == 1).sum())
    if ones == 1 or not np.isin(vector, (0, 1)).all():
        return "{value} is no one-hot vector"
    return f"{{value}} is no one-hot vector: {'no entry is 1' if ones == 0 else f'{ones} entries are 1'}"


def _check_number(given: Sequence[str], n_probabilities: int | None) -> None:
    if n_probabilities is not None and n_probabilities != len(given):
        raise _other_number(given, n_probabilities, "probabilities in each row")


def _other_number(given: Sequence[str], count: int, of_what: str) -> InputError:
    return InputError(
        f"data.actions names {len(given)} actions ({_listed(given)}), but there are {count} {of_what}.",
        "Name all of them, in the same order.",
    )


def _unknown(name: str, names: Sequence[str], row: int, places: RowLocations, count: int) -> InputError:
    near = difflib.get_close_matches(name, names, n=1)
    right = f"one of {_listed(names)}" + (f"; {near[0]}, perhaps" if near else "")
    return places.refuse(row, columns.ACTION, "there is no action {value}", right, count - 1)


def _listed(names: Sequence[str]) -> str:
    of_all = f" ({len(names)} in all)" if len(names) > WRITTEN_SEPARATELY else ""
    return f"{listed(names, WRITTEN_SEPARATELY)}{of_all}"
