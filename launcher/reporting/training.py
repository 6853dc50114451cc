"""The report of a training job: the verdict, the figures that matter most, and every section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from batchrl.contract import columns
from batchrl.contract.errors import DamagedContent
from batchrl.contract.hyperparameters import user_values
from launcher.base.product import TRAIN_SCRIPT
from launcher.documents.model import Block, Column, Document, Fact, Facts, Paragraph, Section, Table
from launcher.jobs.kinds import program_in
from launcher.reporting.canary import canary_section
from launcher.reporting.card import card_section, metadata
from launcher.reporting.choice import candidates_section, choice_section
from launcher.reporting.estimate import estimate_section
from launcher.reporting.files import TrainingFiles
from launcher.reporting.lineage import channels, lineage_section, machine, repeat_section, times
from launcher.reporting.logged import doubts_section, logged_section, untried_section
from launcher.reporting.words import clause, figure, moment, plain, with_error


def training_document(
    files: TrainingFiles, places: Mapping[str, str], intended_use: str | None = None, at: datetime | None = None
) -> Document:
    """The report.

    Args:
        files: of the job.
        places: where its results lie, by what they are.
        intended_use: what the policy is for, as its owner says.
        at: the moment that it tells of; None for now.

    Raises:
        DamagedContent: a file of the job lacks what such a job writes.
    """
    when = moment(at or datetime.now(UTC))
    if program_in(files.described) != TRAIN_SCRIPT:
        return _other(files, when)
    try:
        return Document(
            title=f"Policy report: {files.name}",
            subtitle=f"{_what(files)} As of {when}.",
            verdict=_verdict(files),
            figures=tuple(_figures(files)),
            sections=(
                logged_section(files),
                doubts_section(files),
                candidates_section(files),
                choice_section(files),
                estimate_section(files),
                untried_section(files),
                canary_section(files),
                card_section(files, intended_use),
                lineage_section(files, places),
                repeat_section(files),
            ),
            card=metadata(files),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DamagedContent(f"the results of '{files.name}' are not what a training job writes: {error!r}.") from error


def state_of(files: TrainingFiles) -> Paragraph | None:
    """What its state means for the reader, where it has not ended well; None where it has."""
    status = files.status
    if status.status == "Failed":
        reason = status.failure_reason or "no reason was given"
        return Paragraph(f"The job failed: {clause(reason)} What follows is what it had come to.", "bad")
    if not status.ended:
        done = f"epoch {len(files.epochs)} is the last one that is done" if files.epochs else "no epoch is done yet"
        return Paragraph(
            f"The job still runs ({status}): {done}. The final figures, and which epoch is shipped, are not known yet.",
            "doubt",
        )
    return None


def _what(files: TrainingFiles) -> str:
    agent = (files.preset or {}).get("agent", {})
    algorithm = f"by {agent['algorithm']} " if "algorithm" in agent else ""
    return f"A policy that was learnt {algorithm}from logged decisions, judged from the same log."


def _verdict(files: TrainingFiles) -> Paragraph:
    if (unfinished := state_of(files)) is not None:
        return unfinished
    if (score := files.score) is None:
        return Paragraph(
            f"The job ended ({files.status}) without final figures: nothing can be said of its policy.", "bad"
        )
    stopped = "The job was stopped before its last epoch. " if files.status.status == "Stopped" else ""
    if score["value"] is None:
        return Paragraph(
            f"{stopped}The log cannot judge this policy: {clause(score['doubt'] or 'no score is defined')}", "doubt"
        )
    shown = f"{figure(score, '+')} ({score['confidence']:.0%} interval)"
    what = _gain_words(files, score["metric"])
    if score["doubt"] is not None:
        return Paragraph(
            f"{stopped}No evidence: the log cannot tell whether this policy is better than the one that logged it. "
            f"Its figure, {what}, {shown}, is not to be relied on: {clause(score['doubt'])}",
            "doubt",
        )
    if score["lower"] is not None and score["lower"] > 0:
        return Paragraph(f"{stopped}By the log, this policy {_better(score['metric'])}: {what}, {shown}.", "good")
    if score["upper"] is not None and score["upper"] < 0:
        return Paragraph(
            f"{stopped}By the log, this policy is worse than the one that logged it: {what}, {shown}.", "bad"
        )
    return Paragraph(
        f"{stopped}No evidence that this policy is better than the one that logged it: {what}, {shown}.", "doubt"
    )


def _better(metric: str | None) -> str:
    """What a score above 0 says: one of windows speaks of the steps that it credits, and of no more."""
    if metric is None or (steps := columns.window_steps(metric)) is None:
        return "is better than the one that logged it"
    return f"decides better than the one that logged it, as far as {steps} step{'s' if steps > 1 else ''} can tell"


def _gain_words(files: TrainingFiles, metric: str | None) -> str:
    if metric is not None and (steps := columns.window_steps(metric)) is not None:
        return f"gain in discounted return from letting it decide {steps} step{'s' if steps > 1 else ''}"
    return f"gain in {files.outcome}" if metric == columns.PAIRED else str(metric)


def _figures(files: TrainingFiles) -> Iterator[Fact]:
    if (data := files.data) is not None:
        decisions = "" if files.of_decisions else f"{plain(data['transitions'])} decisions"
        yield Fact(f"Logged {files.unit}", plain(data["episodes"]), decisions)
        returns, what = data["returns"], "reward" if files.of_decisions else "return"
        yield Fact(f"Logged {what}", with_error(returns["mean"], returns["standard_error"]), "mean, not discounted")
    elif files.summary is not None:
        yield Fact("Logged episodes", plain(files.summary["episodes"]))
    if files.best is not None:
        yield Fact("Chosen epoch", f"{files.best['epoch']} of {len(files.epochs)}")
    score = files.score
    if score is not None and score["value"] is not None:
        note = f"{score['confidence']:.0%} interval, {score['metric']}"
        yield Fact(
            "Against the logging policy", figure(score, "+"), note + ("" if score["doubt"] is None else "; doubted")
        )
    if files.simulated is not None:
        yield Fact("In a simulator", files.simulated.found.mean, "mean return, not discounted")


def _other(files: TrainingFiles, when: str) -> Document:
    """A job of a script of the user's own: what the API says of it, and nothing of a policy."""
    settings = user_values(files.described.get("HyperParameters", {}))
    metrics = [(one["MetricName"], plain(one["Value"])) for one in files.described.get("FinalMetricDataList", ())]
    facts = (
        Fact("Job", files.name, files.described.get("TrainingJobArn", "")),
        Fact("Script", str(program_in(files.described) or "not named")),
        *(Fact(f"Data of the channel '{name}'", uri) for name, uri in channels(files.described).items()),
        *machine(files.described),
        *times(files.described),
    )
    blocks: list[Block] = [Facts(facts)]
    if settings:
        rows = tuple((key, str(value)) for key, value in settings.items())
        blocks.append(Table("Settings", (Column("Key"), Column("Value")), rows))
    if metrics:
        blocks.append(Table("Last metrics", (Column("Metric"), Column("Value", right=True)), tuple(metrics)))
    verdict = state_of(files) or Paragraph(
        f"The job ended ({files.status}). It ran a script of its own, which leaves no estimates that batchrl knows: "
        "nothing is said here of what it made."
    )
    return Document(
        title=f"Job report: {files.name}",
        subtitle=f"A job of the script {program_in(files.described)}. As of {when}.",
        verdict=verdict,
        figures=(),
        sections=(Section("lineage", "Lineage", tuple(blocks)),),
    )
