"""Training jobs beside each other: one column of their estimates on one chart, and what each came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.interval import Interval, in_digits
from launcher.base.units import LEAST_DECIMALS
from launcher.console.overlay import overlaid
from launcher.console.pages import Page, pace
from launcher.console.remembered import estimate_columns, has_values
from launcher.documents.model import Column, Table
from launcher.jobs.training import Job
from launcher.reporting.choice import epoch_curve, metric_of
from launcher.reporting.files import TrainingFiles, read_training
from launcher.reporting.words import plain
from launcher.session.session import Session

MOST = 8


@dataclass(frozen=True)
class _Left:
    """A job that cannot be compared, and why."""

    name: str
    why: str


def comparison_page(session: Session, names: Sequence[str], metric: str) -> Page:
    """The page.

    Args:
        session: the cloud.
        names: of training jobs; of more than ``MOST`` the first ones.
        metric: the column of estimates; empty for the score that chose in most of the jobs.

    Raises:
        InputError: no job is named.
        Unreachable: the cloud does not answer.
    """
    wanted = list(dict.fromkeys(names))
    if not wanted:
        raise InputError("no job is named.", "Tick training jobs in the list, then compare them.")
    left = [_Left(name, f"only {MOST} jobs are compared at a time") for name in wanted[MOST:]]
    files: list[TrainingFiles] = []
    for name in wanted[:MOST]:
        try:
            found = _files(session, name)
        except (InputError, DamagedContent) as error:
            left.append(_Left(name, error.message))
            continue
        files.append(found)
    choices = _metrics(files)
    chosen = metric if metric in choices else (choices[0] if choices else "")
    drawn = [one for one in files if chosen and has_values(one, chosen)]
    curves = [(one.name, epoch_curve(one, chosen)) for one in drawn]
    values: dict[str, Any] = {
        "names": wanted[:MOST],
        "metric": chosen,
        "metrics": choices,
        "overlay": overlaid(f"{chosen} by epoch", curves) if curves else None,
        "without": [one.name for one in files if chosen and one not in drawn],
        "table": _table(files),
        "left": left,
        "remarks": _remarks(files),
    }
    runs = any(not one.status.ended for one in files)
    return Page("Comparison", "compare.html.j2", values, pace(session.is_local) if runs else None)


def _files(session: Session, name: str) -> TrainingFiles:
    job = Job(name, session)
    answer = job.find()
    if answer is None:
        raise InputError("there is no training job of this name")
    files = read_training(job, answer)
    if not files.epochs:
        raise InputError("it has no epoch with estimates (yet)")
    return files


def _metrics(files: Sequence[TrainingFiles]) -> list[str]:
    """The columns that may be drawn, that which chose most often first; none without a value."""
    scores = [metric_of(one) for one in files]
    found = sorted(set(scores), key=lambda name: (-scores.count(name), name))
    found += [name for one in files for name in estimate_columns(one)]
    return [name for name in dict.fromkeys(found) if any(has_values(one, name) for one in files)]


def _table(files: Sequence[TrainingFiles]) -> Table | None:
    if not files:
        return None
    rows = tuple(_row(one) for one in files)
    names = ("Job", "State", "Preset", "Chosen epoch", "Score that chose", "Final figure [interval]")
    headings = tuple(Column(name, right=at > 2) for at, name in enumerate(names))
    return Table("What each came to", headings, rows)


def _row(files: TrainingFiles) -> tuple[str, ...]:
    best, score = files.best or {}, files.score
    final = "not known yet" if not files.status.ended else "-"
    if score is not None:
        doubt = "" if score["doubt"] is None else ", doubted"
        final = in_digits(score["value"], Interval.of(score), LEAST_DECIMALS, "+") + f", {score['metric']}{doubt}"
    chosen = f"{best['epoch']} of {len(files.epochs)}" if best else "-"
    chose = f"{plain(best.get('value'))}, {best.get('metric')}" if best else "-"
    preset = str((files.preset or {}).get("name", "-"))
    return files.name, str(files.status.status), preset, chosen, chose, final


def _remarks(files: Sequence[TrainingFiles]) -> list[str]:
    """What must be known to read such a chart, in words."""
    found = []
    digests = {(one.summary or {}).get("data_sha256") or (one.data or {}).get("sha256") for one in files} - {None}
    if len(digests) > 1:
        found.append("The jobs learnt from different data: their estimates are of different episodes.")
    if len({metric_of(one) for one in files}) > 1:
        found.append("They were chosen by different scores, which are not comparable with each other.")
    if len(files) > 1:
        found.append(
            "Intervals that overlap tell no order. Scored on the same episodes, with paired differences, they are by "
            "the command `batchrl compare` and its option --data."
        )
    return found
