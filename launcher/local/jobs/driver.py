"""What is the same in driving a training job, a transform job and an endpoint: its parts, and how its run ends."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import ShimBegan
from launcher.local.events.storewatch import StoreWatch
from launcher.local.executors.base import Executor
from launcher.local.executors.recorded import RecordedExecutor
from launcher.local.executors.selection import executor_for
from launcher.local.host.address import CloudAddress
from launcher.local.host.faults import JobFault, internal_fault, storage_fault
from launcher.local.host.home import HomePaths
from launcher.local.host.trees import remove_trees
from launcher.local.host.version import version
from launcher.local.jobs.programs import is_isolated
from launcher.local.jobs.progress import Progress, StopRequested
from launcher.local.keys import grants
from launcher.local.keys.grants import Grant
from launcher.local.keys.places import Places, serving_places, serving_role
from launcher.local.records import states
from launcher.local.records.jobrecord import CONTAINED_MEMBER
from launcher.local.records.records import JobRecord, Records

GRACE_VARIABLE = "BATCHRL_STOP_GRACE_SECONDS"
DEFAULT_GRACE_SECONDS = 120.0

log = logging.getLogger(__name__)


def stop_grace() -> float:
    """Seconds between SIGTERM and SIGKILL: the platform's 120, or what the cloud was started with."""
    return float(os.environ.get(GRACE_VARIABLE) or DEFAULT_GRACE_SECONDS)


@dataclass(eq=False, repr=False)
class Driver(ABC):
    """One job or endpoint, driven to its end.

    Args:
        home: the data folder.
        address: its cloud.
        records: its records.
        record: the job or endpoint.
        client: S3 client of its store.
        executor: what runs its programs; None for the one that the instance type means.

    Attributes:
        STOPPED: the message of its status when it was stopped before its work was done; an endpoint has none, as it
            does not become Stopped.
        FAILED: the message when it failed.
    """

    STOPPED: ClassVar[str]
    FAILED: ClassVar[str]

    home: HomePaths
    address: CloudAddress
    records: Records
    record: JobRecord
    client: Client
    executor: Executor | None = None

    def __post_init__(self) -> None:
        self._request = self.record.request
        self._folder = self.home.job(self.record.key)
        self._events = EventFile(self._folder.events)
        self._progress = Progress(self.records, self.record, self._events)
        self._store_use = StoreWatch(self._events, self._checkpoint_url())
        self._store_use.attach(self.client)

    def run(self) -> None:
        """Take it to a terminal status, whatever happens."""
        reason: str | None = None
        self._events.add(ShimBegan(os.getpid(), version()))
        try:
            self._work()
        except StopRequested:
            self._stopped()
        except JobFault as fault:
            reason = fault.reason
        except Exception as error:
            log.exception("%s cannot go on", self.record.key)
            reason = internal_fault(f"{type(error).__name__}: {error}").reason
        self._events.add(self._store_use.used())
        self._close(reason)
        log.info("%s ended", self.record.key)

    def _checkpoint_url(self) -> S3Url | None:
        """Where checkpoints of the job go, if it has any."""
        return None

    @abstractmethod
    def _work(self) -> None:
        """All of it, up to the terminal status of what went well.

        Raises:
            StopRequested: a stop came before the work was done.
            JobFault: it cannot be done.
        """

    def _stopped(self) -> None:
        """Take the terminal status of what was stopped before its work was done."""
        self._progress.move(states.STOPPED, self.STOPPED)

    def _close(self, reason: str | None) -> None:
        """What follows when the work is over; ``reason`` is why it failed, None where it did not."""
        if reason is not None:
            self._fail(reason)

    def _fail(self, reason: str) -> None:
        """Take the terminal status of a failure."""
        log.error("%s: %s", self.record.key, reason)
        self._progress.move(states.FAILED, self.FAILED, failure_reason=reason)

    @contextmanager
    def _key(self, role_arn: str, places: Places) -> Iterator[Grant]:
        """The job's own key, as long as its program runs: revoked before the job has its results and its last status.

        Raises:
            JobFault: it cannot be stored.
        """
        try:
            grant = grants.issue(self.home, self.record.key, role_arn, places)
        except OSError as error:
            raise storage_fault("making the job's key", error) from error
        try:
            yield grant
        finally:
            try:
                grants.revoke(self.home, self.record.key)
            except OSError as error:
                log.warning("the key of %s is revoked by the API server later: %s", self.record.key, error)

    def _serving_key(self, models: Collection[Mapping[str, Any]]) -> AbstractContextManager[Grant | None]:
        """The key of all model servers of a transform job or an endpoint; none where no model has a network.

        Args:
            models: the CreateModel requests.
        """
        connected = [model for model in models if not is_isolated(model)]
        if not connected:
            return nullcontext()
        return self._key(serving_role(connected), serving_places(connected))

    def _executor_for(self, instance_type: str) -> Executor:
        """What runs the programs, noted in the record."""
        contained = bool(self._request.get(CONTAINED_MEMBER))
        executor = self.executor or executor_for(instance_type, contained=contained)
        self._progress.note(executor=executor.name)
        return RecordedExecutor(executor, self._events)

    def _remove_trees(self) -> None:
        """Remove what played ``/opt/ml``, of all instances; what cannot be removed is logged."""
        remove_trees(self._folder.roots(self.record.instances))
