"""The report of the demo: what was found, what it means, and where everything lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrl.contract import columns
from launcher.cli.estimates import interval, number
from launcher.cli.evaluations import Evaluation
from launcher.cli.output import duration


@dataclass(frozen=True)
class LoggedData:
    """The episodes that the logging policy played.

    Args:
        episodes: how many.
        mean_return: undiscounted.
        standard_error: of that mean.
        discounted_return: their mean with the agent's discount, which is what the estimates are about.
    """

    episodes: int
    mean_return: float
    standard_error: float
    discounted_return: float


@dataclass(frozen=True)
class Selection:
    """The epoch whose policy was chosen, from the log alone.

    Args:
        epoch: its number.
        epochs: how many there were to choose from.
        reason: why this one, in words.
        target_policy: the policy that the estimates score.
        discount: of the agent.
        row: the epoch's line of the csv of estimates.
    """

    epoch: int
    epochs: int
    reason: str
    target_policy: str
    discount: float
    row: dict[str, Any]


@dataclass(frozen=True)
class DemoReport:
    """Everything that the demo found.

    Args:
        executor: where the jobs ran, and why there.
        training_job, evaluation_job: their names.
        logged: the data.
        selection: the chosen epoch with its estimates.
        evaluation: what the chosen policy reached in the simulator.
        files: what lies on this computer, by what it is.
        objects: what lies in the bucket, by what it is.
        seconds: how long everything took.
    """

    executor: str
    training_job: str
    evaluation_job: str
    logged: LoggedData
    selection: Selection
    evaluation: Evaluation
    files: dict[str, Path]
    objects: dict[str, str]
    seconds: float

    def lines(self) -> Iterator[str]:
        """The report for people, at most 60 characters a line but for paths."""
        yield from self._findings()
        yield from self._meaning()
        yield "On this computer:"
        yield from (f"  {path}  ({what})" for what, path in self.files.items())
        yield "In the bucket:"
        yield from (f"  {url}  ({what})" for what, url in self.objects.items())
        yield ""
        yield "Next:"
        yield f"  batchrl show {self.training_job}"
        yield f"  batchrl metrics {self.training_job}"
        yield f"  batchrl evaluate --job {self.training_job}"
        yield "  batchrl presets show cartpole-ddqn-bcq > my.yaml"
        yield f"  batchrl train --preset my.yaml --training {self.files['logged data']}"

    def _findings(self) -> Iterator[str]:
        logged, chosen, found = self.logged, self.selection, self.evaluation
        yield f"Report ({duration(self.seconds)})"
        yield ""
        yield f"  Logged policy      {logged.mean_return:.2f} +- {logged.standard_error:.2f} (s.e.)"
        yield f"                     mean return, {logged.episodes} episodes"
        yield f"  Chosen epoch       {chosen.epoch} of {chosen.epochs}"
        yield f"    SDR [95 %]       {interval(chosen.row, columns.SDR, 2)}"
        yield f"    WIS [95 %]       {interval(chosen.row, columns.WIS, 2)}"
        yield (
            f"    effective        {number(chosen.row.get(columns.WIS_ESS), 1)} "
            f"of {number(chosen.row.get(columns.OPE_EPISODES), 0)} episodes"
        )
        yield f"  Evaluated policy   {found.mean}"
        yield f"                     mean return, {found.episodes} episodes,"
        yield f"                     {found.min_return:g} to {found.max_return:g}"
        yield ""

    def _meaning(self) -> Iterator[str]:
        """What the figures estimate, and what they do not."""
        chosen = self.selection
        yield "What the estimates mean:"
        yield f"  SDR and WIS estimate the discounted return (discount {chosen.discount:g})"
        yield f"  of the policy '{chosen.target_policy}', from logged"
        yield "  episodes that it was not trained on. The logged policy's"
        yield f"  own is {self.logged.discounted_return:.2f}. Returns of the evaluation are not"
        yield "  discounted and the policy acts greedily: compare them with"
        yield "  the logged policy's mean return, not with SDR or WIS."
        yield "  The intervals cover chance in the logged episodes; that"
        yield f"  the best of {chosen.epochs} epochs was chosen on the same episodes"
        yield "  makes its own figures look better than they are. WIS leans"
        yield "  towards the logged policy when few episodes are effective."
        yield f"  Chosen by: {chosen.reason}."
        yield ""
