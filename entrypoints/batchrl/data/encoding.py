"""From raw columns to what networks take: categories, dates, missing values, and numbers that float32 cannot hold.

===========  ============================================================================================
raw column   its features
===========  ============================================================================================
number       ``age``: the value, less an offset where float32 could not tell neighbours apart; a missing one
             is the mean of the training episodes
category     ``plan=gold``, one for each level: 1 or 0. Of more than ``MOST_LEVELS`` levels the most frequent
             ones, and ``plan?other``. A level that training never saw is ``plan?other``, or else all zeros
date         ``sent_at:days`` since the first date of the training episodes; sine and cosine of the weekday
             and, where any has a time of day, of that (UTC); a missing one is the mean day, and 0 for the rest
each         ``age?missing``: 1 where there was no value, if that occurred in the training episodes
===========  ============================================================================================

An encoding is fitted on training episodes, travels with the policy as JSON, and needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from batchrl.contract.errors import InputError
from batchrl.contract.text import listed

Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]
Integers = NDArray[np.int64]
Kind = Literal["number", "category", "date"]

MOST_LEVELS = 32
DAY = 86_400.0
# Whole numbers up to this are float32's own.
EXACT_INTEGERS = 2.0**24
# Fewer values than this over a column's range are too few.
LEAST_STEPS = 2.0**14
SHOWN_LEVELS = 5
# Rows whose columns are filled one after the other while they lie in a core's cache.
BLOCK_ROWS = 4096
NO_PLACES = np.zeros(0, np.int64)


@dataclass(frozen=True)
class RawColumn:
    """A column of a raw state.

    Args:
        name: of the column.
        kind: of its values.
        levels: of a category, the texts that its codes stand for.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class NumberFeature:
    """A number.

    Args:
        column: its name.
        offset: what is subtracted, in float64.
        mean: of the training episodes; in the place of a missing value.
        missing: whether a feature tells that there was none.
    """

    kind: ClassVar[Kind] = "number"
    column: str
    offset: float
    mean: float
    missing: bool

    @classmethod
    def fitted(cls, column: RawColumn, values: Floats64) -> NumberFeature:
        """Of its values ``[m]`` in the training episodes."""
        known = _known(column.name, values)
        low, high = float(known.min()), float(known.max())
        offset = low if bool(np.any(known != known.astype(np.float32))) and needs_offset(low, high) else 0.0
        return cls(column.name, offset, float(known.mean()), len(known) < len(values))

    @property
    def names(self) -> tuple[str, ...]:
        """Of its features."""
        return (self.column, *_missing_name(self.column, self.missing))

    def fill(self, values: Floats64, places: Integers, into: Floats32) -> None:
        """Write the features of values ``[m]`` into ``[m, k]``."""
        nothing = np.isnan(values)
        known = np.where(nothing, self.mean, values) if nothing.any() else values
        into[:, 0] = known - self.offset if self.offset else known
        if self.missing:
            into[:, 1] = nothing

    def note(self) -> str | None:
        """What happens to the values, in words; None where nothing does."""
        said = []
        if self.offset:
            said.append(f"{self.offset:.15g} is subtracted, for float32 cannot tell its values apart")
        if self.missing:
            said.append(f"missing values become the mean, {self.mean:.6g}, and '{self.column}?missing' tells of them")
        return f"'{self.column}': {'; '.join(said)}" if said else None


@dataclass(frozen=True)
class CategoryFeature:
    """One of some texts.

    Args:
        column: its name.
        levels: that have a feature each.
        other: whether a feature stands for all other texts.
        missing: whether a feature tells that there was none.
    """

    kind: ClassVar[Kind] = "category"
    column: str
    levels: tuple[str, ...]
    other: bool
    missing: bool

    @classmethod
    def fitted(cls, column: RawColumn, values: Floats64) -> CategoryFeature:
        """Of its codes ``[m]`` in the training episodes."""
        known = _known(column.name, values).astype(np.int64)
        counts = np.bincount(known, minlength=len(column.levels))
        seen = [int(code) for code in np.flatnonzero(counts)]
        # Of equal ones the first by its text: the order of the files' rows decides nothing.
        frequent = sorted(seen, key=lambda code: (-counts[code], column.levels[code]))[:MOST_LEVELS]
        levels = tuple(sorted(column.levels[code] for code in frequent))
        return cls(column.name, levels, len(seen) > len(levels), len(known) < len(values))

    @property
    def names(self) -> tuple[str, ...]:
        """Of its features."""
        other = (f"{self.column}?other",) if self.other else ()
        return (*(f"{self.column}={level}" for level in self.levels), *other, *_missing_name(self.column, self.missing))

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The feature of each level."""
        return {level: place for place, level in enumerate(self.levels)}

    def places_of(self, levels: Sequence[str]) -> Integers:
        """The feature of each level, and of no value, ``[len(levels) + 1]``; -1 for none."""
        nothing, width = -1, len(self.levels)
        unseen = width if self.other else nothing
        empty = width + self.other if self.missing else nothing
        return np.array([*(self.places.get(level, unseen) for level in levels), empty], np.int64)

    def holds(self, levels: Sequence[str]) -> bool:
        """Whether each of some levels has a feature of its own."""
        return all(level in self.places for level in levels)

    def fill(self, values: Floats64, places: Integers, into: Floats32) -> None:
        """Write the features of codes ``[m]`` into ``[m, k]``; ``places`` are those of their levels."""
        nothing = np.isnan(values)
        codes = np.where(nothing, len(places) - 1, values) if nothing.any() else values
        chosen = places[codes.astype(np.int64)]
        into[:] = 0
        rows = np.flatnonzero(chosen >= 0)
        into[rows, chosen[rows]] = 1

    def unseen(self, levels: Sequence[str], counts: NDArray[np.int64]) -> list[str]:
        """What is said of levels without a feature; see ``Encoding.unseen``.

        Args:
            levels: of the states, each with its number of them in ``counts``.
            counts: ``[len(levels)]``.
        """
        new = [code for code, level in enumerate(levels) if counts[code] and level not in self.places]
        if not new:
            return []
        shown = listed([levels[code] for code in new], SHOWN_LEVELS)
        of_all = f"{counts[new].sum()} of {counts.sum()} rows"
        if counts[new].sum() == counts.sum():
            raise InputError(
                f"the column '{self.column}' holds only levels that training never saw: {shown}.",
                f"Is it the same column? Training saw {', '.join(self.levels[:SHOWN_LEVELS])}.",
            )
        return [f"'{self.column}' holds levels that training never saw ({shown}) in {of_all}: they have no feature"]

    def note(self) -> str | None:
        """What becomes of the texts, in words."""
        shown = listed(self.levels, SHOWN_LEVELS)
        which = f"the {len(self.levels)} most frequent levels" if self.other else f"levels {len(self.levels)}"
        rest = f"; all others are '{self.column}?other'" if self.other else ""
        empty = f"; '{self.column}?missing' tells of empty cells" if self.missing else ""
        return f"'{self.column}' is a category ({which}: {shown}), a feature each{rest}{empty}"


@dataclass(frozen=True)
class DateFeature:
    """A moment, in seconds since 1970 (UTC).

    Args:
        column: its name.
        start: the first of the training episodes.
        mean: of the training episodes; in the place of a missing one.
        clock: whether the time of day has features.
        missing: whether a feature tells that there was none.
    """

    kind: ClassVar[Kind] = "date"
    column: str
    start: float
    mean: float
    clock: bool
    missing: bool

    @classmethod
    def fitted(cls, column: RawColumn, values: Floats64) -> DateFeature:
        """Of its values ``[m]`` in the training episodes."""
        known = _known(column.name, values)
        start = float(known.min())
        mean = start + float((known - start).mean())
        return cls(column.name, start, mean, bool(np.any(known % DAY)), len(known) < len(values))

    @property
    def names(self) -> tuple[str, ...]:
        """Of its features."""
        parts = ("days", "weekday_sin", "weekday_cos", *(("hour_sin", "hour_cos") if self.clock else ()))
        return (*(f"{self.column}:{part}" for part in parts), *_missing_name(self.column, self.missing))

    def fill(self, values: Floats64, places: Integers, into: Floats32) -> None:
        """Write the features of moments ``[m]`` into ``[m, k]``."""
        nothing = np.isnan(values)
        into[:, 0] = (np.where(nothing, self.mean, values) - self.start) / DAY
        # The first of January 1970 was a Thursday; Monday is 0.
        shares = [(np.floor(values / DAY) + 3) % 7 / 7, *([values % DAY / DAY] if self.clock else ())]
        for number, share in enumerate(shares):
            into[:, 1 + 2 * number] = np.where(nothing, 0, np.sin(2 * np.pi * share))
            into[:, 2 + 2 * number] = np.where(nothing, 0, np.cos(2 * np.pi * share))
        if self.missing:
            into[:, -1] = nothing

    def note(self) -> str | None:
        """What becomes of the dates, in words."""
        first = np.datetime_as_string(np.datetime64(0, "s") + np.timedelta64(int(self.start), "s"))
        clock = ", weekday and time of day" if self.clock else " and weekday"
        empty = f"; '{self.column}?missing' tells of empty cells" if self.missing else ""
        return f"'{self.column}' is a date: days since {first} (UTC){clock}{empty}"


Feature = NumberFeature | CategoryFeature | DateFeature
FEATURES: Mapping[str, type[NumberFeature] | type[CategoryFeature] | type[DateFeature]] = {
    feature.kind: feature for feature in (NumberFeature, CategoryFeature, DateFeature)
}


@dataclass(frozen=True)
class Encoding:
    """What becomes of each column of a raw state, in their order."""

    features: tuple[Feature, ...]

    @classmethod
    def fitted(cls, columns: Sequence[RawColumn], states: Floats64) -> Encoding:
        """The encoding of raw states.

        Args:
            columns: ``d``.
            states: ``[m, d]`` of the training episodes: numbers, codes of levels, seconds since 1970; ``nan`` where
                there is no value.

        Raises:
            InputError: a column has no value at all.
        """
        return cls.of_columns(columns, states.T)

    @classmethod
    def of_columns(cls, columns: Sequence[RawColumn], values: Iterable[Floats64]) -> Encoding:
        """The same of the columns' values, ``[m]`` each, one after the other."""
        return cls(
            tuple(FEATURES[column.kind].fitted(column, own) for column, own in zip(columns, values, strict=True))
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """``d`` names of the raw columns."""
        return tuple(feature.column for feature in self.features)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Of the raw columns."""
        return {feature.column: feature.kind for feature in self.features}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """``D`` names of the features."""
        return tuple(name for feature in self.features for name in feature.names)

    @property
    def notes(self) -> tuple[str, ...]:
        """What becomes of columns that do not stay as they are, in words."""
        return tuple(note for feature in self.features if (note := feature.note()) is not None)

    def encode(self, columns: Sequence[RawColumn], states: Floats64, result: Floats32 | None = None) -> Floats32:
        """Features ``[m, D]`` of raw states ``[m, d]``; float32 overflows to infinity, in silence.

        Args:
            columns: ``d``; their levels are those of the codes.
            states: ``[m, d]``, see ``fitted``.
            result: ``[m, D]``, where they are written; None for a new array.
        """
        if result is None:
            result = np.empty((len(states), len(self.names)), np.float32)
        parts: list[tuple[Feature, slice, Integers]] = []
        start = 0
        for feature, column in zip(self.features, columns, strict=True):
            places = feature.places_of(column.levels) if isinstance(feature, CategoryFeature) else NO_PLACES
            parts.append((feature, slice(start, start + len(feature.names)), places))
            start += len(feature.names)
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(0, len(states), BLOCK_ROWS):
                block, into = states[first : first + BLOCK_ROWS], result[first : first + BLOCK_ROWS]
                for number, (feature, own, places) in enumerate(parts):
                    feature.fill(block[:, number], places, into[:, own])
        return result

    def unseen(self, columns: Sequence[RawColumn], states: Floats64) -> tuple[str, ...]:
        """Which levels of categories have no feature, and in how many states, in words; see ``encode``.

        Raises:
            InputError: a category has no level in common with the encoding's, so that nothing would be left of it.
        """
        said = []
        for number, (feature, column) in enumerate(zip(self.features, columns, strict=True)):
            if isinstance(feature, CategoryFeature) and not feature.other and not feature.holds(column.levels):
                codes = states[:, number]
                counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(column.levels))
                said += feature.unseen(column.levels, counts)
        return tuple(said)

    def to_json(self) -> list[dict[str, Any]]:
        """In JSON's types; a column each."""
        return [{"kind": feature.kind, **asdict(feature)} for feature in self.features]

    @classmethod
    def from_json(cls, values: Sequence[Mapping[str, Any]]) -> Encoding:
        """What ``to_json`` wrote.

        Raises:
            ValueError, KeyError, TypeError: it did not.
        """
        features = []
        for value in values:
            kind = FEATURES[value["kind"]]
            given = {field.name: value[field.name] for field in fields(kind)}
            if kind is CategoryFeature:
                given["levels"] = tuple(given["levels"])
            features.append(kind(**given))
        return cls(tuple(features))

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Encoding | None:
        """Of a policy's facts; None where its inputs are the columns as they are."""
        stored = facts.get("preprocessing", {}).get("encoding")
        return None if stored is None else cls.from_json(stored)


def needs_offset(low: float, high: float) -> bool:
    """Whether float32 has too few values between the bounds of a column, and more of them nearer to 0."""
    largest, span = max(abs(low), abs(high)), high - low
    if not 0 < span < largest / 4:
        return False
    return largest > EXACT_INTEGERS or float(np.spacing(np.float32(largest))) * LEAST_STEPS > span


def _known(name: str, values: Floats64) -> Floats64:
    nothing = np.isnan(values)
    known: Floats64 = values[~nothing] if nothing.any() else values
    if not len(known):
        raise InputError(
            f"the column '{name}' has no value in any training episode.", "Leave it out of data.state_columns."
        )
    return known


def _missing_name(column: str, missing: bool) -> tuple[str, ...]:
    return (f"{column}?missing",) if missing else ()
