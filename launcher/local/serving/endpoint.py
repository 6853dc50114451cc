"""An endpoint from Creating until it is deleted: its servers, and what becomes of them (contract C).

Its record says where the servers listen; the door passes requests on to them.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Mapping
from typing import Any

from batchrl.contract.store import Client
from launcher.local import states
from launcher.local.address import CloudAddress
from launcher.local.executors.base import Executor
from launcher.local.executors.selection import executor_for
from launcher.local.faults import ALGORITHM, JobFault, internal_fault
from launcher.local.home import HomePaths
from launcher.local.jobrecord import MODELS_MEMBER, VARIANTS_MEMBER
from launcher.local.programs import serving_program
from launcher.local.progress import Progress
from launcher.local.records import JobRecord, Records, ServerRecord
from launcher.local.serving.fleet import start_all, stop_all
from launcher.local.serving.modeldata import provide
from launcher.local.serving.server import ModelServer

GRACE_SECONDS = 30.0  # contract 185
START_SECONDS = 240.0  # contract 181
WATCH_SECONDS = 0.5
# Every so many looks at the record one at the servers.
LOOKS_A_PING = 10

Variant = Mapping[str, Any]

log = logging.getLogger(__name__)


class Endpoint:
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
        self._pause = threading.Event()

    def run(self) -> None:
        """Serve until the endpoint is deleted; an endpoint that cannot serve is Failed until then."""
        try:
            self._serve()
        except JobFault as fault:
            self._fail(fault.reason)
        except Exception as error:
            log.exception("the endpoint %s cannot go on", self._record.name)
            self._fail(internal_fault(f"{type(error).__name__}: {error}").reason)
        finally:
            stop_all([server for _, server in self._servers])
            for root in self._home.job(self._record.key).roots(self._record.instances):
                shutil.rmtree(root, ignore_errors=True)
        if self._progress.stop_requested():
            self._records.forget_endpoint(self._record.name)
        log.info("%s ended", self._record.key)

    def _serve(self) -> None:
        self._servers = [
            (variant, self._server(variant, number)) for number, variant in enumerate(self._instances(), start=1)
        ]
        start_all([server for _, server in self._servers])
        self._progress.move(states.IN_SERVICE, "The endpoint is in service", servers=self._addresses())
        looks = 0
        while not self._progress.stop_requested():
            self._pause.wait(WATCH_SECONDS)
            looks += 1
            if looks % LOOKS_A_PING == 0:
                self._look_after()

    def _look_after(self) -> None:
        """Replace servers that died; one that cannot be replaced is the endpoint's failure."""
        for variant, server in self._servers:
            if not server.is_well() and not server.recover() and not self._progress.stop_requested():
                raise JobFault(
                    f"{ALGORITHM}: the server of variant '{variant['VariantName']}' ended and cannot be started again."
                )
        if (servers := self._addresses()) != self._records.get(self._record.name, self._record.kind).servers:
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

    def _fail(self, reason: str) -> None:
        log.error("%s: %s", self._record.key, reason)
        self._progress.move(states.FAILED, "The endpoint failed", failure_reason=reason, servers=())
