"""The phases of a job on a line of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from launcher.base.units import duration

# A phase that took no time is a mark of this width, in percent.
LEAST_WIDTH = 0.6
# States that end a job are moments, not phases.
_ENDS = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded", "Interrupted"})


@dataclass(frozen=True)
class Phase:
    """One phase.

    Args:
        name: as the API calls it.
        message: what the platform says of it.
        began: when.
        took: how long, in words; of one that goes on so far, and empty for the moment of the end.
        left, width: its place on the line, in percent.
        goes_on: whether it is the present one.
        is_end: whether it is the end.
    """

    name: str
    message: str
    began: datetime
    took: str
    left: float
    width: float
    goes_on: bool
    is_end: bool


def phases_of(answer: Mapping[str, Any], now: datetime | None = None) -> list[Phase]:
    """The phases that a description tells, in their order.

    Args:
        answer: of the API's Describe operation of a job.
        now: the moment that it tells of; None for now.
    """
    now = now or datetime.now(UTC)
    steps = list(_transitions(answer) if answer.get("SecondaryStatusTransitions") else _spans(answer))
    if not steps:
        return []
    first = min(began for _, _, began, _ in steps)
    last = max(ended or now for _, _, _, ended in steps)
    whole = max((last - first).total_seconds(), 1e-6)
    return [_phase(step, first, whole, now) for step in steps]


Step = tuple[str, str, datetime, datetime | None]


def _phase(step: Step, first: datetime, whole: float, now: datetime) -> Phase:
    name, message, began, ended = step
    is_end = name in _ENDS
    seconds = ((ended or now) - began).total_seconds()
    left = min(100 - LEAST_WIDTH, max(0.0, 100 * (began - first).total_seconds() / whole))
    width = min(100 - left, max(LEAST_WIDTH, 100 * seconds / whole))
    took = "" if is_end else _took(seconds)
    return Phase(name, message, began, took, round(left, 3), round(width, 3), ended is None and not is_end, is_end)


def _took(seconds: float) -> str:
    if seconds < 0.1:
        return "under 0.1 s"
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def _transitions(answer: Mapping[str, Any]) -> Iterator[Step]:
    """What a training job says of itself."""
    for one in answer["SecondaryStatusTransitions"]:
        ended = one.get("EndTime")
        if one["Status"] in _ENDS:
            ended = one["StartTime"]
        yield one["Status"], one.get("StatusMessage") or "", one["StartTime"], ended


def _spans(answer: Mapping[str, Any]) -> Iterator[Step]:
    """The same of other jobs, whose description has three times."""
    made = answer.get("CreationTime")
    if made is None:
        return
    named = {name: value for name, value in answer.items() if isinstance(value, datetime)}
    started = next((value for name, value in named.items() if name.endswith("StartTime")), None)
    ended = next((value for name, value in named.items() if name.endswith("EndTime")), None)
    if started is not None and started > made:
        yield "Waiting", "", made, started
    if started is None and ended is None:
        yield "Waiting", "", made, None
        return
    yield "Running", "", started or made, ended
    if ended is not None:
        status = next((str(value) for name, value in answer.items() if name.endswith("JobStatus")), "Ended")
        yield status, str(answer.get("FailureReason") or ""), ended, ended
