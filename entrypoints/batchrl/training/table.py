"""The intermediate csv: one row an epoch with that epoch's own estimates, and its printed line.

Rows are kept as the texts of their cells, so that a resumed run repeats the earlier ones to the letter.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batchrl.agents.statistics import EpochStatistics
from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract import columns
from batchrl.contract.evidence import LEAST_EFFECTIVE
from batchrl.contract.interval import in_digits
from batchrl.ope.estimators.bootstrap import Estimate
from batchrl.ope.study.evaluator import PolicyEstimates
from batchrl.training.scores import SelectionScores

# The window scores follow them: their number is a setting.
COLUMNS = (*columns.COACH_COLUMNS, *columns.OWN_COLUMNS)

Row = Mapping[str, str]


@dataclass(frozen=True)
class EpochReport:
    """Everything that is known about one epoch.

    Args:
        epoch: counted from 1.
        training: what the pass over the data did.
        target: the target policy.
        scores: what the log says about it after the epoch: they choose the epoch.
        metric: the one that is shown.
        doubt: why it is not to be relied on; None where nothing speaks against it.
        returns: what it earns, by WIS and SDR.
        beside: the softmax that Coach scored; the target policy itself, where it is that.
        estimates: what the log says about that one, for Coach's columns.
        total_updates: gradient steps so far.
        n_transitions: of all data.
        n_episodes: of all data.
        masked_fraction: share of pairs of next state and action in the training episodes that the mask forbids.
        none_allowed_rate: share of evaluation states in which it forbids everything; in training states the logged
            action is its own neighbour, so the rate is 0 there by construction.
        checkpoint: name of the epoch's file.
        wall_clock_s: since the run began, resumed parts included.
        training_s: of the pass over the data.
        ope_s: of the estimates.
    """

    epoch: int
    training: EpochStatistics
    target: TargetPolicy
    scores: SelectionScores
    metric: str
    doubt: str | None
    returns: PolicyEstimates
    beside: TargetPolicy
    estimates: PolicyEstimates
    total_updates: int
    n_transitions: int
    n_episodes: int
    masked_fraction: float
    none_allowed_rate: float
    checkpoint: str
    wall_clock_s: float
    training_s: float
    ope_s: float

    def row(self) -> dict[str, str]:
        """The cells of the csv; blank where a number is undefined, and where Coach needs an environment."""
        cells = dict.fromkeys((*COLUMNS, *columns.window_columns(len(self.scores.windows))), "")
        for name in ("Episode #", "In Heatup", "Episode Length", "Total steps", "Epsilon"):
            cells[name] = "0"
        cells["Shaped Training Reward"] = cells["Training Reward"] = "0"
        values: dict[str, float] = {
            columns.EPOCH: self.epoch,
            "Update Target Network": int(self.training.target_copies > 0),
            "Training Iter": self.total_updates,
            "ER #Transitions": self.n_transitions,
            "ER #Episodes": self.n_episodes,
            "Wall-Clock Time": round(self.wall_clock_s, 3),
            columns.WIS_ESS: self.estimates.weights.effective_episodes,
            columns.WIS_MAX_WEIGHT: self.estimates.weights.max_normalised_weight,
            columns.WIS_MEAN_WEIGHT: self.estimates.weights.mean_weight,
            columns.MASKED_FRACTION: self.masked_fraction,
            columns.NO_ALLOWED_ACTION_RATE: self.none_allowed_rate,
            columns.EPOCH_SECONDS: round(self.training_s + self.ope_s, 4),
            columns.OPE_SECONDS: round(self.ope_s, 4),
            columns.UPDATES_PER_SECOND: round(self.training.updates / max(self.training_s, 1e-9), 1),
        }
        of_target = {columns.TARGET_WIS: columns.WIS, columns.TARGET_SDR: columns.SDR}
        shown = {**self.estimates.estimates, **{name: self.returns.estimates[own] for name, own in of_target.items()}}
        for name, estimate in shown.items():
            values |= {
                name: estimate.value,
                columns.lower(name): estimate.lower,
                columns.upper(name): estimate.upper,
            }
        values |= self.scores.cells()
        signals = {
            "Loss": self.training.loss,
            "Learning Rate": self.training.learning_rate,
            "Grads (unclipped)": self.training.gradient_norm,
            "Q": self.training.values,
        }
        for name, summary in signals.items():
            if summary is None:
                continue
            values |= {
                f"{name}/Mean": summary.mean,
                f"{name}/Stdev": summary.stdev,
                f"{name}/Max": summary.maximum,
                f"{name}/Min": summary.minimum,
            }
        cells |= {name: _cell(value) for name, value in values.items()}
        cells[columns.CHECKPOINT] = self.checkpoint
        return cells

    def line(self, epochs: int) -> str:
        """One line for people and for metric patterns such as ``wis=([0-9.]+)``.

        Args:
            epochs: of the whole run.
        """
        ess = self.estimates.weights.effective_episodes
        few = f" (fewer than {LEAST_EFFECTIVE:g}: do not rely on it)" if ess < LEAST_EFFECTIVE else ""
        rejected = "  rejected: the log rules its values out" if self.scores.possible is False else ""
        wis, sdr = (self._shown(self.estimates.estimates[name]) for name in (columns.WIS, columns.SDR))
        metric, cells = self.metric, self.scores.cells()
        score = Estimate(
            *(cells.get(name, math.nan) for name in (metric, columns.lower(metric), columns.upper(metric)))
        )
        gain = in_digits(score.value, score.interval, 3) if math.isfinite(score.value) else "undefined"
        doubted = "" if self.doubt is None else ": do not rely on it"
        return (
            f"epoch={self.epoch} of {epochs}  loss={self.training.loss.mean:.4f}  "
            f"{self.target.kind}: score={gain} ({metric}{doubted}){rejected}  "
            f"{'beside it, ' if self.beside != self.target else ''}{self.beside.kind}: wis={wis}  sdr={sdr}  "
            f"ess={ess:.1f} of {self.estimates.n_episodes}{few}  seconds={self.training_s + self.ope_s:.2f}"
        )

    def _shown(self, estimate: Estimate) -> str:
        if not math.isfinite(estimate.value):
            return "undefined"
        impossible = "" if self.scores.least <= estimate.value <= self.scores.greatest else " (impossible)"
        return in_digits(estimate.value, estimate.interval, 3) + impossible


def to_csv(rows: Sequence[Row]) -> bytes:
    """The whole file."""
    buffer = io.StringIO(newline="")
    # The first rows of a run that an older version began may lack columns.
    names = dict.fromkeys(name for row in rows for name in row) if rows else COLUMNS
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _cell(value: float) -> str:
    return repr(value) if math.isfinite(value) else ""
