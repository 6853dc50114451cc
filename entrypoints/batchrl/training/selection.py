"""Which epoch is called best: a function of the csv's rows, so that a run that was resumed chooses the same.

``one_standard_error``, on the evaluation episodes, for the target policy:

=====================================================  ================================================================
epochs whose values cannot be true                     are rejected
the paired score can be trusted (below)                it is compared
else, windows of h steps have enough effective ones    the score of the largest such h is compared
else                                                   the last epoch that was not rejected
=====================================================  ================================================================

The choice is the latest epoch within one standard error of the best score, never the bare maximum: that one is the
luckiest of many, and later epochs have learnt more. The best score may belong to an epoch whose checkpoint is gone, so
that a slow decline cannot drag the choice along.

The paired score is compared where *every* epoch that is left has an effective sample size that is large enough
(``contract.evidence``): it falls as a policy departs from the log, so that leaving out the epochs below it would favour
those that changed least. The mean weight's interval must contain 1 in at least *half* of them, and the others do not
compete: of intervals at 95 %, one in 20 misses by chance.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from batchrl.checkpoints.folder import PointerDetails
from batchrl.contract import columns, evidence
from batchrl.contract.evidence import LEAST_EFFECTIVE, paired_averages_to_one
from batchrl.training.table import Row
from presets.schema import SelectionSettings, TrainPreset

ESTIMATES = {"sdr": columns.TARGET_SDR, "wis": columns.TARGET_WIS}
NO_EVIDENCE = "no evidence of improvement over the logging policy"
RULED_OUT = "the log rules their values out"

# The numbers of an epoch by column; what is undefined is not in it.
Cells = Mapping[str, float]


def choose_best(rows: Sequence[Row], available: Collection[int], preset: TrainPreset) -> PointerDetails:
    """The epoch that the preset's rule chooses.

    Args:
        rows: of the epochs 1, 2, ... in order; at least one.
        available: epochs whose checkpoint exists.
        preset: says the rule, its floors, and the estimate of the rule ``lower_bound``.
    """
    epochs = [_numbers(row) for row in rows]
    match preset.selection.rule:
        case "last":
            metric = _compared(epochs, preset.selection).metric or columns.PAIRED
            last = epochs[-1]
            return PointerDetails(_epoch(last), metric, last.get(metric), "the preset asks for the last epoch")
        case "lower_bound":
            return _highest_lower_bound(epochs, available, preset)
        case "one_standard_error":
            return _within_one_standard_error(epochs, available, preset.selection)


def finite(cells: Cells) -> Cells:
    """Those that are defined."""
    return {name: value for name, value in cells.items() if math.isfinite(value)}


def trusted_metric(cells: Cells, settings: SelectionSettings) -> str | None:
    """The score of one policy that may be relied on: the paired one, or the longest window's; None: none of them."""
    return _compared([cells], settings).metric


def shown_score(cells: Cells, settings: SelectionSettings) -> tuple[str, str | None]:
    """The score of one policy that is shown, the paired one where none may be relied on, and what speaks against it."""
    metric = trusted_metric(cells, settings) or columns.PAIRED
    return metric, doubt_of_score(cells, metric, settings)


def doubt_of_score(cells: Cells, metric: str, settings: SelectionSettings) -> str | None:
    """Why a score may be shown but not relied on, in words; None where nothing speaks against it."""
    return evidence.doubt_of_score(cells, metric, settings.window_ess_floor)


@dataclass(frozen=True)
class _Compared:
    """The epochs that compete, and the column that they are compared by; None where nothing can be compared."""

    metric: str | None
    epochs: tuple[Cells, ...]


def _within_one_standard_error(
    epochs: Sequence[Cells], available: Collection[int], settings: SelectionSettings
) -> PointerDetails:
    left = _not_rejected(epochs)
    rejected = ""
    if len(left) < len(epochs):
        rejected = f"; {len(epochs) - len(left)} of {len(epochs)} epochs were rejected: {RULED_OUT}"
    compared = _compared(epochs, settings)
    metric = compared.metric
    competing = [cells for cells in compared.epochs if _epoch(cells) in available]
    if metric is None or not competing:
        chosen = next((cells for cells in reversed(left) if _epoch(cells) in available), epochs[-1])
        which = "the last epoch" if chosen is epochs[-1] else "the last epoch that was not rejected"
        why = (
            f"too few effective {'episodes and windows' if _has_windows(epochs) else 'decisions'} to compare epochs"
            if left
            else "the log rules out the values of every epoch"
        )
        return PointerDetails(_epoch(chosen), columns.PAIRED, None, f"{which}: {why}{rejected}; {NO_EVIDENCE}")

    def rank(cells: Cells) -> tuple[float, float]:
        return cells[metric], _epoch(cells)

    best = max(compared.epochs, key=rank)
    floor = best[metric] - best.get(columns.standard_error(metric), 0.0)
    within = [cells for cells in competing if cells[metric] >= floor]
    chosen, reason = max(competing, key=rank), f"highest {metric} among the checkpoints that were kept"
    if within:
        chosen = within[-1]
        reason = f"latest epoch within one standard error of the best {metric} (epoch {_epoch(best)})"
    if chosen.get(columns.lower(metric), -math.inf) <= 0:
        reason += f"; {NO_EVIDENCE}"
    return PointerDetails(_epoch(chosen), metric, chosen[metric], reason + rejected)


def _compared(epochs: Sequence[Cells], settings: SelectionSettings) -> _Compared:
    left = _not_rejected(epochs)
    if not left:
        return _Compared(None, ())
    if all(_enough_episodes(cells) for cells in left):
        averaging = tuple(cells for cells in left if paired_averages_to_one(cells) and columns.PAIRED in cells)
        if 2 * len(averaging) >= len(left):
            return _Compared(columns.PAIRED, averaging)
    for steps in range(settings.max_window, 0, -1):
        metric = columns.window(steps)
        enough = tuple(cells for cells in left if doubt_of_score(cells, metric, settings) is None)
        # With one step, epochs without support in the log are left out; with more, fewer steps are taken instead.
        if len(enough) == len(left) or (steps == 1 and 2 * len(enough) >= len(left)):
            return _Compared(metric, enough)
    return _Compared(None, ())


def _has_windows(epochs: Sequence[Cells]) -> bool:
    """Whether windows were scored: not where every episode is one decision."""
    return any(columns.window_ess(1) in cells for cells in epochs)


def _not_rejected(epochs: Sequence[Cells]) -> list[Cells]:
    return [cells for cells in epochs if cells.get(columns.VALUES_POSSIBLE) != 0]


def _enough_episodes(cells: Cells) -> bool:
    return cells.get(columns.PAIRED_ESS, 0.0) >= LEAST_EFFECTIVE


def _highest_lower_bound(epochs: Sequence[Cells], available: Collection[int], preset: TrainPreset) -> PointerDetails:
    """The epoch with the highest lower end of the interval of the preset's estimate, of equals the later.

    Epochs do not compete whose effective sample size is below ``ope.ess_floor``, whose bound is undefined, whose values
    were rejected or whose estimate the log does not allow. Without intervals the estimate itself is compared.
    """
    estimate = ESTIMATES[preset.selection.estimate]
    metric = columns.lower(estimate) if preset.ope.bootstrap_resamples else estimate
    floor, last = preset.ope.ess_floor, epochs[-1]
    best: tuple[float, int] | None = None
    possible = [cells for cells in _not_rejected(epochs) if _is_possible(cells, estimate)]
    for cells in possible:
        if _epoch(cells) in available and metric in cells and cells.get(columns.PAIRED_ESS, -math.inf) >= floor:
            best = max(best or (cells[metric], _epoch(cells)), (cells[metric], _epoch(cells)))
    rejected = ""
    if len(possible) < len(epochs):
        rejected = f"; {len(epochs) - len(possible)} of {len(epochs)} epochs were rejected: {RULED_OUT}"
    if best is None:
        left = [cells for cells in possible if _epoch(cells) in available]
        chosen = left[-1] if left else last
        which = "the last epoch" if chosen is last else "the last epoch that was not rejected"
        reason = f"{which}: none reached {floor:g} effective episodes with a defined bound{rejected}"
        value = chosen.get(metric) if chosen in possible else None
        return PointerDetails(_epoch(chosen), metric, value, reason)
    reason = f"highest {metric} among epochs with at least {floor:g} effective episodes{rejected}"
    return PointerDetails(best[1], metric, best[0], reason)


def _is_possible(cells: Cells, estimate: str) -> bool:
    """Whether the log allows an estimate to be that of a policy."""
    least, greatest = cells.get(columns.LEAST_POSSIBLE, -math.inf), cells.get(columns.GREATEST_POSSIBLE, math.inf)
    return least <= cells.get(estimate, math.nan) <= greatest or estimate not in cells


def _epoch(cells: Cells) -> int:
    return int(cells[columns.EPOCH])


def _numbers(row: Row) -> Cells:
    return {name: float(cell) for name, cell in row.items() if cell and name != columns.CHECKPOINT}
