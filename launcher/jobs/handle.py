"""What runs on a cloud, by its name: its state, its log and its end. Jobs of every kind and endpoints are handles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import botocore
import botocore.exceptions

from batchrl.contract.errors import InputError
from launcher.api.names import MAX_NAME, NAME_PATTERN
from launcher.base.clock import Clock, SystemClock
from launcher.jobs import waiting
from launcher.jobs.status import JobStatus
from launcher.session.answers import is_unknown
from launcher.session.session import Session


class Handle(ABC):
    """Something that runs, by its name.

    Args:
        name: its name.
        session: the cloud that it is on.
        clock: time, for tests.

    Attributes:
        kind: one of those of ``launcher.api.constants``.
        member: what the API calls it: ``TrainingJob`` in DescribeTrainingJob and TrainingJobName.
        longest: most characters of a name; there is none of a longer one, and the API refuses to look.
        noun: what sentences call it.
        arrived: what has happened to it when ``wait`` returns, in sentences.
        is_short: whether it is usually waited for for seconds, so that it is looked at more often on this computer.
    """

    kind: ClassVar[str]
    member: ClassVar[str]
    longest: ClassVar[int] = MAX_NAME
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
                if is_unknown(error) or len(self.name) > self.longest or not NAME_PATTERN.fullmatch(self.name):
                    return None
                raise

    def status(self, raw_faults: bool = False) -> JobStatus:
        """Its state.

        Args:
            raw_faults: whether botocore's errors come as they are, for those who tell them apart; else as in
                ``describe``.
        """
        return self._state(self._ask() if raw_faults else self.describe())

    def state_in(self, answer: dict[str, Any]) -> JobStatus:
        """The state that an answer of ``describe`` tells; nothing is asked."""
        return self._state(answer)

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

    def logs(self, follow: bool = True, tail: int | None = None) -> Iterator[str]:
        """The lines of the log.

        Args:
            follow: whether to go on until the end; else what is there now.
            tail: of what is there now, only so many lines, the last ones; no more is read. Not with ``follow``.

        Raises:
            InputError: there is none of this name.
            Unreachable: the cloud did not answer for a long time.
        """
        self.describe()
        return waiting.log_lines(self, follow, self._clock, tail=tail)

    @property
    @abstractmethod
    def log_group(self) -> str:
        """The group that its log streams lie in."""

    @property
    def stream_prefix(self) -> str:
        """What the names of its streams begin with; empty where the group is its own."""
        return f"{self.name}/"

    def _ask(self) -> dict[str, Any]:
        """The answer of the API's Describe operation, with botocore's own errors."""
        return self._call("Describe")

    def _call(self, verb: str) -> dict[str, Any]:
        """Send an operation of the API that takes the name alone."""
        operation = getattr(self.session.sagemaker, botocore.xform_name(f"{verb}{self.member}"))
        answer: dict[str, Any] = operation(**{f"{self.member}Name": self.name})
        return answer

    def _state(self, answer: dict[str, Any]) -> JobStatus:
        """The state that an answer tells."""
        status = answer[f"{self.member}Status"]
        return JobStatus(status, status, None, answer.get("FailureReason"))


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
                self._call("Stop")
            except botocore.exceptions.ClientError:
                # Refused for a job that has ended (contract 208); the state tells, not the wording.
                if self.status().ended:
                    return False
                raise
        return True


def where(session: Session) -> str:
    """The place of a session, for sentences."""
    return "on this computer" if session.is_local else f"in {session.region}"
