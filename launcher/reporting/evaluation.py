"""The report of an evaluation job: what a policy earned in a simulator, and where both come from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import user_values
from launcher.documents.model import Block, Column, Document, Fact, Facts, Paragraph, Section, Table
from launcher.reporting.files import Json
from launcher.reporting.lineage import channels, machine, times
from launcher.reporting.words import clause, moment, plain

if TYPE_CHECKING:
    from launcher.jobs.status import JobStatus
    from launcher.jobs.training import Job
    from launcher.reports.evaluations import Evaluation


def read_evaluated(job: Job) -> Evaluation | None:
    """What the job found; None where it has no output, as before its end.

    Raises:
        DamagedContent: its output holds no evaluation.
        Unreachable: the store does not answer.
    """
    from launcher.reports.evaluations import read_evaluation

    if job.status().status != "Completed":
        return None
    try:
        return read_evaluation(job)
    except InputError:
        return None


def evaluation_document(
    name: str, described: Json, status: JobStatus, found: Evaluation | None, at: datetime | None = None
) -> Document:
    """The report.

    Args:
        name: of the job.
        described: the answer of the API's Describe operation.
        status: its state.
        found: what it found; None where it has not ended well.
        at: the moment that it tells of; None for now.
    """
    policy: Json = {} if found is None else found.policy
    figures = ()
    if found is not None:
        figures = (
            Fact("Mean return", found.mean, "not discounted"),
            Fact("Range", f"{found.min_return:g} to {found.max_return:g}", "of an episode"),
            Fact("Episodes", plain(found.episodes), f"{plain(found.steps)} steps"),
            *(
                (Fact("Discounted", found.discounted_mean, f"by {found.discount:g} a step"),)
                if found.discounted_return is not None
                else ()
            ),
        )
    return Document(
        title=f"Evaluation report: {name}",
        subtitle=f"A policy that played in a simulator. As of {moment(at or datetime.now(UTC))}.",
        verdict=_verdict(status, found),
        figures=figures,
        sections=(
            Section("policy", "The policy", tuple(_policy(policy))),
            Section("lineage", "Lineage", tuple(_lineage(name, described))),
        ),
    )


def _verdict(status: JobStatus, found: Evaluation | None) -> Paragraph:
    if found is not None:
        where = f"the simulator {found.env}" if found.env else "a simulator"
        return Paragraph(f"In {where} the policy returns {found.mean} over {found.episodes} episodes.")
    if status.status == "Failed":
        return Paragraph(f"The job failed: {clause(status.failure_reason or 'no reason was given')}", "bad")
    if status.ended:
        return Paragraph(f"The job ended ({status}) and left no result.", "bad")
    return Paragraph(f"The job still runs ({status}): what the policy returns is not known yet.", "doubt")


def _policy(policy: Json) -> Iterator[Block]:
    if not policy:
        yield Paragraph("The job's output does not say which policy played, or there is none yet.")
        return
    wanted = {
        "job_name": "Trained by the job",
        "epoch": "Epoch",
        "algorithm": "Algorithm",
        "target_policy": "It acts as",
        "preset": "Preset of the training",
        "data_sha256": "sha256 of the data that it learnt from",
    }
    yield Facts(tuple(Fact(label, _text(policy[key])) for key, label in wanted.items() if policy.get(key) is not None))
    yield Paragraph(
        "A simulator is as good as it resembles what it stands for. What the log says of the policy, its training "
        "job's report tells."
    )


def _lineage(name: str, described: Json) -> Iterator[Block]:
    inputs = (Fact(f"Data of the channel '{channel}'", uri) for channel, uri in channels(described).items())
    yield Facts(
        (Fact("Job", name, described.get("TrainingJobArn", "")), *inputs, *machine(described), *times(described))
    )
    settings = user_values(described.get("HyperParameters", {}))
    if settings:
        rows = tuple((key, _text(value)) for key, value in settings.items())
        yield Table("Settings", (Column("Key"), Column("Value")), rows)


def _text(value: Any) -> str:
    return plain(value) if isinstance(value, float) else str(value)
