"""The sections about the candidates and the choice among them: epochs, target policies, and which epoch why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from batchrl.contract import columns
from batchrl.contract.evidence import LEAST_EFFECTIVE, doubt_of_score
from batchrl.contract.interval import Interval, in_digits
from launcher.base.units import LEAST_DECIMALS
from launcher.documents.model import Block, Column, Curve, Fact, Facts, Paragraph, Point, Section, Table
from launcher.reporting.files import Cells, TrainingFiles, number
from launcher.reporting.words import clause, plain

MOST_ROWS = 24
NO_EPOCH = "No epoch is done yet: there is nothing to choose from."


def candidates_section(files: TrainingFiles) -> Section:
    """Every epoch with the score that compares it."""
    return Section("candidates", "The candidates", tuple(_candidates(files)))


def choice_section(files: TrainingFiles) -> Section:
    """Which epoch, why, and from which episodes."""
    return Section("choice", "The choice", tuple(_choice(files)))


def metric_of(files: TrainingFiles) -> str:
    """The column that compares the epochs; where a lower end is compared, its estimate."""
    chosen = files.best["metric"] if files.best is not None else columns.PAIRED
    return next((name for name in columns.RETURNS if chosen == columns.lower(name)), str(chosen))


def effective_column(metric: str) -> str:
    """The column with the effective number of episodes or windows behind a score."""
    if (steps := columns.window_steps(metric)) is not None:
        return columns.window_ess(steps)
    return columns.WIS_ESS if metric in columns.ESTIMATES else columns.PAIRED_ESS


def meaning_of(files: TrainingFiles, metric: str) -> str:
    """What the score of an epoch is, in words."""
    if (steps := columns.window_steps(metric)) is not None:
        return (
            f"The score is what {steps} step{'s' if steps > 1 else ''} of a policy are worth against the logging "
            "policy, which decides everything after them: not what the policy gains over a whole episode."
        )
    if metric == columns.PAIRED:
        return f"The score is the estimated gain in {files.outcome} over the logging policy, on the same {files.unit}."
    return f"The score is the estimated {files.outcome}."


def _candidates(files: TrainingFiles) -> Iterator[Block]:
    if not files.epochs:
        yield Paragraph(NO_EPOCH)
        return
    preset = files.preset or {}
    agent = preset.get("agent", {})
    metric = metric_of(files)
    planned = preset.get("epochs")
    done = f"{len(files.epochs)} epochs" + (f" of {planned}" if planned not in (None, len(files.epochs)) else "")
    yield Paragraph(
        f"Each epoch of the training is a candidate: {done} of the algorithm {agent.get('algorithm', '(not known)')}. "
        f"{meaning_of(files, metric)}"
    )
    yield epoch_curve(files, metric)
    yield _table(files, metric)
    if (summary := files.summary) is not None:
        beside = summary["beside"]
        same = beside == summary["target_policy"]
        yield Paragraph(
            f"The policy of an epoch acts as its target policy says: {summary['target_policy']}."
            + ("" if same else f" Beside it, for comparison, '{beside}' is estimated; it is not what is served.")
        )


def epoch_curve(files: TrainingFiles, metric: str) -> Curve:
    """A column of estimates along the epochs, with its intervals, and the chosen epoch marked.

    Args:
        files: of a job with an epoch at least.
        metric: the column.
    """
    return Curve(
        f"{metric} by epoch",
        f"{metric}, with its interval",
        "Epoch",
        tuple(_point(files, row, metric) for row in files.epochs),
        marked=None if files.best is None else float(files.best["epoch"]),
        marked_label="" if files.best is None else f"chosen: epoch {files.best['epoch']}",
        reference=None if metric in columns.RETURNS else 0.0,
    )


def _point(files: TrainingFiles, row: Cells, metric: str) -> Point:
    ends = (number(row, name) for name in (metric, columns.lower(metric), columns.upper(metric)))
    value, lower, upper = ends
    return Point(float(row[columns.EPOCH]), value, lower, upper, _is_faint(files, row, metric))


def _is_faint(files: TrainingFiles, row: Cells, metric: str) -> bool:
    """Whether something speaks against an epoch's score, or its values were rejected."""
    if number(row, columns.VALUES_POSSIBLE) == 0:
        return True
    if metric in columns.RETURNS:
        effective = number(row, effective_column(metric))
        return effective is None or effective < LEAST_EFFECTIVE
    known = {name: value for name, cell in row.items() if (value := _as_number(cell)) is not None}
    floor = (files.preset or {}).get("selection", {}).get("window_ess_floor", LEAST_EFFECTIVE)
    return doubt_of_score(known, metric, floor) is not None


def _as_number(text: str | None) -> float | None:
    """None also for a cell that holds a name."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _table(files: TrainingFiles, metric: str) -> Table:
    chosen = None if files.best is None else files.best["epoch"]
    rows = _shown(files.epochs, metric, chosen)
    cells = tuple(_row(row, metric, chosen) for row in rows)
    few = len(rows) < len(files.epochs)
    return Table(
        "Epochs",
        (
            Column("Epoch", right=True),
            Column(f"{metric} [interval]", right=True),
            Column(f"Effective {'windows' if columns.window_steps(metric) else files.unit}", right=True),
            Column("Remark"),
        ),
        cells,
        f"The {len(rows)} of {len(files.epochs)} epochs with the highest score, and the chosen and the last one."
        if few
        else "",
        tuple(at for at, row in enumerate(rows) if int(float(row[columns.EPOCH])) == chosen),
    )


def _shown(rows: Sequence[Cells], metric: str, chosen: Any) -> list[Cells]:
    """All rows, or as many as a reader looks at: the best ones, the chosen and the last, in their order."""
    if len(rows) <= MOST_ROWS:
        return list(rows)
    scored = [row for row in rows if number(row, metric) is not None]
    best = sorted(scored, key=lambda row: number(row, metric) or 0.0, reverse=True)[: MOST_ROWS - 2]
    kept = {row[columns.EPOCH] for row in (*best, rows[-1])}
    return [row for row in rows if row[columns.EPOCH] in kept or int(float(row[columns.EPOCH])) == chosen]


def _row(row: Cells, metric: str, chosen: Any) -> tuple[str, ...]:
    epoch = int(float(row[columns.EPOCH]))
    interval = Interval(number(row, columns.lower(metric)), number(row, columns.upper(metric)))
    effective = number(row, effective_column(metric))
    remarks = []
    if epoch == chosen:
        remarks.append("chosen")
    if number(row, columns.VALUES_POSSIBLE) == 0:
        remarks.append("rejected: the log rules its values out")
    return (
        str(epoch),
        in_digits(number(row, metric), interval, LEAST_DECIMALS),
        "-" if effective is None else f"{effective:,.1f}",
        ", ".join(remarks),
    )


def _choice(files: TrainingFiles) -> Iterator[Block]:
    if (best := files.best) is None:
        yield Paragraph(NO_EPOCH)
        return
    so_far = "" if files.ended_well else ", so far"
    yield Paragraph(f"Epoch {best['epoch']} of {len(files.epochs)} was chosen{so_far}: {clause(best['reason'])}")
    yield Paragraph(
        f"It was chosen from the log alone, on {files.unit} that no training saw; no simulator and no live "
        "system took part."
    )
    rule = (files.preset or {}).get("selection", {}).get("rule")
    facts = [] if rule is None else [Fact("Rule", str(rule).replace("_", " "), "selection.rule of the settings")]
    if (summary := files.summary) is not None:
        split = summary["split"]
        facts += [
            Fact(f"{files.unit.capitalize()} that train", plain(split["train_episodes"])),
            Fact(f"{files.unit.capitalize()} that choose", plain(split["evaluation_episodes"])),
            Fact(
                f"{files.unit.capitalize()} kept for the final figure",
                plain(split["test_episodes"]),
                "" if split["test_episodes"] else "none: the final figure is of those that chose, and optimistic",
            ),
        ]
    if facts:
        yield Facts(tuple(facts))
