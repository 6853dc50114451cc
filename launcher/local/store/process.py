"""The store's process: ``python -m launcher.local.store.process --home HOME``; the API server starts it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvloop

from batchrl.contract.errors import BatchRLError, InputError
from launcher.local.host.address import ACCOUNT_ID, BUCKET, HOST, REGION, Identity
from launcher.local.host.home import PRIVATE_FOLDER, HomePaths
from launcher.local.host.processes import allow_descriptors
from launcher.local.store.access import Access
from launcher.local.store.adoption import adopt
from launcher.local.store.call import Engine
from launcher.local.store.catalog import Catalog
from launcher.local.store.contents import Contents
from launcher.local.store.durability import SECONDS, Durability
from launcher.local.store.server import BACKLOG, LOOK_SECONDS, Listener
from launcher.local.store.service import Service

THREADS = 4
# Each caller takes one, each body another.
DESCRIPTORS = 16_384

log = logging.getLogger(__name__)


class StoreProcess:
    """Everything that one store holds.

    Args:
        paths: the data folder; it holds cloud.json.

    Raises:
        InputError: another process serves this folder, or the folder or the port cannot be used.
    """

    def __init__(self, paths: HomePaths) -> None:
        self._paths = paths
        identity = Identity.read(paths.cloud_file)
        if identity is None:
            raise InputError(f"{paths.cloud_file} is not there.", "Run: batchrl cloud up")
        paths.runtime.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        try:
            paths.store.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        except FileNotFoundError:
            raise InputError(f"{paths.root} is gone.") from None
        tenure = paths.store_role.take()
        if tenure is None:
            raise InputError(f"another process serves {paths.store} already.")
        self._tenure = tenure
        # Callers may connect from now on; they are answered once everything is ready.
        self._sockets = _listening(paths, identity)
        self._catalog = Catalog(paths.store_catalog)
        self._contents = Contents(paths.store_contents, self._catalog.first_file)
        self._durability = Durability(paths.store_catalog, self._catalog, self._contents, paths.store)
        self._durability.drop_what_is_not_whole()
        adopt(paths.former_store, self._catalog, self._contents)
        self._catalog.create_bucket(BUCKET)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="files")
        self._background = ThreadPoolExecutor(1, thread_name_prefix="disk")
        engine = Engine(self._catalog, self._contents, self._pool, REGION)
        self._service = Service(engine, Access(paths, identity), ACCOUNT_ID)

    async def run(self) -> None:
        """Serve until a signal ends it."""
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        listeners = [Listener(one, self._service, self._contents, self._pool) for one in self._sockets]
        for listener in listeners:
            await listener.start()
        log.info("the store listens at %s", ", ".join(str(one.getsockname()) for one in self._sockets))
        keeping = [loop.create_task(self._keep(listeners, stopping)), loop.create_task(self._keep_on_disk())]
        await stopping.wait()
        await asyncio.gather(*(listener.end() for listener in listeners))
        self._durability.stop()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)

    async def _keep(self, listeners: Sequence[Listener], stopping: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for listener in listeners:
                listener.look()
            try:
                if not self._tenure.keep():
                    log.error("another process serves %s; this one leaves", self._paths.store)
                    stopping.set()
            except OSError as error:  # a full disk, or the folder is gone
                log.warning("%s: %s", self._paths.store_process, error)

    async def _keep_on_disk(self) -> None:
        loop, swept = asyncio.get_running_loop(), False
        while True:
            try:
                if self._durability.due():
                    written = self._durability.begin()
                    try:
                        await loop.run_in_executor(self._background, self._durability.sync)
                    except BaseException:
                        self._contents.forget(written.unused)
                        raise
                    self._durability.end(written)
                if not swept:
                    removed = await loop.run_in_executor(self._background, self._durability.sweep)
                    swept = True
                    if removed:
                        log.info("removed %d files that no object had", removed)
            except Exception:
                log.exception("bringing the store to the disk")
            await asyncio.sleep(SECONDS)


def _listening(paths: HomePaths, identity: Identity) -> list[socket.socket]:
    try:
        port = socket.create_server((HOST, identity.store_port), backlog=BACKLOG)
    except OSError as error:
        raise InputError(f"port {identity.store_port} of the embedded store is taken ({error.strerror}).") from error
    paths.store_socket.unlink(missing_ok=True)
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(paths.store_socket))
    local.listen(BACKLOG)
    return [port, local]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a store until it is told to end.

    What it acknowledged is with the kernel, so that nothing has to be closed: a thread that still waits for the disk is
    not waited for.
    """
    parser = argparse.ArgumentParser(
        prog="python -m launcher.local.store.process", description="The object store of a local cloud."
    )
    parser.add_argument("--home", type=Path, required=True, help="data folder")
    parser.add_argument("--code", default="", help="digest of the code that runs, for those who look at the process")
    paths = HomePaths.of(parser.parse_args(arguments).home)
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    allow_descriptors(DESCRIPTORS)
    try:
        uvloop.run(StoreProcess(paths).run())
    except BatchRLError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    ended = main()
    logging.shutdown()
    os._exit(ended)
