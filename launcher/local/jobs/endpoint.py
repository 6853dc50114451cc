"""An endpoint from Creating until it is deleted: its servers, and what becomes of them (contract C).

Its record says where the servers listen; the API server passes requests on to them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from launcher.local.host.faults import ALGORITHM, JobFault
from launcher.local.jobs.driver import Driver
from launcher.local.jobs.programs import serving_program
from launcher.local.keys.grants import Grant
from launcher.local.modelserver.server import ModelServer, start_all, stop_all
from launcher.local.records import states
from launcher.local.records.jobrecord import MODELS_MEMBER, VARIANTS_MEMBER
from launcher.local.records.records import ServerRecord
from launcher.local.volumes.modeldata import provide

GRACE_SECONDS = 30.0  # contract 185
START_SECONDS = 240.0  # contract 181
WATCH_SECONDS = 0.5

Variant = Mapping[str, Any]

log = logging.getLogger(__name__)


class EndpointDriver(Driver):
    """One endpoint: it serves until it is deleted, and where it cannot serve it is Failed until then."""

    FAILED = "The endpoint failed"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._servers: list[tuple[Variant, ModelServer]] = []
        self._noted: tuple[ServerRecord, ...] = ()
        self._pause = threading.Event()

    def _close(self, reason: str | None) -> None:
        """Once it is Failed or forgotten, its name may be taken by a new one: all that it has is removed before."""
        self._progress.note(servers=())
        try:
            stop_all([server for _, server in self._servers])
        except Exception:
            log.exception("servers of the endpoint %s cannot be ended", self.record.name)
        self._remove_trees()
        if reason is not None and not self._progress.stop_requested():
            self._fail(reason)
        current = self.records.find(self.record.name, self.record.kind)
        if current is not None and current.stop_requested_at is not None:
            self.records.forget_endpoint(self.record)

    def _work(self) -> None:
        with self._serving_key(self._request[MODELS_MEMBER].values()) as grant:
            self._servers = [
                (variant, self._server(grant, variant, number))
                for number, variant in enumerate(self._instances(), start=1)
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
        variants: list[Variant] = self._request[VARIANTS_MEMBER]
        return [variant for variant in variants for _ in range(variant.get("InitialInstanceCount", 1))]

    def _server(self, grant: Grant | None, variant: Variant, number: int) -> ModelServer:
        model = self._request[MODELS_MEMBER][variant["ModelName"]]
        program = serving_program(
            self.record,
            self.home,
            self.address,
            grant,
            model,
            instance_type=variant["InstanceType"],
            instance=number,
            environment={},
        )
        executor = self._executor_for(program.instance_type)
        provide(self.client, model["PrimaryContainer"], [program.root])
        stream = f"{variant['VariantName']}/i-{number}"
        start_seconds = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", START_SECONDS)
        return ModelServer(
            executor, program, self._folder.log_file(stream), GRACE_SECONDS, start_seconds, self._goes_on
        )

    def _goes_on(self) -> bool:
        return not self._progress.stop_requested()

    def _addresses(self) -> tuple[ServerRecord, ...]:
        return tuple(
            ServerRecord(variant["VariantName"], variant.get("InitialVariantWeight", 1.0), server.address.to_json())
            for variant, server in self._servers
        )
