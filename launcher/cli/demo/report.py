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
from batchrl.contract.evidence import LEAST_EFFECTIVE
from batchrl.contract.interval import Interval, in_digits
from launcher.base.units import duration
from launcher.cli.estimates import interval, number
from launcher.reports.evaluations import Evaluation

WIDTH = 60


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
class Score:
    """The chosen policy against the logging policy, from the log alone.

    Args:
        name: which score; None where nothing could be scored.
        value, lower, upper: the score with its interval; None where undefined.
        confidence: that the interval aims at.
        meaning: what it estimates, in words.
        doubt: why it is not to be relied on; None where nothing speaks against it.
        evidence: whether the policy improves on the logging policy, in words.
        episodes: how many it comes from.
        unseen: whether neither training nor the choice saw them.
    """

    name: str | None
    value: float | None
    lower: float | None
    upper: float | None
    confidence: float
    meaning: str
    doubt: str | None
    evidence: str
    episodes: int
    unseen: bool

    @classmethod
    def of(cls, score: dict[str, Any], episodes: int, episodes_of: str) -> Score:
        """The score in a run's summary."""
        kept = ("value", "lower", "upper", "confidence", "meaning", "doubt", "evidence")
        named = {name: score[name] for name in kept}
        return cls(name=score["metric"], **named, episodes=episodes, unseen=episodes_of == "test")

    @property
    def shown(self) -> str:
        """The score with its interval."""
        return "undefined" if self.value is None else in_digits(self.value, Interval(self.lower, self.upper), 2)


@dataclass(frozen=True)
class Selection:
    """The epoch whose policy was chosen, from the log alone.

    Args:
        epoch: its number.
        epochs: how many there were to choose from.
        reason: why this one, in words.
        beside: the policy that SDR and WIS score.
        discount: of the agent.
        row: the epoch's line of the csv of estimates.
        score: the chosen policy against the logging policy.
    """

    epoch: int
    epochs: int
    reason: str
    beside: str
    discount: float
    row: dict[str, Any]
    score: Score


@dataclass(frozen=True)
class DemoReport:
    """Everything that the demo found.

    Args:
        executor: where the jobs ran, and why there.
        preset: of the training.
        training_job, evaluation_job: their names.
        logged: the data.
        selection: the chosen epoch with its estimates.
        evaluation: what the chosen policy reached in the simulator.
        files: what lies on this computer, by what it is.
        objects: what lies in the bucket, by what it is.
        seconds: how long everything took.
    """

    executor: str
    preset: str
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
        yield f"  batchrl presets show {self.preset} > my.yaml"
        yield f"  batchrl train --preset my.yaml --training {self.files['logged data']}"

    def _findings(self) -> Iterator[str]:
        logged, chosen, found = self.logged, self.selection, self.evaluation
        yield f"Report ({duration(self.seconds)})"
        yield ""
        yield f"  Logged policy      {logged.mean_return:.2f} +- {logged.standard_error:.2f} (s.e.)"
        yield f"                     mean return, {logged.episodes} episodes"
        yield f"  Chosen epoch       {chosen.epoch} of {chosen.epochs}"
        yield f"    {chosen.score.name or 'Score':<16} {chosen.score.shown}"
        yield f"    SDR [95 %]       {interval(chosen.row, columns.SDR, 2)}"
        yield f"    WIS [95 %]       {interval(chosen.row, columns.WIS, 2)}"
        yield (
            f"    effective        {number(chosen.row.get(columns.WIS_ESS), 1)} "
            f"of {number(chosen.row.get(columns.OPE_EPISODES), 0)} episodes"
        )
        yield f"  Evaluated policy   {found.mean}"
        yield f"                     mean return, {found.episodes} episodes,"
        yield f"                     {found.min_return:g} to {found.max_return:g}"
        if found.discounted_return is not None:
            yield f"    discounted       {found.discounted_mean}"
            yield f"                     (logged policy: {logged.discounted_return:.2f})"
        yield ""

    def _meaning(self) -> Iterator[str]:
        """What the figures estimate, and what they do not."""
        yield "What the estimates mean:"
        for paragraph in self._paragraphs():
            yield textwrap.fill(paragraph, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        yield ""

    def _paragraphs(self) -> Iterator[str]:
        chosen, row, score = self.selection, self.selection.row, self.selection.score
        yield f"Epoch {chosen.epoch} was chosen from the log alone: {chosen.reason}."
        if score.name is None:
            yield f"Nothing could be scored: {score.doubt}; {score.evidence}."
        else:
            episodes = f"{score.episodes} episodes that neither training nor the choice saw"
            if not score.unseen:
                episodes = f"the {score.episodes} episodes that chose the epoch, which flatters it"
            aim = f"The interval is nominally of {score.confidence:.0%}"
            yield f"{score.name}: {score.meaning}; from {episodes}. {aim}: {score.evidence}."
            if score.doubt is not None:
                yield f"It is not to be relied on: {score.doubt}."
        yield from self._truth()
        yield (
            f"SDR and WIS estimate the discounted return of the policy '{chosen.beside}', as Intel Coach did: it "
            "stands beside the target policy, which was scored and is served."
        )
        effective, episodes_used = row.get(columns.WIS_ESS), row.get(columns.OPE_EPISODES)
        if effective is not None and episodes_used and effective < LEAST_EFFECTIVE:
            yield (
                f"Only {effective:.0f} of {episodes_used:.0f} episodes are effective for them: intervals are too "
                "narrow, and WIS can never exceed the best logged return."
            )

    def _truth(self) -> Iterator[str]:
        """The simulator's figures in the estimand of the score."""
        found, logged, name = self.evaluation, self.logged, self.selection.score.name
        if found.discounted_return is None or found.discount is None:
            return
        gain = found.discounted_return - logged.discounted_return
        words = (
            f"In the simulator the policy that acts returns {found.discounted_return:.2f} (discount "
            f"{found.discount:g}), {gain:+.2f} against the logged {logged.discounted_return:.2f}."
        )
        if name is not None and columns.window_steps(name) is not None:
            words += (
                " The score credits a few steps only and starts from all logged states: its sign is to be compared."
            )
        yield words


def _near(path: Path) -> Path:
    """A path as it is written from the present folder, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
