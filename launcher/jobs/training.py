"""A training job that was submitted: its state, log and results, on either cloud."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract.errors import InputError
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.store import list_objects
from launcher.api.constants import TRAINING, TRAINING_GROUP
from launcher.base.clock import Clock
from launcher.jobs.handle import JobHandle
from launcher.jobs.kinds import kind_in, program_in
from launcher.jobs.listing import JobSummary, Listing
from launcher.jobs.status import JobStatus
from launcher.session.session import Session

if TYPE_CHECKING:
    from launcher.results.metrics import Metrics
    from launcher.results.pull import PullReport

# How far back the newest job of a kind is looked for.
LOOKED_AT = 50
# The API's list does not say what a job runs: so many jobs are described at a time, by so many threads.
DESCRIBED_AT_ONCE = 50
THREADS = 4
LISTING = Listing("list_training_jobs", "TrainingJobSummaries", "TrainingJob", "TrainingEndTime", TRAINING)


__all__ = ["Job", "JobStatus", "JobSummary", "list_jobs"]


class Job(JobHandle):
    """A training job by its name.

    Args:
        name: its name.
        session: the cloud that it is on.
        clock: time, for tests.
    """

    kind = TRAINING
    member = "TrainingJob"
    noun = "job"

    def __init__(self, name: str, session: Session, clock: Clock | None = None) -> None:
        super().__init__(name, session, clock)
        self._layout: JobLayout | None = None
        self._checkpoints: str | None = None

    @property
    def log_group(self) -> str:
        """The log group that all training jobs share."""
        return TRAINING_GROUP

    def delete(self, results: bool = False) -> None:
        """Forget a job that has ended; its name is free again (contract 206).

        Args:
            results: whether to delete its results in S3 as well; checkpoints that were given a place elsewhere stay.

        Raises:
            InputError: it has not ended, or there is no such job.
        """
        state = self.status()
        if not state.ended:
            raise InputError(f"the job '{self.name}' has not ended ({state}).", f"batchrl stop {self.name}")
        layout = self.layout
        client = self.session.sagemaker
        with self.session.reported(f"deleting the job {self.name}", client):
            client.delete_training_job(TrainingJobName=self.name)
        if results:
            s3 = self.session.s3
            with self.session.reported(f"deleting {layout.job}", s3):
                for key, _ in list_objects(s3, S3Url(layout.job.bucket, layout.job.key + "/")):
                    s3.delete_object(Bucket=layout.job.bucket, Key=key)

    def metrics(self) -> Metrics:
        """The estimates of every epoch so far.

        Raises:
            InputError: none was written yet.
        """
        from launcher.results.metrics import Metrics

        return Metrics.read(self.session, self.layout)

    def pull(
        self,
        folder: str | Path,
        what: str = "all",
        unpack: bool = False,
        on_bytes: Callable[[int], None] = lambda count: None,
    ) -> PullReport:
        """Copy results into a folder; see ``launcher.results.pull.pull``."""
        from launcher.results.pull import pull

        checkpoints = S3Url.parse(self.checkpoint_uri.rstrip("/"))
        return pull(self.session, self.layout, checkpoints, Path(folder), what, unpack, on_bytes)

    @property
    def layout(self) -> JobLayout:
        """Where the job's results lie."""
        if self._layout is None:
            self._remember(self.describe())
        assert self._layout is not None
        return self._layout

    @property
    def model_uri(self) -> str:
        """The model archive; it is there when the job has ended."""
        return str(self.layout.model_archive)

    @property
    def output_uri(self) -> str:
        """The archive of ``/opt/ml/output/data``; it is there when the job has ended."""
        return str(self.layout.output_archive)

    @property
    def intermediate_uri(self) -> str:
        """Prefix of the files that are synced while the job runs, the csv of estimates among them."""
        return f"{self.layout.intermediate}/"

    @property
    def checkpoint_uri(self) -> str:
        """Prefix of the checkpoints, as an evaluation takes it for its channel ``checkpoint``."""
        if self._checkpoints is None:
            self._remember(self.describe())
        return f"{self._checkpoints}/"

    def _state(self, answer: dict[str, Any]) -> JobStatus:
        transitions = answer.get("SecondaryStatusTransitions") or [{}]
        return JobStatus(
            answer["TrainingJobStatus"],
            answer.get("SecondaryStatus") or answer["TrainingJobStatus"],
            transitions[-1].get("StatusMessage"),
            answer.get("FailureReason"),
        )

    def _remember(self, answer: dict[str, Any]) -> None:
        output = S3Url.parse(answer["OutputDataConfig"]["S3OutputPath"])
        self._layout = JobLayout(output, self.name)
        configured = (answer.get("CheckpointConfig") or {}).get("S3Uri")
        self._checkpoints = (configured or str(self._layout.checkpoints)).rstrip("/")


def list_jobs(
    session: Session | None = None, status: str | None = None, name_contains: str | None = None, limit: int = 100
) -> list[JobSummary]:
    """The newest jobs of a cloud, the newest first.

    Args:
        session: the cloud; None for the local one.
        status: only those with this primary status.
        name_contains: only those whose name holds this text.
        limit: at most so many.

    Raises:
        Unreachable: the cloud does not answer.
    """
    return LISTING.newest(session or Session.local(), status, name_contains, limit)


def kind_of(job: Job) -> str | None:
    """``training``, or ``evaluation``, by the script that a job runs; None where there is no such job (any more).

    Raises:
        Unreachable: the cloud does not answer.
    """
    answer = job.find()
    return None if answer is None else kind_in(answer)


def list_by_script(
    session: Session, kinds: tuple[str, ...], status: str | None, name_contains: str | None, limit: int
) -> list[JobSummary]:
    """The newest training jobs of the API that are of one of these kinds, the newest first, each with its kind.

    Raises:
        Unreachable: the cloud does not answer.
    """

    def told() -> Iterator[JobSummary]:
        entries = LISTING.each(session, status, name_contains)
        with ThreadPoolExecutor(THREADS) as threads:
            while several := list(itertools.islice(entries, min(limit, DESCRIBED_AT_ONCE))):
                found = threads.map(lambda entry: kind_of(Job(entry.name, session)), several)
                yield from (
                    replace(entry, kind=kind) for entry, kind in zip(several, found, strict=True) if kind in kinds
                )

    return list(itertools.islice(told(), limit))


def program_of(job: Job) -> object:
    """The script that a job runs, None where its request names none."""
    return program_in(job.describe())
