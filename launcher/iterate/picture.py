"""A loop as a picture: returns by round above, what the gate saw below.

Above: the mean return of the incumbent policy, as it acted, with its 95 % interval, and the candidate's in the
simulator, greedy, hollow where it was not promoted. Below: the difference between candidate and incumbent policy with
the bounds that decided, in the colour of the decision; a look that could tell nothing is grey. Circles are looks at the
log, diamonds at a canary; a triangle at the edge says that a bound lies beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract.interval import Interval
from launcher.base import extras
from launcher.iterate.report import CANNOT_TELL
from launcher.iterate.step_files import KEPT_OUT, PROMOTED, UNDECIDED, Round
from launcher.results.plot import DPI, FONT_POINTS, INCHES, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito.
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
COLOURS = {PROMOTED: GREEN, KEPT_OUT: VERMILION, UNDECIDED: ORANGE}
MARKERS = {"log": "o", "canary": "D"}
LOOKS = {"log": "by the log", "canary": "by a canary"}
# Standard errors of a 95 % interval of a mean.
WIDTH = 1.96
# How far the two looks of a round stand from its middle, and the candidate beside the incumbent policy.
APART = 0.12
BESIDE = 0.06
UNBOUNDED = 1e9


def draw(name: str, rounds: Sequence[Round], path: Path) -> Path:
    """Draw the rounds that are done into a file; see ``launcher.results.plot.save`` for the errors.

    Args:
        name: of the loop.
        rounds: at least one.
        path: the file; the suffix decides the format.
    """
    extras.require("a picture", extras.PLOTS)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw_returns(upper, rounds)
    _draw_gate(lower, rounds)
    lower.set_xlabel("Round", fontsize=FONT_POINTS)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    lower.set_xlim(0.5, len(rounds) + 0.5)
    figure.suptitle(name, fontsize=FONT_POINTS)
    return save(figure, path)


def _draw_returns(axes: Axes, rounds: Sequence[Round]) -> None:
    numbers = [record.number for record in rounds]
    means = [record.collected.everything.mean_return for record in rounds]
    errors = [WIDTH * (record.collected.everything.standard_error or 0.0) for record in rounds]
    axes.errorbar(
        numbers, means, yerr=errors, color=BLUE, marker="o", linewidth=2, capsize=4, label="in place, as it acted"
    )
    for promoted, face, label in ((True, VERMILION, "candidate, greedy"), (False, "white", "not promoted")):
        chosen = [
            (record.number + BESIDE, record.evaluated.mean_return, WIDTH * (record.evaluated.standard_error or 0.0))
            for record in rounds
            if record.evaluated.mean_return is not None and record.decision.promoted == promoted
        ]
        if chosen:
            at, values, spread = zip(*chosen, strict=True)
            style: dict[str, Any] = {
                "color": VERMILION,
                "marker": "s",
                "markersize": 7,
                "linestyle": "none",
                "capsize": 4,
            }
            axes.errorbar(at, values, yerr=spread, markerfacecolor=face, label=label, **style)
    axes.set_title("Mean return, 95 % intervals", fontsize=FONT_POINTS)
    axes.set_ylabel("Return", fontsize=FONT_POINTS)
    _finish(axes)


def _draw_gate(axes: Axes, rounds: Sequence[Round]) -> None:
    axes.axhline(0.0, color="#333333", linewidth=1)
    labels: dict[str, Any] = {}
    shown: list[float] = [0.0]
    drawn: list[tuple[float, list[float | None], str]] = []
    for record in rounds:
        looks = record.decision.looks
        for position, look in enumerate(looks):
            shift = 0.0 if len(looks) == 1 else APART * (2 * position - 1)
            found = look["difference"]
            if found["value"] is None:
                continue
            bounds = Interval.of(found).bounds
            told = look["doubt"] is None and bool(bounds)
            colour = COLOURS[look["outcome"]] if told else GREY
            label = f"{look['outcome'] if told else CANNOT_TELL} {LOOKS[look['look']]}"
            drawn.append((record.number + shift, [found["value"], found["lower"], found["upper"]], colour))
            labels[label] = _draw_look(axes, record.number + shift, found, colour, MARKERS[look["look"]])
            if told:
                shown += [found["value"], *bounds]
    # What cannot tell may be anywhere: the axis shows what can.
    low, high = min(shown), max(shown)
    room = 0.15 * ((high - low) or 1.0)
    axes.set_ylim(low - room, high + room)
    for at, values, colour in drawn:
        _mark_cuts(axes, at, values, colour)
    confidences = [look["confidence"] for record in rounds for look in record.decision.looks]
    least, most = (f"{100 * end:.4g}" for end in (min(confidences), max(confidences)))
    sure = f"{least} %" if least == most else f"{least} to {most} %"
    axes.set_title(f"Candidate minus incumbent policy, bounds of {sure}", fontsize=FONT_POINTS)
    axes.set_ylabel("Discounted return", fontsize=FONT_POINTS)
    axes.legend(labels.values(), labels.keys(), fontsize=FONT_POINTS - 3, loc="best")
    _finish(axes)


def _draw_look(axes: Axes, at: float, found: Mapping[str, float | None], colour: str, marker: str) -> Any:
    value, lower, upper = found["value"], found["lower"], found["upper"]
    assert value is not None
    # A side without a bound reaches beyond the axis.
    below, above = (UNBOUNDED if end is None else abs(end - value) for end in (lower, upper))
    spread = None if lower is None and upper is None else [[below], [above]]
    return axes.errorbar([at], [value], yerr=spread, color=colour, marker=marker, linewidth=2, capsize=4)


def _mark_cuts(axes: Axes, at: float, values: Sequence[float | None], colour: str) -> None:
    """Triangles at the edges that a value lies beyond, or that there is no bound towards."""
    low, high = axes.get_ylim()
    _, lower, upper = values
    known = [value for value in values if value is not None]
    for edge, marker, beyond in (
        (low, "v", lower is None or min(known) < low),
        (high, "^", upper is None or max(known) > high),
    ):
        if beyond:
            axes.plot([at], [edge], marker=marker, color=colour, markersize=9, clip_on=False, zorder=5)


def _finish(axes: Axes) -> None:
    axes.tick_params(labelsize=FONT_POINTS - 1)
    axes.grid(visible=True, alpha=0.3)
    if axes.get_legend() is None and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=FONT_POINTS - 3, loc="best")
