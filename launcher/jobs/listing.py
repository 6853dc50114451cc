"""Lists of jobs and endpoints, newest first, through the API's List operations."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from launcher.api.constants import TRAINING
from launcher.session.session import Session

# Entries of one answer of the API, at most.
PAGE = 100


@dataclass(frozen=True)
class JobSummary:
    """One line of a list; times are in UTC.

    Args:
        name: of the job or endpoint.
        status: its state.
        created_at, ended_at, modified_at: when; None where it has not happened, or the cloud does not say.
        kind: one of ``launcher.jobs.kinds.KINDS``; ``evaluation`` where it was looked at what a job runs.
    """

    name: str
    status: str
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    modified_at: datetime.datetime | None
    kind: str = TRAINING


@dataclass(frozen=True)
class Listing:
    """How the API lists one kind of thing.

    Args:
        operation: name of the client's method.
        entries: key of the answer's list.
        prefix: what the keys ``Name`` and ``Status`` of an entry begin with.
        ended: key of the time of its end; None where it has none.
        kind: what is listed.
    """

    operation: str
    entries: str
    prefix: str
    ended: str | None
    kind: str

    def newest(self, session: Session, status: str | None, name_contains: str | None, limit: int) -> list[JobSummary]:
        """The newest ones, the newest first.

        Args:
            session: the cloud.
            status: only those in this state.
            name_contains: only those whose name holds this text.
            limit: at most so many.

        Raises:
            Unreachable: the cloud does not answer.
        """
        return list(self.each(session, status, name_contains, limit))

    def each(
        self,
        session: Session,
        status: str | None,
        name_contains: str | None,
        limit: int | None = None,
        before: datetime.datetime | None = None,
    ) -> Iterator[JobSummary]:
        """As ``newest``, but page by page as they are read; None for all of them.

        Args:
            session, status, name_contains, limit: as there.
            before: only those that were created before, a whole second; None for all.
        """
        filters = {"StatusEquals": status, "NameContains": name_contains, "CreationTimeBefore": before}
        client = session.sagemaker
        with session.reported(f"listing the {self.kind} jobs" if self.ended else f"listing the {self.kind}s", client):
            pages = client.get_paginator(self.operation).paginate(
                SortBy="CreationTime",
                SortOrder="Descending",
                PaginationConfig={"MaxItems": limit, "PageSize": min(limit or PAGE, PAGE)},
                **{key: value for key, value in filters.items() if value},
            )
            for page in pages:
                yield from (self._summary(entry) for entry in page[self.entries])

    def _summary(self, entry: dict[str, Any]) -> JobSummary:
        return JobSummary(
            entry[f"{self.prefix}Name"],
            entry[f"{self.prefix}Status"],
            entry["CreationTime"],
            entry.get(self.ended) if self.ended else None,
            entry.get("LastModifiedTime"),
            self.kind,
        )
