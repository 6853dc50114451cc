"""The report of a closed loop: which policy acts now, how each round was decided, and what every round rests on."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from launcher.documents.model import (
    Bar,
    Block,
    Column,
    Command,
    Document,
    Fact,
    Facts,
    Intervals,
    Paragraph,
    Picture,
    Section,
    Table,
    Tone,
)
from launcher.iterate.gate import alpha_spent
from launcher.iterate.report import CANNOT_TELL, LoopReport, interval, with_error
from launcher.iterate.step_files import PROMOTED, Round
from launcher.reporting.words import moment, plain, sentence

LOOKS = {"log": "by the log", "canary": "by a canary"}


def loop_document(report: LoopReport, at: datetime | None = None) -> Document:
    """The report.

    Args:
        report: of the loop.
        at: the moment that it tells of; None for now.
    """
    rounds = report.rounds
    return Document(
        title=f"Loop report: {report.settings.name}",
        subtitle=f"Rounds of collecting, training and a gate. As of {moment(at or datetime.now(UTC))}.",
        verdict=_verdict(report),
        figures=tuple(_figures(report)),
        sections=(
            Section("log", "What was logged, and by whom", tuple(_logged(rounds))),
            Section("candidates", "The candidates", tuple(_candidates(rounds))),
            Section("gate", "The gate", tuple(_gate(report))),
            Section("lineage", "Lineage", tuple(_lineage(report))),
            Section("repeat", "Going on, and doing it again", tuple(_repeat(report))),
        ),
    )


def _verdict(report: LoopReport) -> Paragraph:
    if not report.rounds:
        step = "" if report.step is None else f", round 1 is at {report.step}"
        return Paragraph(f"No round is done yet{step}: the policy '{report.acting}' acts.", "doubt")
    promoted = [record.number for record in report.rounds if record.decision.promoted]
    done = f"{len(report.rounds)} of {report.planned} rounds are done"
    if not promoted:
        return Paragraph(f"{done}. No candidate was promoted: {report.acting} acts, as at the beginning.", "doubt")
    last = report.rounds[promoted[-1] - 1]
    return Paragraph(f"{done}. {report.acting.capitalize()} acts now. {sentence(last.decision.reason)}", "good")


def _figures(report: LoopReport) -> Iterator[Fact]:
    rounds, gate = report.rounds, report.settings.preset.gate
    yield Fact("Rounds", f"{len(rounds)} of {report.planned}")
    if not rounds:
        return
    yield Fact("Promoted", str(sum(record.decision.promoted for record in rounds)))
    first, last = rounds[0].collected.everything, rounds[-1].collected.everything
    yield Fact(
        "Return in the first round", with_error(first.mean_return, first.standard_error), rounds[0].collected.policy
    )
    yield Fact(
        "Return in the last round", with_error(last.mean_return, last.standard_error), rounds[-1].collected.policy
    )
    spent = alpha_spent(rounds, gate.undecided == "canary")
    yield Fact("Chance of a false promotion", f"at most {max(spent, gate.alpha):.3g}", "over all rounds")


def _logged(rounds: Sequence[Round]) -> Iterator[Block]:
    if not rounds:
        yield Paragraph("No episodes of a whole round are there yet.")
        return
    rows = []
    for record in rounds:
        found, held = record.collected.everything, record.collected.held_out
        rows.append(
            (
                str(record.number),
                record.collected.policy,
                plain(found.episodes),
                plain(found.transitions),
                "-" if held is None else plain(held.episodes),
                with_error(found.mean_return, found.standard_error),
            )
        )
    yield Table(
        "Episodes of each round",
        (
            Column("Round", right=True),
            Column("Logged by"),
            *(Column(title, right=True) for title in ("Episodes", "Rows", "Held out", "Return +- s.e.")),
        ),
        tuple(rows),
        "Returns are not discounted. Episodes that are held out train nothing before the gate has looked at them.",
    )
    one = rounds[0].collected
    yield Paragraph(f"A state has {one.features} features, and there are {one.actions} actions.")


def _candidates(rounds: Sequence[Round]) -> Iterator[Block]:
    if not rounds:
        yield Paragraph("No candidate was trained in a whole round yet.")
        return
    yield Table(
        "",
        (
            Column("Round", right=True),
            Column("Job"),
            Column("Epoch"),
            Column("Why this epoch"),
            Column("In the simulator", right=True),
        ),
        tuple(
            (
                str(record.number),
                record.trained.job,
                f"{record.trained.epoch} of {record.trained.epochs}",
                sentence(record.trained.reason),
                with_error(record.evaluated.mean_return, record.evaluated.standard_error),
            )
            for record in rounds
        ),
        "Each epoch was chosen from the log alone. A simulator, where there is one, decides nothing. "
        "'batchrl report JOB' tells all of a candidate.",
    )


def _gate(report: LoopReport) -> Iterator[Block]:
    rounds = report.rounds
    if not rounds:
        yield Paragraph("The gate has decided nothing yet.")
        return
    yield Intervals(
        "Candidate against the policy in place, by every look",
        "Difference in discounted return",
        tuple(_bar(record, look) for record in rounds for look in record.decision.looks),
        0.0,
        "no difference",
    )
    for record in rounds:
        tone: Tone = "good" if record.decision.outcome == PROMOTED else "plain"
        yield Paragraph(f"Round {record.number}. {sentence(record.decision.reason)}", tone)
    alpha = report.settings.preset.gate.alpha
    yield Paragraph(
        f"A candidate is promoted where the lower bound of its difference is above 0. Each look has its share of "
        f"{alpha:g}, so that over all rounds the chance of promoting a policy that is no better is held."
    )
    if report.folder.picture.is_file():
        content = base64.b64encode(report.folder.picture.read_bytes()).decode()
        yield Picture("Returns and decisions by round", "image/png", content)


def _bar(record: Round, look: Mapping[str, Any]) -> Bar:
    found, doubt = look["difference"], look["doubt"]
    label = f"Round {record.number}, {LOOKS.get(look['look'], str(look['look']))}: {look['outcome']}"
    shown = interval(found) if doubt is None else CANNOT_TELL
    note = "" if doubt is None else sentence(str(doubt))
    return Bar(label, shown, found["value"], found["lower"], found["upper"], doubt is None, note)


def _lineage(report: LoopReport) -> Iterator[Block]:
    settings = report.settings
    yield Facts(
        (
            Fact("Loop", settings.name, f"its jobs begin with {settings.jobs_name}"),
            Fact("Folder", str(report.folder.root)),
            Fact("Preset", settings.preset.name),
            Fact("Seed", plain(settings.preset.seed)),
            Fact("Training", settings.train.name, f"{settings.train.agent.algorithm}, {settings.train.epochs} epochs"),
            *(() if settings.data is None else (Fact("Data", settings.data, f"sha256 {settings.data_sha256}"),)),
            Fact("Runs on", str(settings.jobs.instance_type)),
        )
    )
    if report.rounds:
        yield Table(
            "Jobs and models",
            (Column("Round", right=True), Column("Training job"), Column("Model"), Column("Evaluation job")),
            tuple(
                (str(record.number), record.trained.job, record.trained.model_uri, record.evaluated.job or "-")
                for record in report.rounds
            ),
        )
    values = settings.preset.model_dump(mode="json")
    rows = tuple(
        (f"{section}.{key}" if isinstance(found, Mapping) else section, json.dumps(value))
        for section, found in values.items()
        for key, value in (found.items() if isinstance(found, Mapping) else (("", found),))
    )
    yield Table("Every setting of the loop", (Column("Key"), Column("Value")), rows)


def _repeat(report: LoopReport) -> Iterator[Block]:
    folder, kept = str(report.folder.root), report.folder.root / "loop.json"
    yield Command(shlex.join(["batchrl", "iterate", "--output", folder, "--rounds", str(report.planned)]))
    yield Paragraph(
        f"It goes on where the loop stands, and changes nothing where all rounds are done. {kept} holds what the loop "
        "is; a loop of the same preset, seed and data in another folder has the same episodes, models and decisions."
    )
    if report.in_place:
        yield Command(shlex.join(["batchrl", "report", report.rounds[report.in_place - 1].trained.job]))
        yield Paragraph("tells all of the policy that acts now.")
