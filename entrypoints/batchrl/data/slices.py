"""How well each action is covered in parts of the state space: by levels, quartiles and spans of time of each column.

==========  ===========================================================================================
raw column  its slices
==========  ===========================================================================================
category    each level that has a feature, and all others together
number      its quartiles; each value by itself where they are ``FEW_VALUES`` or fewer
date        quarters of the time from the first to the last
each        the rows without a value
==========  ===========================================================================================

Edges are those of at most ``EDGE_ROWS`` rows, drawn at random; the figures are of all rows, in one pass and in memory
that does not grow with them. Columns are looked at until there are ``MOST_FIGURES`` figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchrl.data.dataset import Dataset, Flags, Floats32, Floats64, Integers
from batchrl.data.encoding import DAY, CategoryFeature, DateFeature, Kind, NumberFeature
from batchrl.data.storage import CHUNK_ROWS, chunks

FEW_VALUES = 4
PARTS = 4
EDGE_ROWS = CHUNK_ROWS
MOST_FIGURES = 50_000
# An action is thin in a slice where its share in the log would let it be taken so often there, at least, ...
LEAST_EXPECTED = 10.0
# ... and it was taken less than this part of that: of independent rows, less than one slice in 2,000 is so by chance.
THIN_PART = 0.1
NO_VALUE = "(no value)"
Thin = Literal["never", "almost never"]


@dataclass(frozen=True)
class SupportInSlice:
    """How well one action is covered in a slice.

    Args:
        action: its name.
        eligible: rows of the slice in which it could be taken; without lists of eligible actions, all.
        taken: how many of them took it.
        share: of them; None where it never could be taken.
        share_of_all: the same over the whole log.
        smallest_taken: the smallest logged probability with which it was taken; None where it never was.
        effective: ``(sum w)^2 / sum w^2`` with w the reciprocal probabilities of the rows that took it.
        thin: whether it is never or almost never taken here, though it is elsewhere: values of it rest on
            extrapolation here.
    """

    action: str
    eligible: int
    taken: int
    share: float | None
    share_of_all: float | None
    smallest_taken: float | None
    effective: float
    thin: Thin | None


@dataclass(frozen=True)
class Slice:
    """Some rows, by the value of one raw column.

    Args:
        column: its name.
        values: which values they have, in words: a level, or the lowest and the highest.
        rows: how many they are.
        episodes: how many have such rows.
        support: of each action.
    """

    column: str
    values: str
    rows: int
    episodes: int
    support: tuple[SupportInSlice, ...]


@dataclass(frozen=True)
class Slices:
    """The slices of a data set.

    Args:
        found: those of each column in turn, without those of columns that have one value throughout.
        unread_columns: how many columns were not looked at, for there are too many.
    """

    found: tuple[Slice, ...]
    unread_columns: int


def slices_of(data: Dataset) -> Slices:
    """The support of each action in each slice.

    Args:
        data: the transitions; its propensities are those of the policy that logged each row.
    """
    sample = _sample(data)
    cuts: list[_Cut] = []
    figures = 0
    columns = list(_columns(data))
    for column in columns:
        cut = _Cut.of(column, sample)
        figures += cut.count * data.n_actions
        if cuts and figures > MOST_FIGURES:
            break
        cuts.append(cut)
    tallies = [_Tally(cut, data) for cut in cuts]
    for start, stop in chunks(data.n_transitions):
        rows = _Rows.of(data, start, stop)
        for tally in tallies:
            tally.add(rows)
    taken = np.bincount(data.actions, minlength=data.n_actions)
    able = np.full(data.n_actions, data.n_transitions) if data.eligible is None else _sums(data.eligible)
    found = tuple(part for tally in tallies for part in tally.slices(data.action_names, taken, able))
    return Slices(found, len(columns) - len(cuts))


@dataclass(frozen=True)
class _Column:
    """A raw column among the features.

    Args:
        name: its own.
        kind: of its values.
        first: position of its first feature.
        levels: of a category, with a feature each.
        missing: position of the feature that tells of no value; None where each has one.
        start: what was subtracted from its values: an offset, or the first moment in seconds.
    """

    name: str
    kind: Kind
    first: int
    levels: tuple[str, ...] = ()
    missing: int | None = None
    start: float = 0.0

    def shown(self, value: float) -> str:
        """A value of the feature, as the log has it."""
        if self.kind == "date":
            moment = np.datetime64(0, "s") + np.timedelta64(round(self.start + value * DAY), "s")
            return np.datetime_as_string(moment, unit="m").replace("T", " ").removesuffix(" 00:00")
        return f"{self.start + value:.{12 if self.start else 6}g}"


def _columns(data: Dataset) -> Iterator[_Column]:
    if data.encoding is None:
        yield from (_Column(name, "number", place) for place, name in enumerate(data.state_columns))
        return
    first = 0
    for feature in data.encoding.features:
        after = first + len(feature.names)
        missing = after - 1 if feature.missing else None
        match feature:
            case CategoryFeature():
                levels = (*feature.levels, *(("(others)",) if feature.other else ()))
                yield _Column(feature.column, "category", first, levels, missing)
            case DateFeature():
                yield _Column(feature.column, "date", first, missing=missing, start=feature.start)
            case NumberFeature():
                yield _Column(feature.column, "number", first, missing=missing, start=feature.offset)
        first = after


def _sample(data: Dataset) -> Floats32:
    """``[m, D]``, some states: all, where they are few."""
    if data.n_transitions <= EDGE_ROWS:
        return data.states
    rows = np.random.default_rng(0).integers(data.n_transitions, size=EDGE_ROWS)
    chosen: Floats32 = np.take(data.states, np.sort(rows), axis=0)
    return chosen


@dataclass(frozen=True)
class _Cut:
    """Where a column is cut.

    Args:
        column: which.
        edges: of a number or a date; a slice ends with its edge, and the last has none.
    """

    column: _Column
    edges: Floats64

    @classmethod
    def of(cls, column: _Column, sample: Floats32) -> _Cut:
        """The cut of a column, by some states ``[m, D]``."""
        if column.kind == "category":
            return cls(column, np.zeros(0))
        known = sample if column.missing is None else sample[sample[:, column.missing] == 0]
        values = known[:, column.first].astype(np.float64)
        if not len(values):
            return cls(column, np.zeros(0))
        if column.kind == "date":
            return cls(column, np.linspace(values.min(), values.max(), PARTS + 1)[1:-1])
        distinct = np.unique(values)
        if len(distinct) <= FEW_VALUES:
            return cls(column, distinct[:-1])
        return cls(column, np.unique(np.quantile(values, np.arange(1, PARTS) / PARTS)))

    @property
    def count(self) -> int:
        """How many slices there may be; the last one holds rows without a value."""
        return (len(self.column.levels) if self.column.kind == "category" else len(self.edges) + 1) + 1

    def places(self, states: Floats32) -> Integers:
        """``[m]``, the slice of each state."""
        first = self.column.first
        if self.column.kind == "category":
            levels = states[:, first : first + len(self.column.levels)]
            return np.where(levels.any(axis=1), levels.argmax(axis=1), self.count - 1)
        places: Integers = np.searchsorted(self.edges, states[:, first], side="left")
        if self.column.missing is not None:
            places[states[:, self.column.missing] != 0] = self.count - 1
        return places


@dataclass(frozen=True)
class _Rows:
    """Rows that are tallied together.

    Args:
        states: ``[m, D]``.
        actions, propensities: ``[m]``.
        weights, squares: ``[m]``, the reciprocals of the propensities, and their squares.
        eligible: ``[m, A]``, or None.
        episodes: ``[m]``, numbers of their episodes from that of the first row on.
        goes_on: whether the first row's episode began in rows before these.
    """

    states: Floats32
    actions: Integers
    propensities: Floats64
    weights: Floats64
    squares: Floats64
    eligible: Flags | None
    episodes: Integers
    goes_on: bool

    @classmethod
    def of(cls, data: Dataset, start: int, stop: int) -> _Rows:
        """The rows from ``start`` to ``stop``."""
        episodes = np.searchsorted(data.offsets, np.arange(start, stop), side="right") - 1
        propensities = data.own_propensities[start:stop]
        return cls(
            data.states[start:stop],
            data.actions[start:stop],
            propensities,
            1 / propensities,
            1 / propensities**2,
            None if data.eligible is None else data.eligible[start:stop],
            episodes - episodes[0],
            bool(data.offsets[episodes[0]] < start),
        )


class _Tally:
    """Figures of the slices of one column."""

    def __init__(self, cut: _Cut, data: Dataset) -> None:
        self._cut = cut
        self._actions = data.n_actions
        cells = (cut.count, data.n_actions)
        self._rows, self._episodes = np.zeros(cut.count, np.int64), np.zeros(cut.count, np.int64)
        self._taken, self._eligible = np.zeros(cells, np.int64), np.zeros(cells, np.int64)
        self._weights, self._squares = np.zeros(cells), np.zeros(cells)
        self._smallest = np.full(cells, np.inf)
        self._low, self._high = np.full(cut.count, np.inf), np.full(cut.count, -np.inf)
        self._last_episode = np.zeros(cut.count, np.bool_)

    def add(self, rows: _Rows) -> None:
        """Count rows in; those of one episode follow each other."""
        count, places = self._cut.count, self._cut.places(rows.states)
        cells, size = places * self._actions + rows.actions, count * self._actions
        taken = np.bincount(cells, minlength=size).reshape(count, -1)
        of_slices = np.bincount(places, minlength=count)
        self._rows += of_slices
        self._taken += taken
        self._weights += np.bincount(cells, rows.weights, size).reshape(count, -1)
        self._squares += np.bincount(cells, rows.squares, size).reshape(count, -1)
        np.minimum.at(self._smallest.reshape(-1), cells, rows.propensities)
        if rows.eligible is None:
            self._eligible += of_slices[:, None]
        else:
            for number in np.flatnonzero(of_slices):
                self._eligible[number] += rows.eligible[places == number].sum(axis=0)
        if self._cut.column.kind != "category":
            # ``at`` is slow where it has to convert.
            values = rows.states[:, self._cut.column.first].astype(np.float64)
            np.minimum.at(self._low, places, values)
            np.maximum.at(self._high, places, values)
        met = np.zeros((int(rows.episodes[-1]) + 1, count), np.bool_)
        met[rows.episodes, places] = True
        again = met[0] & self._last_episode if rows.goes_on else np.zeros(count, np.bool_)
        self._episodes += met.sum(axis=0) - again
        self._last_episode = met[-1] | (self._last_episode & (rows.goes_on and len(met) == 1))

    def slices(self, names: tuple[str, ...], taken: Integers, able: Integers) -> Iterator[Slice]:
        """The slices that hold rows; none where all rows are one.

        Args:
            names: of the actions.
            taken: ``[A]``, how often each action was taken in the whole log.
            able: ``[A]``, how often it could be.
        """
        held = np.flatnonzero(self._rows)
        for number in held if len(held) > 1 else ():
            support = tuple(
                self._support(int(number), action, name, int(taken[action]), int(able[action]))
                for action, name in enumerate(names)
            )
            yield Slice(
                self._cut.column.name,
                self._values(int(number)),
                int(self._rows[number]),
                int(self._episodes[number]),
                support,
            )

    def _values(self, number: int) -> str:
        column = self._cut.column
        if number == self._cut.count - 1:
            return NO_VALUE
        if column.kind == "category":
            return column.levels[number]
        low, high = column.shown(float(self._low[number])), column.shown(float(self._high[number]))
        return low if low == high else f"{low} to {high}"

    def _support(self, number: int, action: int, name: str, taken_in_all: int, able_in_all: int) -> SupportInSlice:
        taken, able = int(self._taken[number, action]), int(self._eligible[number, action])
        share_of_all = taken_in_all / able_in_all if able_in_all else None
        expected = able * share_of_all if share_of_all is not None else 0.0
        thin: Thin | None = None
        if expected >= LEAST_EXPECTED and taken < THIN_PART * expected:
            thin = "almost never" if taken else "never"
        squares = float(self._squares[number, action])
        return SupportInSlice(
            name,
            able,
            taken,
            taken / able if able else None,
            share_of_all,
            float(self._smallest[number, action]) if taken else None,
            float(self._weights[number, action]) ** 2 / squares if taken else 0.0,
            thin,
        )


def _sums(eligible: Flags) -> Integers:
    """``[A]``, the rows of ``[N, A]`` in which each action could be taken."""
    parts = [eligible[start:stop].sum(axis=0, dtype=np.int64) for start, stop in chunks(len(eligible))]
    total: Integers = np.sum(parts, axis=0)
    return total
