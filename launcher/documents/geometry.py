"""Where figures stand on an axis, in percent of its length, and which numbers are written beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launcher.documents.model import Bar, Curve, Intervals, Point

# How far an axis reaches beyond what it must show, in parts of that; and beyond what may be relied on, at most.
EDGE = 0.06
MARGIN = 0.75
TICKS = 5
# A range that is but the rounding of the values in it is no range.
ONE_POINT = 1e-9


@dataclass(frozen=True)
class Tick:
    """A number beside an axis, and where it stands."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A range of values.

    Args:
        low, high: its ends; ``low`` is below ``high``.
    """

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float]) -> Axis:
        """One that shows all of some values, of which there is at least one."""
        found = list(values)
        low, high = min(found), max(found)
        if high - low <= ONE_POINT * max(abs(low), abs(high)):
            half = max(abs(low), 1.0) / 2
            return cls(low - half, high + half)
        edge = EDGE * (high - low)
        return cls(low - edge, high + edge)

    def at(self, value: float) -> float:
        """Percent of the length, from 0 to 100; what lies beyond an end stands at it."""
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 3)

    def shows(self, value: float) -> bool:
        """Whether a value lies on it."""
        return self.low <= value <= self.high

    def ticks(self) -> list[Tick]:
        """Round numbers within."""
        step = _round_step((self.high - self.low) / TICKS)
        decimals = max(0, -math.floor(math.log10(step)))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [Tick(self.at(step * n), f"{step * n:z,.{decimals}f}") for n in range(first, last + 1)]


@dataclass(frozen=True)
class PlacedBar:
    """A bar on its axis, in percent; ``cut_low`` and ``cut_high`` say that it goes on beyond an end."""

    bar: Bar
    start: float
    end: float
    at: float | None
    cut_low: bool
    cut_high: bool


@dataclass(frozen=True)
class PlacedIntervals:
    """Intervals on their axis; None for the axis where nothing is defined."""

    block: Intervals
    axis: Axis | None
    bars: tuple[PlacedBar, ...]
    reference: float | None


@dataclass(frozen=True)
class PlacedPoint:
    """A point of a curve, in percent from the left and from the top."""

    left: float
    top: float
    faint: bool


@dataclass(frozen=True)
class PlacedCurve:
    """A curve between its axes.

    Args:
        block: the curve.
        y: the axis of its values.
        lines, bands: SVG points, in percent, of each stretch without a gap.
        points: those that have a value.
        x_ticks: numbers below.
        marked, reference: where those stand, in percent from the left and from the top.
    """

    block: Curve
    y: Axis
    lines: tuple[str, ...]
    bands: tuple[str, ...]
    points: tuple[PlacedPoint, ...]
    x_ticks: tuple[Tick, ...]
    marked: float | None
    reference: float | None


def place_intervals(block: Intervals) -> PlacedIntervals:
    """Bars on an axis that shows all that may be relied on, and of the rest what lies near it."""
    numbers = [number for bar in block.bars for number in _numbers(bar)]
    known = [] if block.reference is None else [block.reference]
    if not numbers:
        return PlacedIntervals(block, None, (), None)
    sure = [number for bar in block.bars if bar.reliable for number in _numbers(bar)] + known
    every = numbers + known
    low, high = (min(sure), max(sure)) if sure else (min(every), max(every))
    if high - low <= ONE_POINT * max(map(abs, every)):
        low, high = min(every), max(every)
    room = MARGIN * (high - low)
    axis = Axis.over([low, high, *(number for number in every if low - room <= number <= high + room)])
    bars = tuple(_placed(bar, axis) for bar in block.bars)
    return PlacedIntervals(block, axis, bars, None if block.reference is None else axis.at(block.reference))


def place_curve(block: Curve, x: Axis | None = None, y: Axis | None = None) -> PlacedCurve | None:
    """A curve between axes; None where it has no value.

    Args:
        block: the curve.
        x, y: the axes; None for some that show all of it.
    """
    shown = [point for point in block.points if point.value is not None]
    if not shown:
        return None
    ends = [end for point in shown for end in (point.value, point.lower, point.upper) if end is not None]
    y = y or Axis.over([*ends, *([] if block.reference is None else [block.reference])])
    xs = [point.x for point in block.points]
    x = x or Axis(min(xs) - 0.5, max(xs) + 0.5)
    lines, bands = [], []
    for stretch in _stretches(block):
        lines.append(" ".join(f"{x.at(one.x)},{100 - y.at(one.value or 0.0):.3f}" for one in stretch))
        above = [f"{x.at(one.x)},{100 - y.at(one.upper):.3f}" for one in stretch if one.upper is not None]
        below = [f"{x.at(one.x)},{100 - y.at(one.lower):.3f}" for one in stretch if one.lower is not None]
        bands.append(" ".join(above + below[::-1]))
    points = tuple(PlacedPoint(x.at(one.x), 100 - y.at(one.value or 0.0), one.faint) for one in shown)
    return PlacedCurve(
        block,
        y,
        tuple(lines),
        tuple(bands),
        points,
        tuple(Tick(x.at(n), f"{n:g}") for n in whole_ticks(xs)),
        None if block.marked is None else x.at(block.marked),
        None if block.reference is None else 100 - y.at(block.reference),
    )


def _placed(bar: Bar, axis: Axis) -> PlacedBar:
    ends = _numbers(bar)
    if not ends:
        return PlacedBar(bar, 0.0, 0.0, None, False, False)
    # A side without an end is no bound: the bar goes on beyond the axis.
    bounded = bar.lower is not None or bar.upper is not None
    low = bar.lower if bar.lower is not None else -math.inf if bounded else min(ends)
    high = bar.upper if bar.upper is not None else math.inf if bounded else max(ends)
    at = None if bar.value is None or not axis.shows(bar.value) else axis.at(bar.value)
    return PlacedBar(bar, axis.at(low), axis.at(high), at, low < axis.low, high > axis.high)


def _numbers(bar: Bar) -> list[float]:
    return [number for number in (bar.value, bar.lower, bar.upper) if number is not None and math.isfinite(number)]


def _stretches(block: Curve) -> list[list[Point]]:
    found: list[list[Point]] = [[]]
    for point in block.points:
        if point.value is None:
            found.append([])
        else:
            found[-1].append(point)
    return [stretch for stretch in found if stretch]


def whole_ticks(xs: Sequence[float]) -> list[float]:
    """Whole numbers to be written below an axis of some, of which there is at least one."""
    step = max(1.0, _round_step((max(xs) - min(xs)) / 8)) if len(xs) > 1 else 1.0
    first, last = math.ceil(min(xs) / step), math.floor(max(xs) / step)
    return [step * n for n in range(first, last + 1)]


def _round_step(rough: float) -> float:
    """The next number of the form 1, 2 or 5 times a power of ten."""
    size = 10.0 ** math.floor(math.log10(rough))
    return float(next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * (1 - 1e-9)))
