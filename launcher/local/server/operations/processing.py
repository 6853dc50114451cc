"""CreateProcessingJob, DescribeProcessingJob, ListProcessingJobs, StopProcessingJob, DeleteProcessingJob."""

from __future__ import annotations

from launcher.api.constants import PROCESSING
from launcher.api.errors import validation
from launcher.api.processing_rules import check_processing_job
from launcher.local.host.trees import remove_tree
from launcher.local.records.records import JobRecord, JobRunning, UnknownJob, job_key
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
    name = JOBS.name_in(request)
    record, files = JOBS.found(context, name), context.paths.job(job_key(PROCESSING, name))
    if record.ended and record.unpublished and files.ml.exists():
        raise validation(
            f"The processing job {record.arn} left files in {files.ml} that are not known to be in S3. "
            "Take what you need and remove that folder first."
        )
    try:
        context.records.delete(name, PROCESSING)
    except UnknownJob:
        raise JOBS.unknown(context, name) from None
    except JobRunning as error:
        raise validation(
            f"The processing job {error.args[0].arn} is in status {error.args[0].status}; "
            "only jobs that are Completed, Failed or Stopped can be deleted."
        ) from None
    remove_tree(files.folder)
    return {}


OPERATIONS: dict[str, Operation] = {
    "CreateProcessingJob": create,
    "DescribeProcessingJob": describe,
    "ListProcessingJobs": JOBS.page,
    "StopProcessingJob": JOBS.stop,
    "DeleteProcessingJob": delete,
}
