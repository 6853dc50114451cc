"""A processing job that somebody submitted: its state and log, on either cloud."""

from __future__ import annotations

from typing import Any

from launcher.api.constants import PROCESSING, PROCESSING_GROUP
from launcher.jobs.handle import JobHandle
from launcher.jobs.listing import JobSummary, Listing
from launcher.jobs.status import JobStatus
from launcher.session.session import Session

LISTING = Listing("list_processing_jobs", "ProcessingJobSummaries", "ProcessingJob", "ProcessingEndTime", PROCESSING)


class ProcessingJob(JobHandle):
    """A processing job by its name.

    Args:
        name: its name.
        session: the cloud that it is on.
        clock: time, for tests.
    """

    kind = PROCESSING
    member = "ProcessingJob"
    noun = "processing job"
    is_short = True

    @property
    def log_group(self) -> str:
        """The log group that all processing jobs share."""
        return PROCESSING_GROUP

    @property
    def output_uris(self) -> dict[str, str]:
        """Prefix in S3 of each output, by its name."""
        outputs = (self.describe().get("ProcessingOutputConfig") or {}).get("Outputs") or ()
        return {one["OutputName"]: one["S3Output"]["S3Uri"] for one in outputs if "S3Output" in one}

    def delete(self) -> None:
        """Forget the job, which has ended; its outputs stay.

        Raises:
            InputError: there is none, it has not ended, or its outputs are on the cloud's disk alone.
            Unreachable: the cloud does not answer.
        """
        with self.session.reported(f"deleting the {self.noun} {self.name}", self.session.sagemaker):
            self._call("Delete")

    def _state(self, answer: dict[str, Any]) -> JobStatus:
        status = answer["ProcessingJobStatus"]
        return JobStatus(status, status, answer.get("ExitMessage"), answer.get("FailureReason"))


def list_processing_jobs(
    session: Session | None = None, status: str | None = None, name_contains: str | None = None, limit: int = 100
) -> list[JobSummary]:
    """The newest processing jobs of a cloud, the newest first; as ``launcher.list_jobs``."""
    return LISTING.newest(session or Session.local(), status, name_contains, limit)
