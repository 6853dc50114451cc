"""The API server's process: ``python -m launcher.local.server.process --home HOME``; ``cloud.ensure_up`` starts it."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from batchrl.contract.errors import BatchRLError, InputError
from launcher.local.host.address import ACCOUNT_ID, HOST, REGION, Identity, StoreAddress, StoreSettings, free_ports
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import allow_descriptors
from launcher.local.host.role import Tenure
from launcher.local.host.store import EmbeddedStore, running_store
from launcher.local.host.version import fingerprint, version
from launcher.local.keys import grants
from launcher.local.records.records import SCHEMA_VERSION, Records
from launcher.local.server.app import App
from launcher.local.server.connections import MOST, Connections, Refusals
from launcher.local.server.gateway import Gateway
from launcher.local.server.idle import IDLE_SECONDS, IdleWatch
from launcher.local.server.moto_services import MotoServices
from launcher.local.server.operations.context import Context
from launcher.local.server.protocol.auth import Keyring, Keys
from launcher.local.server.upkeep import Upkeep
from launcher.local.server.webserver import ApiWebServer
from launcher.local.shims.pool import ShimPool, forkserver_command

KEEP_SECONDS = 2.0
# Each caller takes one, and another where it is passed on to the store.
DESCRIPTORS = 8 * MOST

log = logging.getLogger(__name__)


class ApiServer:
    """Everything that one API server holds.

    Args:
        paths: the data folder; it holds cloud.json.
        command: how the forkserver of its shims is started.
        idle_seconds: how long nothing must happen until the cloud leaves.

    Raises:
        InputError: another API server serves this folder, or the folder cannot be used.
    """

    def __init__(self, paths: HomePaths, command: Sequence[str], idle_seconds: float = IDLE_SECONDS) -> None:
        self._paths = paths
        self._tenure = _only_server(paths)
        self._settings = StoreSettings.read(paths.settings)
        self._sockets, self._identity = _bound(paths, _identity(paths))
        self._store = None if self._settings else EmbeddedStore(paths, self._identity)
        if self._store:
            self._store.start()
        self._records = Records(paths.records)
        self._upkeep = Upkeep(paths, self._identity, self._tenure)
        self._pool = ShimPool(paths, self._records, command)
        self._gateway = Gateway(self._store_address)
        self._idle = IdleWatch(lambda: bool(self._records.running()), self._store_in_use, idle_seconds)
        self._stopping = threading.Event()
        self._fingerprint = fingerprint()
        own = Keys(self._identity.access_key, self._identity.secret_key)
        keyring = Keyring(own, paths)
        context = Context(paths, self._records, REGION, ACCOUNT_ID, self._assign, time.time)
        app = App(
            context,
            keyring,
            self._gateway,
            MotoServices(ACCOUNT_ID, keyring),
            self._version,
            self._idle.touch,
            refusals=(refusals := Refusals()),
        )
        connections = Connections()
        self._servers = [ApiWebServer(one, app, connections, refusals) for one in self._sockets]

    def run(self) -> None:
        """Serve until a signal or idleness ends it. The store stays, except when the whole cloud is idle."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        threads = [threading.Thread(target=one.serve_forever, args=(0.1,), daemon=True) for one in self._servers]
        for thread in threads:
            thread.start()
        self._tenure.announce()
        log.info("API server %s listens at %s:%s", version(), HOST, self._identity.api_port)
        self._pool.tell(version())
        idle = self._keep()
        self._pool.close()
        for server in self._servers:
            server.shutdown()
        if self._store and (idle or not self._upkeep.has_its_folder()):
            self._store.stop()
        self._paths.server.forget()
        self._paths.server_socket.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the store, or a job, may still listen there
            self._paths.runtime.rmdir()
        log.info("API server leaves%s", ", nobody needed it" if idle else "")

    def _keep(self) -> bool:
        """Look after store, shims and jobs; True when it ended because nothing happened any more."""
        while not self._stopping.is_set():
            try:
                if not self._upkeep.keep():
                    return False
                if self._store and self._store.start():
                    log.warning("the store was gone; started it again")
                self._pool.reconcile()
                self._pool.keep()
                grants.sweep(self._paths, self._living)
                if self._idle.expired():
                    return True
            except Exception as error:
                if self._upkeep.report(error):
                    return False
            self._stopping.wait(KEEP_SECONDS)
        return False

    def _living(self, jobs: Collection[str]) -> set[str]:
        """Which of some jobs, by their keys in the records, have not ended."""
        return {record.key for record in self._records.running()}.intersection(jobs)

    def _assign(self, name: str, kind: str) -> None:
        try:
            self._pool.assign(name, kind)
        except OSError:
            log.exception("%s %s gets its shim later", kind, name)

    def _store_in_use(self) -> bool:
        self._gateway.let_go()  # or the API server would take itself for somebody who uses the store
        return self._store is not None and self._store.in_use()

    def _store_address(self) -> StoreAddress:
        return self._identity.address(self._paths).store

    def _version(self) -> dict[str, Any]:
        if self._store:
            self._store.start()
            self._store.wait()
        return {
            "version": version(),
            "fingerprint": self._fingerprint,
            "schema": SCHEMA_VERSION,
            "pid": os.getpid(),
            "store": self._settings.endpoint_url if self._settings else "embedded",
        }


def _only_server(paths: HomePaths) -> Tenure:
    """Be the one API server of a data folder; the system lets another be when this process ends."""
    tenure = paths.server.take()
    if tenure is None:
        raise InputError(f"another API server serves {paths.root} already.")
    return tenure


def _identity(paths: HomePaths) -> Identity:
    identity = Identity.read(paths.cloud_file)
    if identity is None:
        raise InputError(f"{paths.cloud_file} is not there.", "Run: batchrl cloud up")
    return identity


def _bound(paths: HomePaths, identity: Identity) -> tuple[list[socket.socket], Identity]:
    """Listening sockets, and the identity with other ports where somebody else has taken ours."""
    try:
        listener = socket.create_server((HOST, identity.api_port), backlog=128)
    except OSError as error:
        listener = socket.create_server((HOST, 0), backlog=128)
        port = int(listener.getsockname()[1])
        log.warning("port %s is taken (%s); the API server moves to %s", identity.api_port, error.strerror, port)
        identity = identity.with_ports(api_port=port)
    if running_store(paths) is None and not _free(identity.store_port):
        identity = identity.with_ports(store_port=free_ports(1)[0])
        log.warning("the store's port is taken; it moves to %s", identity.store_port)
    if identity != _identity(paths):
        identity.write(paths.cloud_file)
    paths.server_socket.unlink(missing_ok=True)
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(paths.server_socket))
    local.listen(128)
    return [listener, local], identity


def _free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an API server until it is told to end."""
    parser = argparse.ArgumentParser(
        prog="python -m launcher.local.server.process", description="The API of a local cloud."
    )
    parser.add_argument("--home", type=Path, required=True, help="data folder")
    paths = HomePaths.of(parser.parse_args(arguments).home)
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    allow_descriptors(DESCRIPTORS)
    try:
        paths.create()
        ApiServer(paths, forkserver_command(paths)).run()
    except BatchRLError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
