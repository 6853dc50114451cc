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
from launcher.base.units import duration, with_error
from launcher.cli.estimates import interval, number
from launcher.reports.evaluations import Evaluation

WIDTH = 79
# What to look at first, of what lies on this computer.
SHOWN_FILES = ("curves", "an episode")


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
        beside: the policy that SDR and WIS score, as Intel Coach did; it stands beside the one that is served.
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
        folder: of what lies on this computer.
        files: what lies there, by what it is.
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
    folder: Path
    files: dict[str, Path]
    objects: dict[str, str]
    seconds: float

    def lines(self) -> Iterator[str]:
        """The report for people, at most 79 characters a line but for names and paths."""
        yield f"Report ({duration(self.seconds)})"
        yield from self._findings()
        yield from self._meaning()
        yield from self._next()

    def _findings(self) -> Iterator[str]:
        logged, chosen, found, row = self.logged, self.selection, self.evaluation, self.selection.row
        mean = with_error(logged.mean_return, logged.standard_error)
        ends = f"{found.min_return:g} to {found.max_return:g}"
        yield f"  Logged policy   {mean} mean return, {logged.episodes} episodes"
        yield f"  Chosen policy   {found.mean} mean return, {found.episodes} episodes, {ends}"
        yield f"  Chosen epoch    {chosen.epoch} of {chosen.epochs}, from the log alone"
        score = f"{chosen.score.name or 'Score':<15} {chosen.score.shown}: {chosen.score.evidence}"
        yield from _filled(score, "    ", 16)
        yield f"    SDR [95 %]      {interval(row, columns.SDR, 2)}"
        yield f"    WIS [95 %]      {interval(row, columns.WIS, 2)}"
        effective, used = row.get(columns.WIS_ESS), row.get(columns.OPE_EPISODES)
        of_them = f"{number(effective, 1)} of {number(used, 0)} episodes are effective"
        if effective is None or effective < LEAST_EFFECTIVE:
            of_them += ", not to be relied on"
        yield from _filled(f"both of {chosen.beside}: {of_them}", "    ")

    def _meaning(self) -> Iterator[str]:
        """What the score estimates, what stands against it, and the truth in the same estimand."""
        score, found = self.selection.score, self.evaluation
        if score.name is None:
            yield from _filled(f"Nothing could be scored: {score.doubt}.")
        else:
            episodes = f"{score.episodes} episodes that neither training nor the choice saw"
            if not score.unseen:
                episodes = f"the {score.episodes} episodes that chose the epoch, which flatters it"
            said = f"{score.name}: {score.meaning}; {score.confidence:.0%} interval, nominally, from {episodes}."
            doubt = "" if score.doubt is None else f" It is not to be relied on: {score.doubt}."
            yield from _filled(said + doubt)
        if found.discounted_return is not None and found.discount is not None:
            truth = (
                f"In the simulator the policy returns {found.discounted_return:.2f} with this discount, "
                f"the logging policy {self.logged.discounted_return:.2f}"
            )
            if score.name is not None and columns.window_steps(score.name) is not None:
                truth += "; the score credits a few steps only: compare its sign"
            truth += "."
            yield from _filled(truth)

    def _next(self) -> Iterator[str]:
        shown = [self.files[what] for what in SHOWN_FILES if what in self.files]
        yield f"Files in {_near(self.folder)}: {', '.join(str(path.relative_to(self.folder)) for path in shown)}"
        yield "Next:"
        if shutil.which("batchrl") is None:
            yield f"  . {_near(Path(sys.executable).parent / 'activate')}"
        data = _near(self.files["logged data"])
        yield f"  batchrl metrics {self.training_job}  # every epoch"
        yield f"  batchrl show {self.training_job}  # why this epoch"
        yield f"  batchrl logs {self.training_job}  # what is estimated"
        yield f"  batchrl ope {data} --model {self.training_job}"
        yield f"  batchrl train --training {data} --preset cartpole-iql"


def _filled(text: str, indent: str = "  ", hanging: int = 0) -> list[str]:
    """A paragraph below a heading; its further lines are indented by so much more."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + " " * hanging, break_on_hyphens=False
    )


def _near(path: Path) -> Path:
    """A path as it is written from the present folder, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
