"""CreateTransformJob, DescribeTransformJob, ListTransformJobs, StopTransformJob (contract B, 189, 207)."""

from __future__ import annotations

from launcher.api import serving_rules
from launcher.api.constants import TRANSFORM
from launcher.local.records.jobrecord import MODEL_MEMBER
from launcher.local.records.records import JobRecord
from launcher.local.server.operations.context import Context, Operation, Wire
from launcher.local.server.operations.kinds import JobKind
from launcher.local.server.operations.models import MODELS
from launcher.local.server.operations.paging import without_none


def _more(record: JobRecord) -> Wire:
    return without_none(TransformEndTime=record.ended_at, FailureReason=record.failure_reason)


# What a job wrote goes when it is stopped (contract 153).
TRANSFORMS = JobKind(
    kind=TRANSFORM,
    noun="transform job",
    path="transform-job",
    member="TransformJob",
    listed="TransformJobSummaries",
    more=_more,
)


def create(context: Context, request: Wire) -> Wire:
    """Record a job, together with its model, and hand it to a shim."""
    serving_rules.check_transform_job(request)
    model = MODELS.found(context, request["ModelName"])
    return TRANSFORMS.create(context, request | {MODEL_MEMBER: model.request})


def describe(context: Context, request: Wire) -> Wire:
    """Everything about a job: what was asked for, with AWS's defaults, and what became of it."""
    record = TRANSFORMS.found(context, TRANSFORMS.name_in(request))
    asked = TRANSFORMS.asked(record)
    answer: Wire = {
        **asked,
        "TransformInput": {"CompressionType": "None", "SplitType": "None"} | asked["TransformInput"],
        "TransformOutput": {"AssembleWith": "None", "KmsKeyId": ""} | asked["TransformOutput"],
        "DataProcessing": {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
        | (asked.get("DataProcessing") or {}),
        **TRANSFORMS.facts(record),
    }
    return answer | without_none(
        TransformStartTime=record.started_at, TransformEndTime=record.ended_at, FailureReason=record.failure_reason
    )


OPERATIONS: dict[str, Operation] = {
    "CreateTransformJob": create,
    "DescribeTransformJob": describe,
    "ListTransformJobs": TRANSFORMS.page,
    "StopTransformJob": TRANSFORMS.stop,
}
