"""The process that owns one job, from its claim to its end; it goes on whatever becomes of the API server."""

from __future__ import annotations

import contextlib
import logging
import os

import boto3

from launcher.api.constants import ENDPOINT, PROCESSING, TRAINING, TRANSFORM, TUNING
from launcher.local.executors.base import Executor
from launcher.local.host.address import Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId
from launcher.local.jobs.driver import Driver
from launcher.local.jobs.endpoint import EndpointDriver
from launcher.local.jobs.processing import ProcessingDriver
from launcher.local.jobs.training import TrainingDriver
from launcher.local.jobs.transform import TransformDriver
from launcher.local.jobs.tuning import TuningDriver
from launcher.local.records.records import Records

DRIVERS: dict[str, type[Driver]] = {
    TRAINING: TrainingDriver,
    TRANSFORM: TransformDriver,
    PROCESSING: ProcessingDriver,
    TUNING: TuningDriver,
    ENDPOINT: EndpointDriver,
}

log = logging.getLogger(__name__)


def run(home: HomePaths, session: boto3.Session, kind: str, name: str, executor: Executor | None = None) -> int:
    """Claim a job and take it to its end.

    Args:
        home: the data folder.
        session: where the S3 client is made.
        kind: kind of job.
        name: the job.
        executor: what runs it; by default the one of its instance type.

    Returns:
        0 when the job came to an end, whichever; 1 when it is not this process's to run.
    """
    own = ProcessId.of(os.getpid())
    assert own is not None
    with contextlib.closing(Records(home.records)) as records:
        record = records.get(name, kind)
        if not records.claim(name, own.pid, own.started_at, kind) and record.shim_pid != own.pid:
            log.error("%s has a shim already: process %s", name, record.shim_pid)
            return 1
        identity = Identity.read(home.cloud_file)
        if identity is None:
            log.error("%s is gone: %s cannot be run", home.cloud_file, name)
            return 1
        address = identity.address(home)
        DRIVERS[kind](home, address, records, record, address.store.client(session), executor).run()
    return 0
