"""A job that was submitted: its state, log and results, on either cloud."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from batchrl.contract.errors import InputError
from batchrl.contract.layout import JobLayout, S3Url
from batchrl.contract.store import list_objects
from launcher import watch
from launcher.clock import Clock, SystemClock
from launcher.request import NAME_PATTERN
from launcher.session import Session

if TYPE_CHECKING:
    from launcher.metrics import Metrics
    from launcher.pull import PullReport

TERMINAL = frozenset({"Completed", "Failed", "Stopped"})
GONE = frozenset({"ResourceNotFound", "ResourceNotFoundException"})


@dataclass(frozen=True)
class JobStatus:
    """The state of a job at one moment.

    Args:
        status: InProgress, Stopping, Completed, Failed, Stopped, or one that this version does not know.
        secondary: the finer state (contract 99 to 103).
        message: what the platform says about it.
        failure_reason: why it failed.
    """

    status: str
    secondary: str
    message: str | None = None
    failure_reason: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    def __str__(self) -> str:
        return self.status if self.status == self.secondary else f"{self.status} ({self.secondary})"


@dataclass(frozen=True)
class JobSummary:
    """One line of a list of jobs; times are in UTC."""

    name: str
    status: str
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    modified_at: datetime.datetime | None


class Job:
    """A training job by its name.

    Args:
        name: its name.
        session: the cloud that it is on.
        clock: time, for tests.
    """

    def __init__(self, name: str, session: Session, clock: Clock | None = None) -> None:
        self.name = name
        self.session = session
        self._clock = clock or SystemClock()
        self._layout: JobLayout | None = None
        self._checkpoints: str | None = None

    def __repr__(self) -> str:
        return f"Job({self.name!r})"

    @classmethod
    def attach(cls, name: str, session: Session | None = None) -> Job:
        """A job that exists already.

        Args:
            name: its name.
            session: the cloud that it is on; None for the local one.

        Raises:
            InputError: there is no such job.
            Unreachable: the cloud does not answer.
        """
        job = cls(name, session or Session.local())
        job.describe()
        return job

    def describe(self) -> dict[str, Any]:
        """The answer of DescribeTrainingJob.

        Raises:
            InputError: there is no such job.
            Unreachable: the cloud does not answer.
        """
        with self.session.reported(f"looking at the job {self.name}", self.session.sagemaker):
            try:
                return self._ask()
            except botocore.exceptions.ClientError as error:
                if _is_unknown(error) or not NAME_PATTERN.fullmatch(self.name):
                    raise InputError(
                        f"there is no job named '{self.name}' {_where(self.session)}.", "List them: batchrl ps"
                    ) from error
                raise

    def status(self, raw_faults: bool = False) -> JobStatus:
        """The state of the job.

        Args:
            raw_faults: whether botocore's errors come as they are, for those who tell them apart; else as in
                ``describe``.
        """
        answer = self._ask() if raw_faults else self.describe()
        transitions = answer.get("SecondaryStatusTransitions") or [{}]
        return JobStatus(
            answer["TrainingJobStatus"],
            answer.get("SecondaryStatus") or answer["TrainingJobStatus"],
            transitions[-1].get("StatusMessage"),
            answer.get("FailureReason"),
        )

    def wait(
        self, timeout: float | None = None, logs: bool | Callable[[str], object] = False, check: bool = True
    ) -> JobStatus:
        """Wait for the end of the job.

        Args:
            timeout: seconds; None to wait as long as it takes.
            logs: whether to print the log meanwhile, or what to do with each of its lines.
            check: whether Failed and Stopped raise.

        Raises:
            JobFailed: it failed; the message holds the reason and the end of its log.
            JobStopped: it was stopped, or reached its time limit.
            TimeoutError: it has not ended within ``timeout``; it goes on.
            Unreachable: the cloud did not answer for a long time.
        """
        return watch.wait(self, timeout, logs, check, self._clock)

    def logs(self, follow: bool = True) -> Iterator[str]:
        """The lines of the job's log.

        Args:
            follow: whether to go on until the job ends; else what is there now.

        Raises:
            InputError: there is no such job.
            Unreachable: the cloud did not answer for a long time.
        """
        self.describe()
        return watch.log_lines(self, follow, self._clock)

    def stop(self) -> bool:
        """Ask the job to stop; it ends a little later, at most 120 s (contract 88).

        Returns:
            False when there was nothing to stop: it had ended.

        Raises:
            InputError: there is no such job.
        """
        client = self.session.sagemaker
        with self.session.reported(f"stopping the job {self.name}", client):
            try:
                client.stop_training_job(TrainingJobName=self.name)
            except botocore.exceptions.ClientError:
                # Refused for a job that has ended (contract 208); the state tells, not the wording.
                if self.status().ended:
                    return False
                raise
        return True

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
        from launcher.metrics import Metrics

        return Metrics.read(self.session, self.layout)

    def pull(
        self,
        folder: str | Path,
        what: str = "all",
        unpack: bool = False,
        on_bytes: Callable[[int], None] = lambda count: None,
    ) -> PullReport:
        """Copy results into a folder; see ``launcher.pull.pull``."""
        from launcher.pull import pull

        return pull(self, Path(folder), what, unpack, on_bytes)

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

    def _ask(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.session.sagemaker.describe_training_job(TrainingJobName=self.name)
        return answer

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
    session = session or Session.local()
    client = session.sagemaker
    filters = {"StatusEquals": status, "NameContains": name_contains}
    with session.reported("listing the jobs", client):
        pages = client.get_paginator("list_training_jobs").paginate(
            SortBy="CreationTime",
            SortOrder="Descending",
            PaginationConfig={"MaxItems": limit, "PageSize": min(limit, 100)},
            **{key: value for key, value in filters.items() if value},
        )
        return [_summary(entry) for page in pages for entry in page["TrainingJobSummaries"]]


def _summary(entry: dict[str, Any]) -> JobSummary:
    return JobSummary(
        entry["TrainingJobName"],
        entry["TrainingJobStatus"],
        entry["CreationTime"],
        entry.get("TrainingEndTime"),
        entry.get("LastModifiedTime"),
    )


def _is_unknown(error: botocore.exceptions.ClientError) -> bool:
    """Whether an answer says that there is no such job; the code alone does not tell it (contract 209)."""
    answer = error.response.get("Error", {})
    text = answer.get("Message", "").lower()
    return answer.get("Code") in GONE or "not found" in text or "could not find" in text


def _where(session: Session) -> str:
    return "on this computer" if session.is_local else f"in {session.region}"
