"""The facts about a job as the API describes it: all that can be said of one on Amazon SageMaker."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from launcher.diagnosis.facts import Facts, Phase, Source
from launcher.jobs.status import JobStatus
from launcher.local.records import states

Wire = Mapping[str, Any]


def facts_of_answer(kind: str, name: str, answer: Wire, status: JobStatus, now: float | None = None) -> Facts:
    """Facts from the answer of a Describe operation.

    Args:
        kind: what it is.
        name: its name.
        answer: of DescribeTrainingJob, DescribeTransformJob or DescribeEndpoint.
        status: what the answer's status means.
        now: seconds since 1970.
    """
    limit = (answer.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
    phases = [
        Phase(
            step["Status"], step["StartTime"].timestamp(), _seconds(step.get("EndTime")), step.get("StatusMessage", "")
        )
        for step in answer.get("SecondaryStatusTransitions") or ()
    ]
    over = status.secondary == states.MAX_RUNTIME_EXCEEDED and phases
    ended = _seconds(answer.get("TrainingEndTime") or answer.get("TransformEndTime"))
    if ended is None and status.ended:
        ended = _seconds(answer.get("LastModifiedTime"))
    return Facts(
        kind=kind,
        name=name,
        status=status.status,
        secondary=status.secondary,
        ended=status.ended,
        reason=status.failure_reason or answer.get("FailureReason"),
        source=Source.DESCRIBE,
        now=time.time() if now is None else now,
        created_at=_seconds(answer.get("CreationTime")),
        ended_at=ended,
        phases=phases,
        image=str((answer.get("AlgorithmSpecification") or {}).get("TrainingImage", "")),
        cut=(phases[-1].began, "limit", float(limit)) if over and limit else None,
        aws=True,
    )


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None
