"""What became of a job, in words: one verdict, notes beside it, and how long each of its phases took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launcher.diagnosis.diagnosis import Diagnosis
from launcher.diagnosis.ends import cause
from launcher.diagnosis.facts import Facts, Phase
from launcher.diagnosis.running import state
from launcher.diagnosis.slowness import notes


@dataclass(frozen=True)
class Report:
    """All that ``batchrl doctor JOB`` says.

    Args:
        kind, name, status, secondary: the job.
        verdict: why it ended, or what it does.
        notes: what took its time, and what else its owner should know.
        phases: its secondary statuses.
        seconds: from its creation to its end, or to now.
        source: where this comes from.
    """

    kind: str
    name: str
    status: str
    secondary: str
    verdict: Diagnosis
    notes: Sequence[Diagnosis]
    phases: Sequence[Phase]
    seconds: float
    source: str


def diagnose(facts: Facts) -> Report:
    """Decide what became of a job.

    An endpoint is Failed and not ended: it waits to be deleted.
    """
    over = facts.ended or facts.status == "Failed"
    verdict = cause(facts) if over else state(facts)
    told = tuple(note for note in notes(facts) if note.code != verdict.code)
    return Report(
        facts.kind,
        facts.name,
        facts.status,
        facts.secondary,
        verdict,
        told,
        facts.phases,
        facts.total,
        facts.source.value,
    )
