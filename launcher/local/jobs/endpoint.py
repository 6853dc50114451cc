"""An endpoint from Creating until it is deleted: its servers, and what becomes of them (contract C).

Its record says where the servers listen; the API server passes requests on to them.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Mapping
from typing import Any

from batchrl.contract.store import Client
from launcher.local.executors.base import Executor
from launcher.local.executors.selection import executor_for
from launcher.local.host.address import CloudAddress
from launcher.local.host.faults import ALGORITHM, JobFault, internal_fault
from launcher.local.host.home import HomePaths
from launcher.local.jobs.programs import serving_program
from launcher.local.jobs.progress import Progress
from launcher.local.modelserver.server import ModelServer, start_all, stop_all
from launcher.local.records import states
from launcher.local.records.jobrecord import MODELS_MEMBER, VARIANTS_MEMBER
from launcher.local.records.records import JobRecord, Records, ServerRecord
from launcher.local.volumes.modeldata import provide

GRACE_SECONDS = 30.0  # contract 185
START_SECONDS = 240.0  # contract 181
WATCH_SECONDS = 0.5

Variant = Mapping[str, Any]

log = logging.getLogger(__name__)


class EndpointDriver:
    """One endpoint, driven until it is gone.

    Args:
        home: the data folder.
        address: its cloud.
        records: its records.
        record: the endpoint.
        client: S3 client of its store.
        executor: what runs its servers; None for the ones that the instance types mean.
    """

    def __init__(
        self,
        home: HomePaths,
        address: CloudAddress,
        records: Records,
        record: JobRecord,
        client: Client,
        executor: Executor | None = None,
    ) -> None:
        self._home = home
        self._address = address
        self._records = records
        self._record = record
        self._client = client
        self._executor = executor
        self._progress = Progress(records, record)
        self._servers: list[tuple[Variant, ModelServer]] = []
        self._noted: tuple[ServerRecord, ...] = ()
        self._pause = threading.Event()

    def run(self) -> None:
        """Serve until the endpoint is deleted; an endpoint that cannot serve is Failed until then.

        Once it is Failed or forgotten, its name may be taken by a new one: all that it has is removed before.
        """
        reason = self._serve_to_the_end()
        self._progress.note(servers=())
        try:
            stop_all([server for _, server in self._servers])
        except Exception:
            log.exception("servers of the endpoint %s cannot be ended", self._record.name)
        for root in self._home.job(self._record.key).roots(self._record.instances):
            shutil.rmtree(root, ignore_errors=True)
        if reason is not None and not self._progress.stop_requested():
            log.error("%s: %s", self._record.key, reason)
            self._progress.move(states.FAILED, "The endpoint failed", failure_reason=reason)
        current = self._records.find(self._record.name, self._record.kind)
        if current is not None and current.stop_requested_at is not None:
            self._records.forget_endpoint(self._record)
        log.info("%s ended", self._record.key)

    def _serve_to_the_end(self) -> str | None:
        """Serve; why it cannot be done any more, or None when the endpoint is to go."""
        try:
            self._serve()
        except JobFault as fault:
            return fault.reason
        except Exception as error:
            log.exception("the endpoint %s cannot go on", self._record.name)
            return internal_fault(f"{type(error).__name__}: {error}").reason
        return None

    def _serve(self) -> None:
        self._servers = [
            (variant, self._server(variant, number)) for number, variant in enumerate(self._instances(), start=1)
        ]
        start_all([server for _, server in self._servers])
        self._noted = self._addresses()
        self._progress.move(states.IN_SERVICE, "The endpoint is in service", servers=self._noted)
        while not self._progress.stop_requested():
            self._pause.wait(WATCH_SECONDS)
            self._look_after()

    def _look_after(self) -> None:
        """Replace servers that died; one that cannot be replaced is the endpoint's failure."""
        for variant, server in self._servers:
            if not server.tend() and not self._progress.stop_requested():
                raise JobFault(
                    f"{ALGORITHM}: the server of variant '{variant['VariantName']}' ended and cannot be started again."
                )
        if not self._progress.stop_requested() and (servers := self._addresses()) != self._noted:
            self._noted = servers
            self._progress.note(servers=servers)

    def _instances(self) -> list[Variant]:
        """The variant of each server."""
        variants: list[Variant] = self._record.request[VARIANTS_MEMBER]
        return [variant for variant in variants for _ in range(variant.get("InitialInstanceCount", 1))]

    def _server(self, variant: Variant, number: int) -> ModelServer:
        model = self._record.request[MODELS_MEMBER][variant["ModelName"]]
        program = serving_program(
            self._record,
            self._home,
            self._address,
            model,
            instance_type=variant["InstanceType"],
            instance=number,
            environment={},
        )
        executor = self._executor or executor_for(program.instance_type)
        self._progress.note(executor=executor.name)
        provide(self._client, model["PrimaryContainer"], [program.root])
        folder = self._home.job(self._record.key)
        stream = f"{variant['VariantName']}/i-{number}"
        start_seconds = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", START_SECONDS)
        return ModelServer(executor, program, folder.log_file(stream), GRACE_SECONDS, start_seconds, self._goes_on)

    def _goes_on(self) -> bool:
        return not self._progress.stop_requested()

    def _addresses(self) -> tuple[ServerRecord, ...]:
        return tuple(
            ServerRecord(variant["VariantName"], variant.get("InitialVariantWeight", 1.0), server.address.to_json())
            for variant, server in self._servers
        )
