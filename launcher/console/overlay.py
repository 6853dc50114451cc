"""Several curves on the same axes, where each stands: in percent, as SVG takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launcher.documents.geometry import Axis, Tick, place_curve, whole_ticks
from launcher.documents.model import Curve


@dataclass(frozen=True)
class Series:
    """One curve: its name, its place among the others, and SVG points of each stretch without a gap."""

    name: str
    number: int
    lines: tuple[str, ...]
    bands: tuple[str, ...]


@dataclass(frozen=True)
class Overlay:
    """Curves between common axes.

    Args:
        title: what they show.
        series: the curves.
        y_ticks, x_ticks: numbers beside the axes.
        level: where a reference stands, in percent from the top; None for none.
    """

    title: str
    series: tuple[Series, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    level: float | None


def overlaid(title: str, curves: Sequence[tuple[str, Curve]]) -> Overlay | None:
    """Curves on common axes, which show all of them; None where none has a value.

    Args:
        title: what they show.
        curves: each with its name.
    """
    points = [point for _, curve in curves for point in curve.points if point.value is not None]
    if not points:
        return None
    ends = [end for point in points for end in (point.value, point.lower, point.upper) if end is not None]
    reference = next((curve.reference for _, curve in curves if curve.reference is not None), None)
    y = Axis.over([*ends, *([] if reference is None else [reference])])
    xs = [point.x for _, curve in curves for point in curve.points]
    x = Axis(min(xs) - 0.5, max(xs) + 0.5)
    series: list[Series] = []
    x_ticks = tuple(Tick(x.at(n), f"{n:g}") for n in whole_ticks(xs))
    for number, (name, curve) in enumerate(curves):
        if (placed := place_curve(curve, x, y)) is not None:
            series.append(Series(name, number, placed.lines, placed.bands))
    level = None if reference is None else 100 - y.at(reference)
    return Overlay(title, tuple(series), tuple(y.ticks()), x_ticks, level)
