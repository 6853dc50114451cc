"""What training runs say of themselves, side by side: the chosen epoch, its score, and the figures at the end.

A run is a job, or a folder on this computer that holds its checkpoints (and its ``output/data``, where it has ended).
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract import columns, jsontext
from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.evidence import LEAST_EFFECTIVE, Evidence
from batchrl.contract.interval import Interval
from batchrl.contract.layout import BEST_NAME, S3Url
from batchrl.contract.paths import RESOLVED_PRESET_NAME, TRAINING_INPUTS_NAME, TRAINING_SUMMARY_NAME
from batchrl.contract.published import find_published

if TYPE_CHECKING:
    from launcher.jobs.training import Job


@dataclass(frozen=True)
class Score:
    """A figure with its interval; None where undefined.

    Args:
        metric: what it is; a column of the csv of estimates.
        value: the figure.
        lower, upper: ends of its interval.
        effective: effective number of what it was averaged over.
    """

    metric: str | None
    value: float | None
    lower: float | None = None
    upper: float | None = None
    effective: float | None = None

    @property
    def interval(self) -> Interval:
        """The interval alone."""
        return Interval(self.lower, self.upper)


@dataclass(frozen=True)
class Run:
    """One training run.

    Args:
        name: of the job, or the path.
        preset: its name.
        algorithm: of the agent.
        discount: of the agent.
        data_sha256: digest of what it was trained on; None where it is not known.
        epoch: the chosen one.
        epochs: how many there were to choose from.
        reason: why this one, in words.
        score: by which it was chosen.
        final: the figure at the end, on episodes that did not choose it where there are; None before the end.
        final_of: ``test`` or ``evaluation`` episodes.
        doubt: why the figure to compare by is not to be relied on, in words.
        meaning: what ``final`` estimates, in words.
        mean_return: of evaluation jobs in a simulator, undiscounted; None where there is none.
        return_error: its standard error.
    """

    name: str
    preset: str | None
    algorithm: str | None
    discount: float | None
    data_sha256: str | None
    epoch: int
    epochs: int
    reason: str
    score: Score
    final: Score | None = None
    final_of: str | None = None
    doubt: str | None = None
    meaning: str | None = None
    mean_return: float | None = None
    return_error: float | None = None

    @property
    def shown(self) -> Score:
        """The figure to compare by: that at the end, where it is there."""
        return self.final if self.final is not None and self.final.value is not None else self.score

    @property
    def reliable(self) -> bool:
        """Whether nothing speaks against that figure."""
        return self.doubt is None and self.shown.value is not None and self.shown.lower is not None


@dataclass(frozen=True)
class Files:
    """The contents of a run's files; None where one is missing."""

    best: bytes | None = None
    table: bytes | None = None
    preset: bytes | None = None
    summary: bytes | None = None
    inputs: bytes | None = None


def files_of_job(job: Job) -> Files:
    """What a job has published; it may still run.

    Raises:
        DamagedContent: something could not be read whole.
        Unreachable: cloud or store does not answer.
    """
    place = S3Url.parse(job.checkpoint_uri.rstrip("/"))
    s3 = job.session.s3
    names = (BEST_NAME, RESOLVED_PRESET_NAME, TRAINING_INPUTS_NAME)
    with job.session.reported(f"reading the results of {job.name}", s3), ThreadPoolExecutor(len(names)) as threads:
        best, preset, inputs = threads.map(lambda name: find_published(s3, place, name), names)
        # After the pointer: the table has the row that it names.
        table = find_published(s3, place, columns.INTERMEDIATE_CSV)
    with tempfile.TemporaryDirectory(prefix="batchrl-") as folder:
        try:
            job.pull(folder, what="output", unpack=True)
        except InputError:  # it has not ended
            return Files(best, table, preset, None, inputs)
        data = Path(folder) / "output" / "data"
        return Files(best, table, preset, _content(data / TRAINING_SUMMARY_NAME), inputs)


def files_of_folder(path: Path) -> Files:
    """The same of a folder: of checkpoints, or one with ``checkpoints`` and ``output/data`` in it."""
    checkpoints = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    return Files(
        best=_content(checkpoints / BEST_NAME),
        table=_content(checkpoints / columns.INTERMEDIATE_CSV),
        preset=_content(checkpoints / RESOLVED_PRESET_NAME),
        summary=_content(checkpoints.parent / "output" / "data" / TRAINING_SUMMARY_NAME),
        inputs=_content(checkpoints / TRAINING_INPUTS_NAME),
    )


def read_run(name: str, files: Files) -> Run:
    """What the files say of a run.

    Raises:
        InputError: it has no chosen epoch.
        DamagedContent: a file does not hold what it should.
    """
    if files.best is None or files.table is None:
        raise InputError(
            f"{name}: there is no chosen epoch to compare.", "Only training runs have one, after their first epoch."
        )
    try:
        best = jsontext.parsed(files.best)
        rows = list(csv.DictReader(io.StringIO(files.table.decode())))
        preset = jsontext.parsed(files.preset) if files.preset is not None else {}
        summary = jsontext.parsed(files.summary) if files.summary is not None else {}
        row = next(row for row in rows if float(row[columns.EPOCH]) == best["epoch"])
        agent, end = preset.get("agent", {}), summary.get("estimates", {})
        score, final = _score(best["metric"], row), end.get("score")
        return Run(
            name=name,
            preset=preset.get("name"),
            algorithm=agent.get("algorithm"),
            discount=agent.get("discount"),
            data_sha256=summary.get("data_sha256"),
            epoch=best["epoch"],
            epochs=len(rows),
            reason=best["reason"],
            score=score,
            final=_final(final),
            final_of=end.get("episodes_of"),
            doubt=_doubt(best, score, row) if final is None else final.get("doubt"),
            meaning=None if final is None else final.get("meaning"),
        )
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
        raise DamagedContent(f"{name}: its results cannot be read: {error!r}.") from error


def sort_key(run: Run) -> tuple[bool, str, float]:
    """What may be relied on first; then by what was measured, the higher figure before the lower."""
    shown = run.shown
    return not run.reliable, shown.metric or "", -(shown.value if shown.value is not None else 0.0)


def remarks(runs: list[Run]) -> list[str]:
    """What must be known to read such a table, in words."""
    found = []
    metrics = {run.shown.metric for run in runs}
    if len(metrics) > 1:
        found.append("Scores of different kinds are not comparable with each other.")
    if any(metric is not None and columns.window_steps(metric) is not None for metric in metrics):
        found.append("A window score says what some steps of a policy change; it favours policies that look one ahead.")
    if len({run.data_sha256 for run in runs if run.data_sha256 is not None}) > 1:
        found.append("The runs had different data.")
    first, *others = runs
    if unresolved := [run.name for run in others if _overlap(first, run)]:
        found.append(f"Intervals overlap, so that no order follows: {first.name} and {', '.join(unresolved)}.")
    if any(run.final_of == "evaluation" for run in runs):
        found.append("Figures of evaluation episodes, which chose the epoch, are optimistic.")
    found.append("--data DATA scores all of them on the same episodes, with paired differences.")
    return found


def _overlap(first: Run, other: Run) -> bool:
    one, two = first.shown, other.shown
    return one.metric == two.metric and one.interval.overlaps(two.interval)


def _score(metric: str | None, row: Mapping[str, str]) -> Score:
    if metric is None:
        return Score(None, None)
    base = next((name for name in columns.RETURNS if metric == columns.lower(name)), metric)
    steps = columns.window_steps(base)
    if steps is not None:
        effective = columns.window_ess(steps)
    else:
        effective = columns.WIS_ESS if base in columns.ESTIMATES else columns.PAIRED_ESS
    cells = (base, columns.lower(base), columns.upper(base), effective)
    return Score(base, *(_number(row.get(name)) for name in cells))


def _doubt(best: Mapping[str, Any], score: Score, row: Mapping[str, str]) -> str | None:
    """Why the score that chose is not to be relied on, in words; None where nothing speaks against it."""
    if best["value"] is None:
        return str(best["reason"])
    episodes = _number(row.get(columns.OPE_EPISODES))
    if score.metric is None or columns.window_steps(score.metric) is not None or episodes is None:
        return None
    if (effective := score.effective or 0.0) < LEAST_EFFECTIVE:
        return f"{effective:.1f} effective episodes, fewer than {LEAST_EFFECTIVE:g}"
    if score.metric != columns.PAIRED:
        return None
    numbers = {name: row.get(name) for name in columns.OWN_COLUMNS if name != columns.CHECKPOINT}
    return Evidence.of_paired_score({name: float(text) for name, text in numbers.items() if text}).doubt


def _final(score: Mapping[str, Any] | None) -> Score | None:
    if score is None:
        return None
    return Score(score["metric"], score["value"], score["lower"], score["upper"])


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
