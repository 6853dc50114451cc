"""The training jobs of a tuning job, as their records tell: which they are, what was chosen for them, how they did."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launcher.api.tuning import TuningPlan, number_of
from launcher.local.records import states
from launcher.local.records.jobrecord import TUNING_MEMBER, JobRecord
from launcher.local.records.records import Records


class ObjectiveStatus(enum.Enum):
    """What is known of the objective of a training job: its final value, that there will be none, or nothing yet."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    PENDING = "Pending"


@dataclass(frozen=True)
class Trial:
    """One training job of a tuning job.

    Args:
        number: counts them from 1.
        record: its record.
        parameters: the hyperparameters that were chosen for it.
        value: the final value of the objective; None as long as there is none.
        objective_status: what is known of it.
    """

    number: int
    record: JobRecord
    parameters: dict[str, str]
    value: float | None
    objective_status: ObjectiveStatus

    @property
    def ended(self) -> bool:
        """Whether its training job has come to an end."""
        return self.record.ended


def training_jobs_of(records: Records, tuning_job: JobRecord) -> list[JobRecord]:
    """The records of the training jobs that a tuning job has created."""
    found = records.named_after(tuning_job.name)
    return [record for record in found if record.request.get(TUNING_MEMBER) == tuning_job.arn]


def trials_of(records: Records, tuning_job: JobRecord, plan: TuningPlan) -> list[Trial]:
    """All of a tuning job that are recorded, by number.

    Args:
        records: the records.
        tuning_job: its record.
        plan: of this tuning job, or of one that starts from its results.
    """
    found = (trial_of(record, plan) for record in training_jobs_of(records, tuning_job))
    return sorted(found, key=lambda trial: trial.number)


def trial_of(record: JobRecord, plan: TuningPlan) -> Trial:
    """The training job of a record; of a parent's, it is told what it means to the tuning job of the plan."""
    given = record.request.get("HyperParameters") or {}
    parameters = {one.name: given[one.name] for one in plan.ranges if one.name in given}
    if not record.ended:
        value, status = None, ObjectiveStatus.PENDING
    else:
        values = [metric.value for metric in record.metrics if metric.name == plan.objective.metric]
        value = values[0] if values and record.status != states.FAILED else None
        status = ObjectiveStatus.FAILED if value is None else ObjectiveStatus.SUCCEEDED
    tuning_job = str(record.request.get(TUNING_MEMBER, "")).rpartition("/")[2]
    return Trial(number_of(tuning_job, record.name), record, parameters, value, status)


def best_of(trials: Iterable[Trial], plan: TuningPlan) -> Trial | None:
    """The completed training job with the best value, the earliest of equals; None where none has a value."""
    best: Trial | None = None
    for trial in trials:
        if trial.value is None or trial.record.status != states.COMPLETED:
            continue
        if best is None or best.value is None or plan.objective.better(trial.value, best.value):
            best = trial
    return best


def not_improving(trials: Sequence[Trial], plan: TuningPlan) -> int:
    """How many training jobs have ended since the best value was reached, in the order of their ends."""
    best: float | None = None
    count = 0
    for trial in sorted((one for one in trials if one.ended), key=lambda one: (one.record.ended_at or 0, one.number)):
        if trial.value is not None and (best is None or plan.objective.better(trial.value, best)):
            best, count = trial.value, 0
        elif best is not None:
            count += 1
    return count
