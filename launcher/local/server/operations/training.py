"""CreateTrainingJob, DescribeTrainingJob, ListTrainingJobs, StopTrainingJob, DeleteTrainingJob (contract D)."""

from __future__ import annotations

import math

from batchrl.contract.layout import JobLayout, S3Url
from launcher.api import training_rules
from launcher.api.constants import TRAINING, TUNING
from launcher.api.errors import validation
from launcher.local.executors.metricscan import definition_faults, definitions_in
from launcher.local.records.jobrecord import CONTAINED_MEMBER, TUNING_MEMBER
from launcher.local.records.records import JobRecord
from launcher.local.records.states import INTERRUPTED, STARTING
from launcher.local.server.operations.context import FOR_TUNING_JOB, Context, Operation, Wire
from launcher.local.server.operations.kinds import JobKind
from launcher.local.server.operations.paging import ASCENDING, without_none

DEFAULT_CHECKPOINT_PATH = "/opt/ml/checkpoints/"


def _more(record: JobRecord) -> Wire:
    return without_none(TrainingEndTime=record.ended_at, SecondaryStatus=record.secondary_status)


JOBS = JobKind(
    kind=TRAINING,
    noun="training job",
    path="training-job",
    member="TrainingJob",
    listed="TrainingJobSummaries",
    more=_more,
    order=ASCENDING,
)


def create(context: Context, request: Wire) -> Wire:
    """Record a job and hand it to a shim."""
    check(request)
    return JOBS.create(context, request | _of_tuning_job(context))


def check(request: Wire) -> None:
    """Check a request that already agrees with the model.

    Raises:
        ApiError: it breaks a rule.
    """
    training_rules.check_training_job(request)
    _check_metrics(request)


def _of_tuning_job(context: Context) -> Wire:
    """What a training job has of the tuning job that creates it: its ARN, and that it runs in containers only.

    Raises:
        ApiError: there is no such tuning job that goes on.
    """
    if not (name := FOR_TUNING_JOB.get()):
        return {}
    tuning_job = context.records.find(name, TUNING)
    if tuning_job is None or tuning_job.ended or tuning_job.stop_requested_at is not None:
        raise validation(f"There is no tuning job '{name}' that goes on.")
    contained = {CONTAINED_MEMBER: True} if tuning_job.request.get(CONTAINED_MEMBER) else {}
    return {TUNING_MEMBER: tuning_job.arn} | contained


def _check_metrics(request: Wire) -> None:
    """Refuse metric definitions that cannot be used; their expressions are compiled in a process of their own.

    Raises:
        ApiError: there are some; all are named.
    """
    definitions = definitions_in(request["AlgorithmSpecification"].get("MetricDefinitions"))
    if faults := definition_faults(definitions):
        raise validation(" ".join(fault[0].upper() + fault[1:] for fault in faults))


def describe(context: Context, request: Wire) -> Wire:
    """Everything about a job: what was asked for, with AWS's defaults, and what became of it."""
    record = JOBS.found(context, JOBS.name_in(request))
    asked = JOBS.asked(record)
    output = {"KmsKeyId": "", "CompressionType": "GZIP"} | asked["OutputDataConfig"]
    answer: Wire = {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **asked,
        **JOBS.facts(record),
        "SecondaryStatus": record.secondary_status,
        "OutputDataConfig": output,
        "ModelArtifacts": {"S3ModelArtifacts": _model_artifacts(record, output)},
        "LastModifiedTime": record.modified_at,
        "SecondaryStatusTransitions": [
            without_none(
                Status=entry.status, StartTime=entry.started_at, EndTime=entry.ended_at, StatusMessage=entry.message
            )
            for entry in record.transitions
        ],
    }
    if checkpoints := asked.get("CheckpointConfig"):
        answer["CheckpointConfig"] = {"LocalPath": DEFAULT_CHECKPOINT_PATH} | checkpoints
    if record.metrics:
        answer["FinalMetricDataList"] = [
            {"MetricName": metric.name, "Value": metric.value, "Timestamp": metric.at} for metric in record.metrics
        ]
    return answer | _times(record) | without_none(FailureReason=record.failure_reason)


def list_jobs(context: Context, request: Wire) -> Wire:
    """One page of jobs."""
    if "WarmPoolStatusEquals" in request or "TrainingPlanArnEquals" in request:
        return {"TrainingJobSummaries": []}  # no job here has a warm pool or a training plan
    return JOBS.page(context, request)


def delete(context: Context, request: Wire) -> Wire:
    """Forget a job that has ended, with its logs and what is left of its work; its results in S3 stay.

    Raises:
        ApiError: there is none, it has not ended, or its results are on this disk alone.
    """
    name = JOBS.name_in(request)
    _refuse_if_tuned(context, name)
    remedy = f"batchrl recover {name} publishes them, batchrl rm {name} --force deletes them with the job."
    return JOBS.forget(context, name, "results", remedy)


def _refuse_if_tuned(context: Context, name: str) -> None:
    """Refuse to forget what a running tuning job goes by."""
    arn = str(JOBS.found(context, name).request.get(TUNING_MEMBER, ""))
    tuning_job = context.records.by_arn(arn) if arn else None
    if tuning_job is not None and not tuning_job.ended:
        raise validation(f"The training job {name} belongs to {arn}, which has not ended and goes by its results.")


def _model_artifacts(record: JobRecord, output: Wire) -> str:
    if record.model_artifacts:
        return record.model_artifacts
    # Reported from the start, whether or not anything will lie there (contract 71).
    return str(JobLayout(S3Url.parse(output["S3OutputPath"]), record.name).model_archive)


def _times(record: JobRecord) -> Wire:
    seconds = None
    if record.started_at is not None and record.ended_at is not None:
        away = sum(
            (entry.ended_at or record.ended_at) - max(entry.started_at, record.started_at)
            for entry in record.transitions
            if entry.status in (INTERRUPTED, STARTING) and entry.started_at >= record.started_at
        )
        seconds = max(1, math.ceil(record.ended_at - record.started_at - away))
    return without_none(
        TrainingStartTime=record.started_at,
        TrainingEndTime=record.ended_at,
        TrainingTimeInSeconds=seconds,
        BillableTimeInSeconds=seconds,
    )


OPERATIONS: dict[str, Operation] = {
    "CreateTrainingJob": create,
    "DescribeTrainingJob": describe,
    "ListTrainingJobs": list_jobs,
    "StopTrainingJob": JOBS.stop,
    "DeleteTrainingJob": delete,
}
