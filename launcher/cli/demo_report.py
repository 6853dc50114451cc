"""The report of the demo: what was found, what it means, and where everything lies."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrl.contract import columns
from launcher.cli.estimates import interval, number
from launcher.cli.evaluations import Evaluation
from launcher.cli.output import duration

WIDTH = 60
# Below this share of effective episodes, bootstrap intervals of importance sampling were measured to cover too little.
FEW_EFFECTIVE = 0.25


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
        if shutil.which("batchrl") is None:
            yield f"  . {_near(Path(sys.executable).parent / 'activate')}"
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
        yield "What the estimates mean:"
        for paragraph in self._paragraphs():
            yield textwrap.fill(paragraph, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        yield ""

    def _paragraphs(self) -> Iterator[str]:
        chosen, row = self.selection, self.selection.row
        yield (
            f"SDR and WIS estimate the discounted return (discount {chosen.discount:g}) of the policy "
            f"'{chosen.target_policy}', from logged episodes that it was not trained on. The logged policy's own is "
            f"{self.logged.discounted_return:.2f}. The evaluation's returns are not discounted and its policy acts "
            "greedily: compare them with the logged policy's mean return, not with SDR or WIS."
        )
        yield (
            f"The brackets are bootstrap intervals over those episodes, nominally 95 %. That the best of "
            f"{chosen.epochs} epochs was chosen on the same episodes flatters its figures."
        )
        effective, episodes = row.get(columns.WIS_ESS), row.get(columns.OPE_EPISODES)
        if effective is not None and episodes and effective < FEW_EFFECTIVE * episodes:
            yield (
                f"Only {effective:.0f} of {episodes:.0f} episodes are effective: with so few, intervals are too narrow "
                "and WIS leans towards the logged policy; it can never exceed the best logged return."
            )
        yield f"Epoch {chosen.epoch} was chosen from the log alone: {chosen.reason}."


def _near(path: Path) -> Path:
    """A path as it is written from the present folder, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
