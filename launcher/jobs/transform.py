"""A transform job that was submitted: its state, log and outputs, on either cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from launcher.api.constants import OUTPUT_SUFFIX, TRANSFORM, TRANSFORM_GROUP
from launcher.jobs import waiting
from launcher.jobs.handle import JobHandle
from launcher.jobs.listing import JobSummary, Listing
from launcher.session.session import Session

if TYPE_CHECKING:
    from batchrl.contract.transfer import Transfer
    from launcher.local.transform.counts import Counts
    from launcher.results.pull import PullReport

# Stores tell times in whole seconds.
SECOND = timedelta(seconds=1)
FAR = timedelta(days=1)
LISTING = Listing("list_transform_jobs", "TransformJobSummaries", "TransformJob", "TransformEndTime", TRANSFORM)


class TransformJob(JobHandle):
    """A transform job by its name.

    Args:
        name: its name.
        session: the cloud that it is on.
        clock: time, for tests.
    """

    kind = TRANSFORM
    member = "TransformJob"
    noun = "transform job"
    is_short = True

    @property
    def log_group(self) -> str:
        """The log group that all transform jobs share."""
        return TRANSFORM_GROUP

    @property
    def output_uri(self) -> str:
        """Prefix of the outputs: ``<output path>/<input>.out`` each (contract 147, 148)."""
        return str(self.output_path / "")

    @property
    def output_path(self) -> S3Url:
        """The place that the request names for the outputs; other jobs may write there, too."""
        return _place_of(self.describe())

    @property
    def model_name(self) -> str:
        """Name of the model."""
        return str(self.describe()["ModelName"])

    def outputs(self) -> list[tuple[str, int]]:
        """Keys and sizes in bytes of the job's outputs, by key.

        Raises:
            InputError: there is no such job, or the bucket may not be listed.
            Unreachable: the store does not answer.
        """
        answer = self.describe()
        with self.session.reported(f"listing {_place_of(answer) / ''}", self.session.s3):
            return [(item.url.key, item.size) for item in self._items(answer, Path())]

    def counts(self) -> Counts | None:
        """How many objects and records the job took, once it has ended; None where nobody counted, as on AWS."""
        if (folder := waiting.local_folder(self)) is None:
            return None
        from launcher.local.transform.counts import Counts

        return Counts.read(folder.counts)

    def pull(self, folder: str | Path, on_bytes: Callable[[int], None] = lambda count: None) -> PullReport:
        """Copy the job's outputs into a folder, by their paths below the output path.

        Args:
            folder: made if need be.
            on_bytes: told the bytes of every part that arrived.

        Raises:
            InputError: there are none.
            DamagedContent: an object could not be read whole.
            Unreachable: the store does not answer.
        """
        from launcher.results.pull import PullReport, fetch_all

        folder, answer = Path(folder), self.describe()
        with self.session.reported(f"pulling outputs of {self.name}", self.session.s3):
            items = list(self._items(answer, folder))
            if not items:
                place = _place_of(answer) / ""
                raise InputError(
                    f"nothing that lies in {place} was stored while the transform job '{self.name}' ran.",
                    "It made no outputs, or another job has replaced them, or they were deleted. See what it says: "
                    f"batchrl logs {self.name}",
                )
            fetched = fetch_all(self.session.s3, items, on_bytes)
        names = tuple(sorted(item.file.relative_to(folder).as_posix() for item in items))
        return PullReport(folder, names, len(fetched), len(items) - len(fetched), sum(item.size for item in fetched))

    def _items(self, answer: dict[str, Any], folder: Path) -> Iterator[Transfer]:
        """What was stored while the job ran: other jobs may write to the same place before and after it.

        Jobs that write to one place at the same time cannot be told apart.
        """
        from launcher.results.pull import listed

        if (span := self._span(answer)) is None:
            return
        first, last = span
        for item in listed(self.session.s3, _place_of(answer) / "", folder):
            if item.url.key.endswith(OUTPUT_SUFFIX) and item.modified is not None and first <= item.modified <= last:
                yield item

    def _span(self, answer: dict[str, Any]) -> tuple[datetime, datetime] | None:
        """When the job stored its outputs, by the store's clock; None if it never came so far."""
        if (begun := answer.get("TransformStartTime")) is None:
            return None
        ended = answer.get("TransformEndTime") or datetime.now(UTC) + FAR
        skew = self._skew(_place_of(answer)) if self.session.is_local else timedelta()
        return begun + skew - SECOND, ended + skew + SECOND

    def _skew(self, place: S3Url) -> timedelta:
        """By how much the clock of a store of the user's own is ahead of this computer's."""
        answer = self.session.s3.head_bucket(Bucket=place.bucket)
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(told) - datetime.now(UTC) if told else timedelta()


def _place_of(answer: dict[str, Any]) -> S3Url:
    """The output path in an answer of DescribeTransformJob."""
    return S3Url.parse(answer["TransformOutput"]["S3OutputPath"])


def list_transform_jobs(
    session: Session | None = None, status: str | None = None, name_contains: str | None = None, limit: int = 100
) -> list[JobSummary]:
    """The newest transform jobs of a cloud, the newest first; as ``launcher.list_jobs``."""
    return LISTING.newest(session or Session.local(), status, name_contains, limit)
