"""What runs on a cloud, by its name: its state, its log and its end. Jobs of every kind and endpoints are handles."""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import botocore.exceptions

from batchrl.contract.errors import InputError
from launcher.api.constants import TRAINING
from launcher.api.training import NAME_PATTERN
from launcher.clock import Clock, SystemClock
from launcher.jobs import waiting
from launcher.session.session import Session

TERMINAL = frozenset({"Completed", "Failed", "Stopped"})
GONE = frozenset({"ResourceNotFound", "ResourceNotFoundException"})


@dataclass(frozen=True)
class JobStatus:
    """The state of a job at one moment.

    Args:
        status: InProgress, Stopping, Completed, Failed, Stopped, or one that this version does not know.
        secondary: the finer state of a training job (contract 99 to 103); ``status`` where there is none (176).
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
    """One line of a list; times are in UTC.

    Args:
        name: of the job or endpoint.
        status: its state.
        created_at, ended_at, modified_at: when; None where it has not happened, or the cloud does not say.
        kind: ``training``, ``transform`` or ``endpoint``.
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
        filters = {"StatusEquals": status, "NameContains": name_contains}
        client = session.sagemaker
        with session.reported(f"listing the {self.kind} jobs" if self.ended else f"listing the {self.kind}s", client):
            pages = client.get_paginator(self.operation).paginate(
                SortBy="CreationTime",
                SortOrder="Descending",
                PaginationConfig={"MaxItems": limit, "PageSize": min(limit, 100)},
                **{key: value for key, value in filters.items() if value},
            )
            return [self._summary(entry) for page in pages for entry in page[self.entries]]

    def _summary(self, entry: dict[str, Any]) -> JobSummary:
        return JobSummary(
            entry[f"{self.prefix}Name"],
            entry[f"{self.prefix}Status"],
            entry["CreationTime"],
            entry.get(self.ended) if self.ended else None,
            entry.get("LastModifiedTime"),
            self.kind,
        )


class Handle(ABC):
    """Something that runs, by its name.

    Args:
        name: its name.
        session: the cloud that it is on.
        clock: time, for tests.

    Attributes:
        kind: ``training``, ``transform`` or ``endpoint``.
        noun: what sentences call it.
        arrived: what has happened to it when ``wait`` returns, in sentences.
        is_short: whether it is usually waited for for seconds, so that it is looked at more often on this computer.
    """

    kind: ClassVar[str]
    noun: ClassVar[str]
    arrived: ClassVar[str] = "ended"
    is_short: ClassVar[bool] = False

    def __init__(self, name: str, session: Session, clock: Clock | None = None) -> None:
        self.name = name
        self.session = session
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @classmethod
    def attach(cls, name: str, session: Session | None = None) -> Self:
        """One that exists already.

        Args:
            name: its name.
            session: the cloud that it is on; None for the local one.

        Raises:
            InputError: there is none of this name.
            Unreachable: the cloud does not answer.
        """
        found = cls(name, session or Session.local())
        found.describe()
        return found

    def describe(self) -> dict[str, Any]:
        """The answer of the API's Describe operation.

        Raises:
            InputError: there is none of this name.
            Unreachable: the cloud does not answer.
        """
        answer = self.find()
        if answer is None:
            raise InputError(
                f"there is no {self.noun} named '{self.name}' {where(self.session)}.",
                f"List them: batchrl ps --kind {self.kind}",
            )
        return answer

    def find(self) -> dict[str, Any] | None:
        """As ``describe``, but None where there is none of this name.

        Raises:
            Unreachable: the cloud does not answer.
        """
        with self.session.reported(f"looking at the {self.noun} {self.name}", self.session.sagemaker):
            try:
                return self._ask()
            except botocore.exceptions.ClientError as error:
                if is_unknown(error) or not NAME_PATTERN.fullmatch(self.name):
                    return None
                raise

    def status(self, raw_faults: bool = False) -> JobStatus:
        """Its state.

        Args:
            raw_faults: whether botocore's errors come as they are, for those who tell them apart; else as in
                ``describe``.
        """
        return self._state(self._ask() if raw_faults else self.describe())

    def wait(
        self, timeout: float | None = None, logs: bool | Callable[[str], object] = False, check: bool = True
    ) -> JobStatus:
        """Wait until it has ended; for an endpoint, until it is in service.

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
        return waiting.wait(self, timeout, logs, check, self._clock)

    def logs(self, follow: bool = True) -> Iterator[str]:
        """The lines of the log.

        Args:
            follow: whether to go on until the end; else what is there now.

        Raises:
            InputError: there is none of this name.
            Unreachable: the cloud did not answer for a long time.
        """
        self.describe()
        return waiting.log_lines(self, follow, self._clock)

    @property
    @abstractmethod
    def log_group(self) -> str:
        """The group that its log streams lie in."""

    @property
    def stream_prefix(self) -> str:
        """What the names of its streams begin with; empty where the group is its own."""
        return f"{self.name}/"

    @abstractmethod
    def _ask(self) -> dict[str, Any]:
        """The answer of the API's Describe operation, with botocore's own errors."""

    @abstractmethod
    def _state(self, answer: dict[str, Any]) -> JobStatus:
        """The state that an answer tells."""


class JobHandle(Handle):
    """A job of any kind: it ends by itself, and can be stopped before."""

    def stop(self) -> bool:
        """Ask the job to stop; it ends a little later, at most 120 s (contract 88).

        Returns:
            False when there was nothing to stop: it had ended.

        Raises:
            InputError: there is no such job.
        """
        with self.session.reported(f"stopping the {self.noun} {self.name}", self.session.sagemaker):
            try:
                self._ask_to_stop()
            except botocore.exceptions.ClientError:
                # Refused for a job that has ended (contract 208); the state tells, not the wording.
                if self.status().ended:
                    return False
                raise
        return True

    @abstractmethod
    def _ask_to_stop(self) -> None:
        """Send the API's Stop operation."""


def is_unknown(error: botocore.exceptions.ClientError) -> bool:
    """Whether an answer says that there is no such thing; the code alone does not tell it (contract 209)."""
    answer = error.response.get("Error", {})
    text = answer.get("Message", "").lower()
    return answer.get("Code") in GONE or "not found" in text or "could not find" in text


def where(session: Session) -> str:
    """The place of a session, for sentences."""
    return "on this computer" if session.is_local else f"in {session.region}"
