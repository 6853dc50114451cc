"""A report of off-policy estimates as a picture: every figure with its interval, beside the logging policy's return."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.contract.errors import InputError
from batchrl.contract.interval import Interval
from launcher.base import extras
from launcher.results.plot import DPI, FONT_POINTS, WIS, check_format, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from launcher.reports.runs import Run

WIDTH_INCHES = 9.0
ROW_INCHES = 0.32
GREY = "#999999"
LOGGED_COLOUR = "#009E73"
# How far beyond what may be relied on the axis reaches, in widths of that.
MARGIN = 0.75
# A share of the range of all values that is no range of its own: differences that are but rounding.
ONE_POINT = 1e-6
LABEL_CHARACTERS = 48
HEADING_CHARACTERS = 76
ORDER = (
    *(names.WDR, names.SDR, names.PDWIS, names.WIS, names.PDIS, names.IS),
    *(names.MAGIC, names.FQE, names.DM_VALUE),
)
# Of a log of single decisions, whose report has no discount.
ORDER_OF_DECISIONS = (
    *(names.SNDR, columns.DR, names.SWITCH_DR, names.SHRUNK_DR),
    *(names.SNIPS, columns.IPS, columns.DM, names.DM_VALUE),
)


@dataclass(frozen=True)
class Row:
    """One line of the picture.

    Args:
        label: what stands beside it.
        value: None for a heading, or where the figure is undefined.
        interval: undefined where there is none.
        reliable: whether it is drawn in colour.
        heading: whether the line is a heading.
    """

    label: str
    value: float | None = None
    interval: Interval = field(default_factory=Interval)
    reliable: bool = True
    heading: bool = False


def draw(report: Mapping[str, Any], path: Path, brief: bool = False) -> Path:
    """Draw a report of ``ope.py`` into a file; the suffix decides the format.

    Args:
        report: as JSON.
        path: the file; its folder is made if need be.
        brief: for each policy its paired difference to the baseline alone; else all estimates of its return.

    Raises:
        InputError: the format is unknown, nothing is defined, or the file cannot be written.
    """
    confidence, discount = report["settings"]["confidence"], report["settings"]["discount"]
    estimated = "expected reward of a decision" if discount is None else f"expected return, discount {discount:g}"
    order = ORDER_OF_DECISIONS if discount is None else ORDER
    title = f"{confidence:.0%} intervals"
    if brief:
        rows = [_difference(policy) for policy in report["policies"]]
        meaning = f"Difference in {estimated}"
        return _draw(rows, Row(report["baseline"], 0.0), meaning, title, path)
    logged = report["logged"]["discounted_return"]
    reference = Row("logging policy", logged["value"], Interval.of(logged))
    rows = [row for policy in report["policies"] for row in _estimates(policy, order)]
    return _draw(rows, reference, estimated.capitalize(), title, path)


def draw_runs(runs: Sequence[Run], path: Path) -> Path:
    """Draw the scores of training runs into a file.

    A run whose figure estimates its policy's return has no score against the logging policy, and so no place on this
    axis: it is drawn as undefined.

    Raises:
        InputError: as in ``draw``.
    """
    rows = []
    for run in runs:
        shown = run.shown
        label = f"{run.name}: {shown.metric or 'no score'}"
        if shown.metric in columns.RETURNS:
            rows.append(Row(label, reliable=False))
        else:
            rows.append(Row(label, shown.value, shown.interval, run.reliable))
    title = "intervals of the scores"
    return _draw(rows, Row("logging policy", 0.0), "Score: gain over the logging policy", title, path)


def _draw(rows: Sequence[Row], reference: Row, meaning: str, title: str, path: Path) -> Path:
    extras.require("a picture", extras.PLOTS)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_format(path)
    if not any(row.value is not None for row in rows):
        raise InputError(f"{path}: no figure is defined, so there is nothing to draw.")
    figure = Figure(figsize=(WIDTH_INCHES, 1.6 + ROW_INCHES * len(rows)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if (ends := reference.interval.ends) is not None:
        axes.axvspan(*ends, color=LOGGED_COLOUR, alpha=0.15, linewidth=0)
    axes.axvline(reference.value or 0.0, color=LOGGED_COLOUR, linewidth=2)
    limits = _limits([*rows, reference])
    for height, row in enumerate(rows):
        _draw_row(axes, height, row, limits)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=FONT_POINTS - 2)
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_color("black" if row.reliable else GREY)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(*limits)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_xlabel(meaning, fontsize=FONT_POINTS)
    axes.set_title(f"{title}; green: {reference.label}; grey: not to be relied on", fontsize=FONT_POINTS, loc="right")
    return save(figure, path)


def _estimates(policy: Mapping[str, Any], order: Sequence[str]) -> Iterator[Row]:
    yield Row(f"{policy['source']}: {policy['policy']}", heading=True)
    for name in order:
        if name in policy["estimates"]:
            figure = policy["estimates"][name]
            yield Row(name, figure["value"], Interval(*figure["interval"]), figure["reliable"])


def _difference(policy: Mapping[str, Any]) -> Row:
    verdict = policy["verdict"]
    label = f"{policy['source']}: {policy['policy']}"
    if verdict["outcome"] == "reference":
        return Row(label, 0.0, reliable=policy["reliable"])
    difference = policy["estimates"].get(verdict["estimate"], {}).get("difference")
    reliable = verdict["outcome"] != "unreliable"
    if difference is None:
        return Row(label, reliable=reliable)
    return Row(label, difference["value"], Interval.of(difference), reliable)


def _label(row: Row) -> str:
    return "" if row.heading else textwrap.shorten(row.label, LABEL_CHARACTERS, placeholder="...")


def _limits(rows: Sequence[Row]) -> tuple[float, float]:
    """The axis shows all that may be relied on, and of the rest what lies near it.

    It shows every value where what may be relied on is but one point, such as the reference.
    """
    sure, every = (
        [end for row in chosen for end in (row.value, *row.interval.bounds) if end is not None]
        for chosen in ([row for row in rows if row.reliable], rows)
    )
    values = [row.value for row in rows if row.value is not None]
    if max(sure) - min(sure) <= ONE_POINT * (max(values) - min(values)):
        sure += values
    low, high = min(sure), max(sure)
    room = MARGIN * (high - low or 0.2 * abs(high) or 1.0)
    return max(low - room, min(every) - 0.1 * room), min(high + room, max(every) + 0.1 * room)


def _draw_row(axes: Axes, height: int, row: Row, limits: tuple[float, float]) -> None:
    if row.heading:
        text = textwrap.shorten(row.label, HEADING_CHARACTERS, placeholder="...")
        place = axes.get_yaxis_transform()
        axes.text(0.01, height, text, transform=place, va="center", fontweight="bold", fontsize=FONT_POINTS - 2)
        return
    if row.value is None:
        axes.text(sum(limits) / 2, height, "undefined", color=GREY, ha="center", va="center", fontsize=FONT_POINTS - 3)
        return
    colour = WIS.colour if row.reliable else GREY
    if (ends := row.interval.ends) is not None:
        axes.plot(ends, (height, height), color=colour, linewidth=2, solid_capstyle="butt")
    if limits[0] <= row.value <= limits[1]:
        axes.plot([row.value], [height], color=colour, marker="o", markersize=6)
    else:
        beyond = row.value > limits[1]
        axes.plot(limits[beyond], height, color=colour, marker=">" if beyond else "<", markersize=8, clip_on=False)
