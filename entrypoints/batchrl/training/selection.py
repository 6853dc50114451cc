"""Which epoch is called best: a function of the csv's rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from batchrl.checkpoints.folder import Choice
from batchrl.contract import columns
from batchrl.training.table import Row
from presets.schema import TrainPreset

ESTIMATES = {"sdr": columns.SDR, "wis": columns.WIS}


def choose_best(rows: Sequence[Row], available: Collection[int], preset: TrainPreset) -> Choice:
    """The epoch with the highest lower end of the interval of the preset's estimate.

    Epochs whose effective sample size is below ``ope.ess_floor``, or whose bound is undefined, do not compete; where
    none is left, the last epoch is called best and the reason says so. Where the preset asks for no intervals the
    estimate itself is compared. Of equals, the later one is chosen. The estimates score the target policy that the
    preset names, on the evaluation episodes: the winner's own figure is optimistic (quirk 20).

    Args:
        rows: of the epochs 1, 2, ... in order; at least one.
        available: epochs whose checkpoint exists.
        preset: says the estimate, the rule and the floor.
    """
    estimate = ESTIMATES[preset.selection.estimate]
    metric = columns.lower(estimate) if preset.ope.bootstrap_resamples else estimate
    floor = preset.ope.ess_floor
    last = int(rows[-1][columns.EPOCH])
    if preset.selection.rule == "last":
        return Choice(last, metric, _number(rows[-1][metric]), "the preset asks for the last epoch")
    best: tuple[float, int] | None = None
    for row in rows:
        epoch, value, ess = int(row[columns.EPOCH]), _number(row[metric]), _number(row[columns.WIS_ESS])
        if epoch in available and value is not None and ess is not None and ess >= floor:
            best = max(best or (value, epoch), (value, epoch))
    if best is None:
        reason = f"the last epoch: none reached {floor:g} effective episodes with a defined bound"
        return Choice(last, metric, _number(rows[-1][metric]), reason)
    return Choice(best[1], metric, best[0], f"highest {metric} among epochs with at least {floor:g} effective episodes")


def _number(text: str) -> float | None:
    return float(text) if text else None
