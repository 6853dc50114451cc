"""CreateTrainingJob, DescribeTrainingJob, ListTrainingJobs, StopTrainingJob, DeleteTrainingJob (contract D)."""

from __future__ import annotations

import functools
import math
import shutil
from typing import Any

from batchrl.contract.layout import JobLayout, S3Url
from launcher.api import training_rules
from launcher.api.constants import TRAINING
from launcher.api.errors import job_name_taken, not_found, validation
from launcher.api.servicemodel import service_model
from launcher.local.records.records import DuplicateJob, JobEnded, JobRecord, JobRunning, UnknownJob, job_key
from launcher.local.server.operations.context import Context, Operation, Wire
from launcher.local.server.operations.paging import ASCENDING, page_of_jobs, without_none

DEFAULT_CHECKPOINT_PATH = "/opt/ml/checkpoints/"


def create(context: Context, request: Wire) -> Wire:
    """Record a job and hand it to a shim."""
    training_rules.check_training_job(request)
    name = request["TrainingJobName"]
    arn = context.arn("sagemaker", f"training-job/{name}")
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
    kept = {key: value for key, value in request.items() if key != "Tags" and value is not None}
    record = JobRecord.new(name, TRAINING, arn, kept, context.clock(), "Starting the training job")
    try:
        context.records.create(record, tags)
    except DuplicateJob as error:
        raise job_name_taken("Training", error) from None
    context.assign(name, TRAINING)
    return {"TrainingJobArn": arn}


def describe(context: Context, request: Wire) -> Wire:
    """Everything about a job."""
    record = context.records.find(request["TrainingJobName"])
    if record is None:
        raise not_found()
    return described(record)


def described(record: JobRecord) -> Wire:
    """The answer of DescribeTrainingJob: what was asked for, with AWS's defaults, and what became of it."""
    asked = {name: value for name, value in record.request.items() if name in _described_members()}
    output = {"KmsKeyId": "", "CompressionType": "GZIP"} | asked["OutputDataConfig"]
    answer: Wire = {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **asked,
        "TrainingJobArn": record.arn,
        "TrainingJobStatus": record.status,
        "SecondaryStatus": record.secondary_status,
        "OutputDataConfig": output,
        "ModelArtifacts": {"S3ModelArtifacts": _model_artifacts(record, output)},
        "CreationTime": record.created_at,
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
    return page_of_jobs(context, request, TRAINING, "TrainingJobSummaries", _summary, ASCENDING)


def stop(context: Context, request: Wire) -> Wire:
    """Ask a job to stop; its shim does it."""
    try:
        context.records.request_stop(request["TrainingJobName"], context.clock())
    except UnknownJob:
        raise not_found() from None
    except JobEnded as error:
        raise validation(
            "The request was rejected because the training job is in status "
            f"{error.args[0].status}; only a job that is InProgress can be stopped."
        ) from None
    return {}


def delete(context: Context, request: Wire) -> Wire:
    """Forget a job that has ended, with its logs and whatever is left of its work; its results in S3 stay."""
    name = request["TrainingJobName"]
    try:
        context.records.delete(name)
    except UnknownJob:
        raise not_found() from None
    except JobRunning as error:
        raise validation(
            f"The training job {error.args[0].arn} is in status {error.args[0].status}; "
            "only jobs that are Completed, Failed or Stopped can be deleted."
        ) from None
    shutil.rmtree(context.paths.job(job_key(TRAINING, name)).folder, ignore_errors=True)
    return {}


def _summary(record: JobRecord) -> Wire:
    return without_none(
        TrainingJobName=record.name,
        TrainingJobArn=record.arn,
        CreationTime=record.created_at,
        TrainingEndTime=record.ended_at,
        LastModifiedTime=record.modified_at,
        TrainingJobStatus=record.status,
        SecondaryStatus=record.secondary_status,
    )


def _model_artifacts(record: JobRecord, output: Wire) -> str:
    if record.model_artifacts:
        return record.model_artifacts
    # Reported from the start, whether or not anything will lie there (contract 71).
    return str(JobLayout(S3Url.parse(output["S3OutputPath"]), record.name).model_archive)


def _times(record: JobRecord) -> Wire:
    seconds = None
    if record.started_at is not None and record.ended_at is not None:
        seconds = max(1, math.ceil(record.ended_at - record.started_at))
    return without_none(
        TrainingStartTime=record.started_at,
        TrainingEndTime=record.ended_at,
        TrainingTimeInSeconds=seconds,
        BillableTimeInSeconds=seconds,
    )


@functools.cache
def _described_members() -> frozenset[str]:
    shape: Any = service_model("sagemaker").operation_model("DescribeTrainingJob").output_shape
    return frozenset(shape.members)


OPERATIONS: dict[str, Operation] = {
    "CreateTrainingJob": create,
    "DescribeTrainingJob": describe,
    "ListTrainingJobs": list_jobs,
    "StopTrainingJob": stop,
    "DeleteTrainingJob": delete,
}
