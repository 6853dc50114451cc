"""When a tuning job is over, and whether it failed."""

from __future__ import annotations

from typing import Any

import pytest
from api_servers import job_request
from tunings import tuning_request

from launcher.api.constants import TRAINING
from launcher.api.tuning import TuningPlan, training_job_name
from launcher.local.jobs.tuningend import end_of
from launcher.local.records import states
from launcher.local.records.records import JobRecord, Metric
from launcher.local.records.trials import Trial, best_of, not_improving, trial_of

MANY = {"ResourceLimits": {"MaxNumberOfTrainingJobs": 100, "MaxParallelTrainingJobs": 2}}


def plan(**config: Any) -> TuningPlan:
    return TuningPlan.of(tuning_request(**{**MANY, **config}))


def trial(number: int, score: float | None = None, status: str = states.COMPLETED) -> Trial:
    name = training_job_name("tune-1", number, 1.0)
    request = job_request(name, HyperParameters={"rate": str(number)}, TuningJobArn="arn:x/tune-1")
    record = JobRecord.new(name, TRAINING, f"arn:{name}", request, float(number), "Starting")
    metrics = () if score is None else (Metric("score", score, 1.0), Metric("other", 99.0, 1.0))
    ended = float(number) if status in states.ENDED else None
    reason = "AlgorithmError: no luck" if status == states.FAILED else None
    fields = {"status": status, "ended_at": ended, "metrics": metrics, "failure_reason": reason}
    return trial_of(JobRecord(**{**vars(record), **fields}), plan())


def test_it_goes_on_until_all_have_ended() -> None:
    few = plan(ResourceLimits={"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2})
    trials = [trial(1, 1.0), trial(2, 2.0), trial(3, status=states.IN_PROGRESS)]
    assert end_of(few, trials, 0) is None
    end = end_of(few, [*trials[:2], trial(3, 0.5)], 0)
    assert end is not None and not end.failed and "All 3" in end.message


@pytest.mark.parametrize("status", [states.FAILED, states.COMPLETED])
def test_five_in_vain_fail_it_and_four_do_not(status: str) -> None:
    trials = [trial(number, status=status) for number in range(1, 6)]
    assert end_of(plan(), trials[:4], 0) is None
    end = end_of(plan(), trials, 0)
    assert end is not None and end.failed
    assert ("no luck" if status == states.FAILED else "'score'") in end.message


def test_one_value_among_many_failures_keeps_it_going() -> None:
    assert end_of(plan(), [trial(1, 1.0), *(trial(number, status=states.FAILED) for number in range(2, 9))], 0) is None


def test_a_few_that_all_failed_fail_it_at_the_end() -> None:
    few = plan(ResourceLimits={"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2})
    end = end_of(few, [trial(1, status=states.FAILED), trial(2, status=states.FAILED)], 0)
    assert end is not None and end.failed


def test_a_mixture_of_failures_and_silence_needs_five_of_silence_or_the_end() -> None:
    mixed = [trial(1, status=states.FAILED), *(trial(number) for number in range(2, 6))]
    assert end_of(plan(), mixed, 0) is None
    end = end_of(plan(), [*mixed, trial(6)], 0)
    assert end is not None and end.failed and "'score'" in end.message


@pytest.mark.parametrize(
    ("kind", "target", "reached"),
    [("Maximize", 2.0, True), ("Maximize", 2.5, False), ("Minimize", 1.0, True), ("Minimize", 0.5, False)],
)
def test_a_target_that_is_reached_ends_it(kind: str, target: float, reached: bool) -> None:
    config = {
        "HyperParameterTuningJobObjective": {"Type": kind, "MetricName": "score"},
        "TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": target},
    }
    end = end_of(plan(**config), [trial(1, 1.0), trial(2, 2.0)], 0)
    assert (end is not None) is reached
    assert end is None or not end.failed


def test_no_improvement_for_long_enough_ends_it() -> None:
    patient = plan(
        TuningJobCompletionCriteria={"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    )
    trials = [trial(1, 1.0), trial(2, 5.0), trial(3, 5.0), trial(4, status=states.FAILED)]
    assert not_improving(trials, patient) == 2
    assert end_of(patient, trials, 0) is None
    assert end_of(patient, [*trials, trial(5, 4.0)], 0) is not None
    assert end_of(patient, [*trials, trial(5, 6.0)], 0) is None


def test_the_time_ends_it() -> None:
    limits = {"MaxNumberOfTrainingJobs": 100, "MaxParallelTrainingJobs": 2, "MaxRuntimeInSeconds": 120}
    timed = plan(ResourceLimits=limits)
    assert end_of(timed, [trial(1, status=states.IN_PROGRESS)], 119.9) is None
    assert end_of(timed, [trial(1, status=states.IN_PROGRESS)], 120.0) is not None


def test_the_best_is_a_completed_one_the_earliest_of_equals() -> None:
    trials = [trial(1, 1.0), trial(2, 3.0), trial(3, 3.0), trial(4, 9.0, states.STOPPED), trial(5, 9.0, states.FAILED)]
    best = best_of(trials, plan())
    assert best is not None and best.number == 2
    least = best_of(trials, plan(HyperParameterTuningJobObjective={"Type": "Minimize", "MetricName": "score"}))
    assert least is not None and least.number == 1
    assert best_of([trial(1)], plan()) is None
