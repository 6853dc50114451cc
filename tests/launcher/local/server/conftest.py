"""An API server in this process, for its operations; a real cloud in processes of its own, for its life."""

from __future__ import annotations

import datetime
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_servers import KEYS, RunningServer

from launcher.local import cloud
from launcher.local.host.address import ACCOUNT_ID, REGION, StoreAddress
from launcher.local.host.home import HomePaths
from launcher.local.records.records import Records
from launcher.local.server.app import App
from launcher.local.server.connections import Connections, Refusals
from launcher.local.server.gateway import Gateway
from launcher.local.server.moto_services import MotoServices
from launcher.local.server.operations.context import Context
from launcher.local.server.protocol.auth import Keyring
from launcher.local.server.webserver import ApiWebServer


@pytest.fixture
def api_server(tmp_path: Path) -> Iterator[RunningServer]:
    paths = HomePaths.of(tmp_path / "data folder")
    paths.create()
    handed: list[str] = []
    records = Records(paths.records)
    context = Context(paths, records, REGION, ACCOUNT_ID, lambda name, kind: handed.append(name), time.time)
    keyring = Keyring(KEYS, paths)
    times: dict[str, datetime.timedelta] = {}
    app = App(
        context,
        keyring,
        Gateway(lambda: StoreAddress("http://127.0.0.1:9", REGION, "nobody-home", "nothing")),
        MotoServices(ACCOUNT_ID, keyring),
        dict,
        now=lambda: datetime.datetime.now(datetime.UTC) + times.get("ahead", datetime.timedelta()),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = ApiWebServer(listener, app, Connections(), Refusals())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield RunningServer(f"http://127.0.0.1:{server.port}", context, handed, times)
    server.shutdown()
    thread.join(10)
    server.server_close()
    listener.close()
    records.close()
    paths.runtime.rmdir()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose cloud is taken down after the test."""
    folder = tmp_path / "data folder ü"
    yield folder
    cloud.down(folder, stop_jobs=True)
