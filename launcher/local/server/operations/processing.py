"""CreateProcessingJob, DescribeProcessingJob, ListProcessingJobs, StopProcessingJob, DeleteProcessingJob."""

from __future__ import annotations

from launcher.api.constants import PROCESSING
from launcher.api.processing_rules import check_processing_job
from launcher.local.records.records import JobRecord
from launcher.local.server.operations.context import Context, Operation, Wire
from launcher.local.server.operations.kinds import JobKind
from launcher.local.server.operations.paging import without_none


def _more(record: JobRecord) -> Wire:
    return without_none(
        ProcessingEndTime=record.ended_at, FailureReason=record.failure_reason, ExitMessage=record.exit_message
    )


JOBS = JobKind(
    kind=PROCESSING,
    noun="processing job",
    path="processing-job",
    member="ProcessingJob",
    listed="ProcessingJobSummaries",
    more=_more,
)


def create(context: Context, request: Wire) -> Wire:
    """Record a job and hand it to a shim."""
    check_processing_job(request)
    return JOBS.create(context, request)


def describe(context: Context, request: Wire) -> Wire:
    """Everything about a job: what was asked for, and what became of it."""
    record = JOBS.found(context, JOBS.name_in(request))
    answer: Wire = {**JOBS.asked(record), **JOBS.facts(record), "LastModifiedTime": record.modified_at}
    return answer | without_none(ProcessingStartTime=record.started_at) | _more(record)


def delete(context: Context, request: Wire) -> Wire:
    """Forget a job that has ended, with its logs; its outputs in S3 stay.

    Raises:
        ApiError: there is none, it has not ended, or its outputs are on this disk alone.
    """
    return JOBS.forget(context, JOBS.name_in(request), "files", "Take what you need and remove that folder first.")


OPERATIONS: dict[str, Operation] = {
    "CreateProcessingJob": create,
    "DescribeProcessingJob": describe,
    "ListProcessingJobs": JOBS.page,
    "StopProcessingJob": JOBS.stop,
    "DeleteProcessingJob": delete,
}
