"""What can be said of a job from the API's own description, as of one on Amazon SageMaker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from launcher.api.constants import TRAINING, TRANSFORM
from launcher.diagnosis.described import facts_of_answer
from launcher.diagnosis.facts import Source
from launcher.diagnosis.report import Report, diagnose
from launcher.jobs.status import JobStatus

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def steps(*statuses: tuple[str, float, float | None]) -> list[dict[str, Any]]:
    return [
        {"Status": status, "StartTime": at(began), "StatusMessage": f"{status} it"}
        | ({"EndTime": at(ended)} if ended is not None else {})
        for status, began, ended in statuses
    ]


def told(status: str, secondary: str, reason: str | None, *statuses: Any, **more: Any) -> Report:
    answer = {"CreationTime": BEGAN, "SecondaryStatusTransitions": steps(*statuses), "FailureReason": reason} | more
    state = JobStatus(status, secondary, None, reason)
    return diagnose(facts_of_answer(TRAINING, "job", answer, state, at(1000).timestamp()))


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("AlgorithmError: ValueError: bad, exit code: 1", "script_failed"),
        ("AlgorithmError: , exit code: 137", "killed"),
        ("AlgorithmError: CUDA out of memory. Tried to allocate 2 GiB, exit code: 1", "out_of_memory"),
        ("AlgorithmError: OSError: [Errno 28] No space left on device, exit code: 1", "disk_full"),
        ("CapacityError: Unable to provision requested ML compute capacity.", "no_capacity"),
        ("ClientError: No S3 objects found under S3 URL 's3://b/x'.", "input_missing"),
        ("ClientError: something else", "refused"),
        ("InternalServerError: We encountered an internal error. Please try again.", "internal"),
    ],
)
def test_a_failure_is_told_by_its_reason_and_by_no_more(reason: str, code: str) -> None:
    report = told("Failed", "Failed", reason, ("Starting", 0, 9), ("Failed", 9, 9), TrainingEndTime=at(9))
    assert (report.verdict.code, report.source) == (code, Source.DESCRIBE.value)
    assert code != "killed" or "nothing here tells which" in report.verdict.said


def test_the_time_limit_and_a_stop() -> None:
    last = ("MaxRuntimeExceeded", 60, 60)
    report = told("Stopped", "MaxRuntimeExceeded", None, last, StoppingCondition={"MaxRuntimeInSeconds": 50})
    assert report.verdict.code == "max_runtime" and "(50 s)" in report.verdict.evidence[0]
    assert told("Stopped", "Stopped", None, ("Stopped", 60, 60)).verdict.code == "stopped"


def test_a_job_that_waits_for_a_machine_and_one_that_trains() -> None:
    report = told("InProgress", "Starting", None, ("Starting", 0, None))
    assert report.verdict.code == "not_begun" and "AWS prepares a machine" in report.verdict.said
    assert told("InProgress", "Pending", None, ("Pending", 0, None)).verdict.code == "not_begun"
    assert told("InProgress", "Downloading", None, ("Downloading", 0, None)).verdict.code == "downloading"
    trains = told("InProgress", "Training", None, ("Training", 0, None)).verdict
    assert trains.code == "healthy" and "tells no more" in trains.said


def test_where_the_time_went_is_told_by_the_phases() -> None:
    phases = ("Starting", 0, 400), ("Downloading", 400, 700), ("Training", 700, 720), ("Uploading", 720, 1000)
    report = told("Completed", "Completed", None, *phases, ("Completed", 1000, 1000), TrainingEndTime=at(1000))
    assert [note.code for note in report.notes] == ["inputs_dominate", "start_dominates", "uploads_dominate"]
    assert report.seconds == 1000


def test_a_transform_job_has_no_phases() -> None:
    reason = "AlgorithmError: See job logs for more information"
    answer = {"CreationTime": BEGAN, "TransformEndTime": at(60), "FailureReason": reason}
    report = diagnose(facts_of_answer(TRANSFORM, "job", answer, JobStatus("Failed", "Failed", None, reason)))
    assert (report.verdict.code, report.seconds, list(report.phases)) == ("script_failed", 60, [])
    assert "--aws" in report.verdict.remedy
