"""The record of one job, what may be asked of many, and how a record moves and is stored: values and pure functions."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import asdict, dataclass, fields
from typing import Any

from batchrl.contract.text import storable
from launcher.api.constants import ENDPOINT, PROCESSING, TRAINING, TRANSFORM, TUNING
from launcher.local.records import states

MACHINES = {
    TRAINING: states.TRAINING_JOB,
    TRANSFORM: states.TRANSFORM_JOB,
    PROCESSING: states.PROCESSING_JOB,
    TUNING: states.TUNING_JOB,
    ENDPOINT: states.ENDPOINT,
}
# What the API server keeps in a record's request beside the caller's members: the model of a transform job, variants
# and models of an endpoint, as they were when it was created. They may be deleted while it waits or runs.
MODEL_MEMBER = "Model"
MODELS_MEMBER = "Models"
VARIANTS_MEMBER = "ProductionVariants"
# Also there: whether a job created it, so that it runs in containers and never as processes of this computer.
CONTAINED_MEMBER = "Contained"
# And the tuning job that a training job was created by.
TUNING_MEMBER = "TuningJobArn"
# Kinds whose results lie on disk until they are in S3.
PUBLISHING = (TRAINING, PROCESSING)
MAX_STATUS_MESSAGE = 1024
MAX_FAILURE_REASON = 1024


@dataclass(frozen=True)
class Transition:
    """One entry of SecondaryStatusTransitions; times are seconds since 1970, only the last has no end."""

    status: str
    started_at: float
    ended_at: float | None
    message: str


@dataclass(frozen=True)
class Metric:
    """The last value of one metric definition (contract 115)."""

    name: str
    value: float
    at: float


@dataclass(frozen=True)
class ServerRecord:
    """One model server of an endpoint.

    Args:
        variant: the production variant that it belongs to.
        weight: share of the variant's requests beside the other variants'.
        address: where it listens, as ``ServerAddress.to_json`` writes it.
    """

    variant: str
    weight: float
    address: dict[str, Any]


@dataclass(frozen=True)
class JobRecord:
    """All that is known about a job, or about an endpoint, which lives like one. Times are seconds since 1970.

    Args:
        name: its name, unique among its kind.
        kind: what it is: ``training``, ``transform``, ``processing``, ``tuning`` or ``endpoint``.
        arn: its ARN.
        request: the request that created it, as it came over the wire.
        created_at: when it was created.
        modified_at: when the record last changed.
        started_at: when it began to use resources (TrainingStartTime); None before that.
        ended_at: when it ended; None before that.
        stop_requested_at: when it was asked to stop, or an endpoint to go; the shim looks for it.
        shim_pid: process id of its shim; None until the job is handed over.
        shim_started_at: start of that process in clock ticks since boot: a pid may be used again.
        executor: ``docker`` or ``process``.
        container: what the executor started, for whoever has to clean up.
        log_stream: name of its newest log stream.
        size_bytes: bytes of its results.
        servers: model servers of an endpoint that is in service.
        published_at: when all that a training or processing job left had reached S3; None where it did not, or nobody
            knows.
        exit_message: what a processing job said at its end.
    """

    name: str
    kind: str
    arn: str
    request: dict[str, Any]
    created_at: float
    modified_at: float
    status: str = states.IN_PROGRESS
    secondary_status: str = states.STARTING
    transitions: tuple[Transition, ...] = ()
    started_at: float | None = None
    ended_at: float | None = None
    failure_reason: str | None = None
    metrics: tuple[Metric, ...] = ()
    model_artifacts: str | None = None
    stop_requested_at: float | None = None
    shim_pid: int | None = None
    shim_started_at: int | None = None
    executor: str | None = None
    container: str | None = None
    log_stream: str | None = None
    size_bytes: int = 0
    servers: tuple[ServerRecord, ...] = ()
    published_at: float | None = None
    exit_message: str | None = None

    @classmethod
    def new(cls, name: str, kind: str, arn: str, request: dict[str, Any], at: float, message: str) -> JobRecord:
        """The record of a job that has just been asked for."""
        machine = MACHINES[kind]
        return cls(
            name,
            kind,
            arn,
            request,
            created_at=at,
            modified_at=at,
            status=machine.running or machine.first,
            secondary_status=machine.first,
            transitions=(Transition(machine.first, at, None, message),),
        )

    @property
    def key(self) -> str:
        """What names its folder, its containers and its sockets; no name holds a dot."""
        return job_key(self.kind, self.name)

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.status in states.ENDED

    @property
    def began(self) -> bool:
        """Whether the program of a training or processing job was started, so that there may be results of it."""
        return any(entry.status in (states.TRAINING, states.PROCESSING) for entry in self.transitions)

    @property
    def unpublished(self) -> bool:
        """Whether a training or processing job's program was started whose results are not known to be in S3."""
        return self.kind in PUBLISHING and self.began and self.published_at is None

    @property
    def instances(self) -> int:
        """How many programs run for it."""
        if self.kind == ENDPOINT:
            return sum(variant.get("InitialInstanceCount", 1) for variant in self.request[VARIANTS_MEMBER])
        return int((self.request.get("TransformResources") or {}).get("InstanceCount", 1))


def job_key(kind: str, name: str) -> str:
    """See ``JobRecord.key``."""
    return name if kind == TRAINING else f"{kind}.{name}"


@dataclass(frozen=True)
class Query:
    """Which jobs to list, in which order; every bound is exclusive, as the API has it.

    Args:
        kind: kind of job.
        name_contains: part of the name.
        status: primary status.
        created_after, created_before, modified_after, modified_before: seconds since 1970.
        sort_by: ``created_at``, ``name`` or ``status``.
        descending: order.
        after: sort value and name of the last job of the page before.
        limit: most records.
    """

    kind: str | None = None
    name_contains: str | None = None
    status: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    modified_after: float | None = None
    modified_before: float | None = None
    sort_by: str = "created_at"
    descending: bool = False
    after: tuple[Any, str] | None = None
    limit: int | None = None


def moved(record: JobRecord, wanted: str, message: str, at: float | None) -> dict[str, Any]:
    """The columns that a transition sets; times never run backwards."""
    last = record.transitions[-1]
    at = max(time.time() if at is None else at, last.started_at)
    stop_requested = record.stop_requested_at is not None
    machine = MACHINES[record.kind]
    secondary = machine.successor(record.secondary_status, wanted, stop_requested)
    status = machine.status_of(secondary, record.status, stop_requested)
    ended = status in states.ENDED
    closed = Transition(last.status, last.started_at, at, last.message)
    entry = Transition(secondary, at, at if ended else None, storable(message)[:MAX_STATUS_MESSAGE])
    columns: dict[str, Any] = {
        "status": status,
        "secondary_status": secondary,
        "transitions": (*record.transitions[:-1], closed, entry),
        "modified_at": at,
    }
    if record.started_at is None and secondary in machine.begun:
        columns["started_at"] = at
    if ended:
        columns["ended_at"] = at
    return columns


COLUMNS = tuple(field.name for field in fields(JobRecord))


def to_row(record: JobRecord) -> dict[str, Any]:
    """A record as the columns of its row."""
    row = {name: getattr(record, name) for name in COLUMNS}
    row["request"] = json.dumps(record.request)
    row["transitions"] = json.dumps([asdict(entry) for entry in record.transitions])
    row["metrics"] = json.dumps([asdict(entry) for entry in record.metrics])
    row["servers"] = json.dumps([asdict(entry) for entry in record.servers])
    if record.failure_reason is not None:
        row["failure_reason"] = storable(record.failure_reason)[:MAX_FAILURE_REASON]
    return row


def from_row(row: sqlite3.Row) -> JobRecord:
    """The record that a row holds."""
    values = {name: row[name] for name in COLUMNS}
    values["request"] = json.loads(values["request"])
    values["transitions"] = tuple(Transition(**entry) for entry in json.loads(values["transitions"]))
    values["metrics"] = tuple(Metric(**entry) for entry in json.loads(values["metrics"]))
    values["servers"] = tuple(ServerRecord(**entry) for entry in json.loads(values["servers"]))
    return JobRecord(**values)
