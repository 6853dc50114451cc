"""The curves of a training job: WIS and sequential DR over the epochs, each with its 95 % interval.

Both are, as Coach had them, of the softmax of the values; where another policy is the one that ships, its curve is
beside them. A line marks the epoch that was chosen. Epochs with too few effective episodes are drawn hollow: what they
show may be looked at, and decides nothing.

Each has axes of its own, one above the other: on one picture with two scales the curves would meet where the numbers do
not, and one interval would hide the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.contract.evidence import LEAST_EFFECTIVE
from batchrl.contract.files import whole_file
from launcher.base import extras

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (8.0, 6.0)
DPI = 150
FONT_POINTS = 12
BAND_ALPHA = 0.18
MARKER_POINTS = 5
MOST_MARKERS = 30
SOFTMAX, SHIPPED = "softmax of the values", "the policy that ships"
CHOSEN_COLOUR = "#333333"
SUFFIXES = (".png", ".svg", ".pdf", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Curve:
    """How one estimate is drawn.

    Args:
        column: of the softmax of the values.
        shipped: column of the same of the target policy.
        label: heading.
        colour, marker: of the curve.
    """

    column: str
    shipped: str
    label: str
    colour: str
    marker: str


# Colours that people who confuse red and green tell apart (Okabe and Ito).
WIS = Curve(columns.WIS, columns.TARGET_WIS, "Weighted importance sampling (WIS)", "#0072B2", "o")
SDR = Curve(columns.SDR, columns.TARGET_SDR, "Sequential doubly robust (SDR)", "#D55E00", "s")


def plot(frame: pd.DataFrame, job_name: str, path: Path) -> Path:
    """Draw a job's curves into a file; the suffix decides the format.

    Args:
        frame: one row an epoch, columns as ``batchrl.contract.columns`` names them; epochs without an estimate leave
            a gap.
        job_name: whose estimates they are.
        path: the file; its folder is made if need be.

    Returns:
        The file.

    Raises:
        InputError: there is nothing to draw, or the file cannot be written.
    """
    extras.require("a picture", extras.PLOTS)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    check_format(path)
    if frame[[WIS.column, SDR.column]].isna().all(axis=None):
        raise InputError(f"the job '{job_name}' has no estimate to draw yet.")
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw(upper, frame, WIS)
    _draw(lower, frame, SDR)
    lower.set_xlabel("Epoch", fontsize=FONT_POINTS)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    counted = frame[columns.OPE_EPISODES].max() if columns.OPE_EPISODES in frame.columns else math.nan
    episodes = f", {counted:,.0f} episodes" if math.isfinite(counted) else ""
    figure.suptitle(f"Off-policy estimates with 95 % intervals{episodes}\n{job_name}", fontsize=FONT_POINTS)
    return save(figure, path)


def check_format(path: Path) -> None:
    """Refuse a file whose suffix names no format of pictures."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: the format '{path.suffix}' is unknown.", f"It may be {', '.join(SUFFIXES)}.")


def save(figure: Figure, path: Path) -> Path:
    """Write a picture, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:].lower())
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _draw(axes: Axes, frame: pd.DataFrame, curve: Curve) -> None:
    """One estimate on its own axes, with its interval where the csv has one."""
    epochs, values = frame[columns.EPOCH], frame[curve.column]
    lower, upper = columns.lower(curve.column), columns.upper(curve.column)
    if lower in frame.columns and upper in frame.columns:
        low, high = frame[lower].astype(float), frame[upper].astype(float)
        axes.fill_between(epochs, low, high, color=curve.colour, alpha=BAND_ALPHA, linewidth=0)
        if len(frame) == 1:  # a band of no width shows nothing
            axes.vlines(epochs, low, high, color=curve.colour, linewidth=2)
    shipped = of_shipped(frame, curve)
    axes.plot(epochs, values, color=curve.colour, linewidth=2, label=None if shipped is None else SOFTMAX)
    if shipped is not None:
        label = f"{SHIPPED}: undefined" if shipped.isna().all() else SHIPPED
        axes.plot(epochs, shipped, color=curve.colour, linewidth=1.5, linestyle=":", label=label)
    few = few_effective(frame)
    if len(frame) <= MOST_MARKERS:
        _mark(axes, frame[~few], curve, curve.colour)
    if few.any():
        _mark(axes, frame[few], curve, "white", "too few effective episodes")
    if (chosen := chosen_epoch(frame)) is not None:
        axes.axvline(chosen, color=CHOSEN_COLOUR, linestyle="--", linewidth=1.5, label=f"chosen: epoch {chosen}")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=FONT_POINTS - 3, loc="best")
    axes.set_title(curve.label, fontsize=FONT_POINTS, color=curve.colour)
    axes.set_ylabel("Discounted return", fontsize=FONT_POINTS)
    axes.tick_params(labelsize=FONT_POINTS - 1)
    axes.grid(visible=True, alpha=0.3)


def of_shipped(frame: pd.DataFrame, curve: Curve) -> pd.Series[float] | None:
    """The estimate of the policy that ships; None where the csv has none, or it is the one that is drawn anyhow."""
    if curve.shipped not in frame.columns:
        return None
    shipped = frame[curve.shipped].astype(float)
    return None if shipped.equals(frame[curve.column].astype(float)) else shipped


def _mark(axes: Axes, frame: pd.DataFrame, curve: Curve, face: str, label: str | None = None) -> None:
    axes.plot(
        frame[columns.EPOCH],
        frame[curve.column],
        color=curve.colour,
        linestyle="none",
        marker=curve.marker,
        markersize=MARKER_POINTS,
        markerfacecolor=face,
        label=label,
    )


def few_effective(frame: pd.DataFrame) -> pd.Series[bool]:
    """For each epoch, whether its estimates rest on too few effective episodes; False where the csv does not say."""
    if not {columns.WIS_ESS, columns.OPE_EPISODES} <= set(frame.columns):
        return frame[columns.EPOCH].isna()
    return frame[columns.WIS_ESS] < LEAST_EFFECTIVE


def chosen_epoch(frame: pd.DataFrame) -> int | None:
    """The epoch that is called best after the last one; None where the csv does not say."""
    if columns.BEST_EPOCH not in frame.columns or frame.empty:
        return None
    return int(frame[columns.BEST_EPOCH].iloc[-1])
