"""A tuning job that was submitted: its state, its training jobs and the best of them, on either cloud."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.api.constants import TRAINING_GROUP, TUNING
from launcher.api.names import MAX_TUNING_NAME
from launcher.jobs.handle import JobHandle
from launcher.jobs.listing import PAGE, JobSummary, Listing
from launcher.jobs.training import Job
from launcher.session.session import Session

LISTING = Listing(
    "list_hyper_parameter_tuning_jobs",
    "HyperParameterTuningJobSummaries",
    "HyperParameterTuningJob",
    "HyperParameterTuningEndTime",
    TUNING,
)


@dataclass(frozen=True)
class TunedJob:
    """A training job of a tuning job.

    Args:
        name: its name.
        status: its state.
        parameters: the hyperparameters that were chosen for it, as it was given them.
        value: the final value of the objective; None where there is none, or none yet.
        created_at, ended_at: when, in UTC; None as long as it runs.
        failure_reason: why it failed; None where it did not.
    """

    name: str
    status: str
    parameters: Mapping[str, str]
    value: float | None
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    failure_reason: str | None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> TunedJob:
        """What the API's summary of a training job says."""
        objective = answer.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
        return cls(
            answer["TrainingJobName"],
            answer["TrainingJobStatus"],
            answer["TunedHyperParameters"],
            objective.get("Value"),
            answer["CreationTime"],
            answer.get("TrainingEndTime"),
            answer.get("FailureReason"),
        )


class TuningJob(JobHandle):
    """A tuning job by its name.

    Args:
        name: its name.
        session: the cloud that it is on.
        clock: time, for tests.
    """

    kind = TUNING
    member = "HyperParameterTuningJob"
    longest = MAX_TUNING_NAME
    noun = "tuning job"

    @property
    def log_group(self) -> str:
        """The log group of its training jobs; it has no log of its own."""
        return TRAINING_GROUP

    @property
    def stream_prefix(self) -> str:
        """What the names of its training jobs begin with."""
        return f"{self.name}-"

    def training_jobs(self) -> list[TunedJob]:
        """Its training jobs so far, in the order of their creation.

        Raises:
            InputError: there is no such tuning job.
            Unreachable: the cloud does not answer.
        """
        client = self.session.sagemaker
        with self.session.reported(f"listing the training jobs of {self.name}", client):
            pages = client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
                HyperParameterTuningJobName=self.name, SortBy="CreationTime", PaginationConfig={"PageSize": PAGE}
            )
            found = [TunedJob.of(entry) for page in pages for entry in page["TrainingJobSummaries"]]
        return sorted(found, key=lambda one: one.created_at)

    def best(self) -> TunedJob | None:
        """The completed training job with the best value of the objective so far; None where none has one.

        Raises:
            InputError: there is no such tuning job.
            Unreachable: the cloud does not answer.
        """
        answer = self.describe().get("BestTrainingJob")
        return TunedJob.of(answer) if answer and answer.get("TrainingJobName") else None

    def best_job(self) -> Job | None:
        """``best`` as a training job, with its log and results."""
        best = self.best()
        return Job(best.name, self.session) if best else None

    def delete(self) -> None:
        """Forget the tuning job, which has ended; its training jobs stay.

        Raises:
            InputError: there is none, or it has not ended.
            Unreachable: the cloud does not answer.
        """
        with self.session.reported(f"deleting the {self.noun} {self.name}", self.session.sagemaker):
            self._call("Delete")


def list_tuning_jobs(
    session: Session | None = None, status: str | None = None, name_contains: str | None = None, limit: int = 100
) -> list[JobSummary]:
    """The newest tuning jobs of a cloud, the newest first; as ``launcher.list_jobs``."""
    return LISTING.newest(session or Session.local(), status, name_contains, limit)
