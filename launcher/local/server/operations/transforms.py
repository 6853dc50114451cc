"""CreateTransformJob, DescribeTransformJob, ListTransformJobs, StopTransformJob (contract B, 189, 207)."""

from __future__ import annotations

import functools
from typing import Any

from launcher.api import serving_rules
from launcher.api.constants import TRANSFORM
from launcher.api.errors import job_name_taken, not_found, validation
from launcher.api.servicemodel import service_model
from launcher.local.records.jobrecord import MODEL_MEMBER
from launcher.local.records.records import DuplicateJob, JobEnded, JobRecord, UnknownJob
from launcher.local.server.operations import models
from launcher.local.server.operations.context import Context, Operation, Wire
from launcher.local.server.operations.paging import page_of_jobs, without_none


def create(context: Context, request: Wire) -> Wire:
    """Record a job, together with its model, and hand it to a shim."""
    serving_rules.check_transform_job(request)
    name = request["TransformJobName"]
    model = models.found(context, request["ModelName"])
    arn = context.arn("sagemaker", f"transform-job/{name}")
    kept = {key: value for key, value in request.items() if key != "Tags" and value is not None}
    kept[MODEL_MEMBER] = model.request
    record = JobRecord.new(name, TRANSFORM, arn, kept, context.clock(), "Starting the transform job")
    try:
        context.records.create(record, models.tags_of(request))
    except DuplicateJob as error:
        raise job_name_taken("Transform", error) from None
    context.assign(name, TRANSFORM)
    return {"TransformJobArn": arn}


def describe(context: Context, request: Wire) -> Wire:
    """Everything about a job: what was asked for, with AWS's defaults, and what became of it."""
    record = context.records.find(request["TransformJobName"], TRANSFORM)
    if record is None:
        raise not_found()
    asked = {name: value for name, value in record.request.items() if name in _described_members()}
    given = asked["TransformInput"]
    answer: Wire = {
        **asked,
        "TransformInput": {"CompressionType": "None", "SplitType": "None"} | given,
        "TransformOutput": {"AssembleWith": "None", "KmsKeyId": ""} | asked["TransformOutput"],
        "DataProcessing": {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
        | (asked.get("DataProcessing") or {}),
        "TransformJobArn": record.arn,
        "TransformJobStatus": record.status,
        "CreationTime": record.created_at,
    }
    return answer | without_none(
        TransformStartTime=record.started_at, TransformEndTime=record.ended_at, FailureReason=record.failure_reason
    )


def list_jobs(context: Context, request: Wire) -> Wire:
    """One page of jobs."""
    return page_of_jobs(context, request, TRANSFORM, "TransformJobSummaries", _summary)


def stop(context: Context, request: Wire) -> Wire:
    """Ask a job to stop; its shim does it, and what it wrote goes (contract 153)."""
    try:
        context.records.request_stop(request["TransformJobName"], context.clock(), TRANSFORM)
    except UnknownJob:
        raise not_found() from None
    except JobEnded as error:
        raise validation(
            "The request was rejected because the transform job is in status "
            f"{error.args[0].status}; only a job that is InProgress can be stopped."
        ) from None
    return {}


def _summary(record: JobRecord) -> Wire:
    return without_none(
        TransformJobName=record.name,
        TransformJobArn=record.arn,
        CreationTime=record.created_at,
        TransformEndTime=record.ended_at,
        LastModifiedTime=record.modified_at,
        TransformJobStatus=record.status,
        FailureReason=record.failure_reason,
    )


@functools.cache
def _described_members() -> frozenset[str]:
    shape: Any = service_model("sagemaker").operation_model("DescribeTransformJob").output_shape
    return frozenset(shape.members)


OPERATIONS: dict[str, Operation] = {
    "CreateTransformJob": create,
    "DescribeTransformJob": describe,
    "ListTransformJobs": list_jobs,
    "StopTransformJob": stop,
}
