"""The API server's process on its own: it leaves when nobody needs it, and there is one a folder."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from api_servers import eventually, of_cloud

from batchrl.contract.errors import InputError
from launcher.local import cloud
from launcher.local.host.address import Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId
from launcher.local.server.process import ApiServer

IMPATIENT = """
import sys
from launcher.local.server.process import ApiServer
from launcher.local.host.home import HomePaths
ApiServer(HomePaths.of(sys.argv[1]), (sys.executable, "-c", "input()"), idle_seconds=float(sys.argv[2])).run()
"""


@contextmanager
def _impatient(paths: HomePaths, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """An API server that leaves after so many idle seconds."""
    paths.create()
    Identity.create().write(paths.cloud_file)
    command = [sys.executable, "-c", IMPATIENT, str(paths.root), str(seconds)]
    api_server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    store = eventually(lambda: ProcessId.read(paths.store_process))
    try:
        yield api_server
        _, said = api_server.communicate(timeout=30)
        assert api_server.returncode == 0, said
        assert not store.alive
    finally:
        api_server.kill()
        store.end(1)
    assert not paths.runtime.exists()


def test_an_idle_cloud_leaves_with_its_store_and_all_that_it_held(tmp_path: Path) -> None:
    paths = HomePaths.of(tmp_path / "home")
    with _impatient(paths, 0.2):
        pass
    assert not paths.server_process.exists()
    assert cloud.status(paths.root) is None


def test_the_servers_own_connections_to_the_store_do_not_keep_it(tmp_path: Path) -> None:
    paths = HomePaths.of(tmp_path / "home")
    with _impatient(paths, 1.5):
        status = eventually(lambda: cloud.status(paths.root))
        assert of_cloud("s3", status.address).list_buckets()["Buckets"]


def test_a_second_server_for_one_folder_is_refused(home: Path) -> None:
    cloud.ensure_up(home)
    with pytest.raises(InputError, match="another API server serves"):
        ApiServer(HomePaths.of(home), ("true",))
    assert cloud.status(home) is not None


def test_it_listens_at_a_unix_socket_too(home: Path) -> None:
    cloud.ensure_up(home)
    for path in (HomePaths.of(home).server_socket, HomePaths.of(home).store_socket):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(4) == b"HTTP"


def test_a_server_without_credentials_says_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launcher.local.server.process", "--home", str(tmp_path / "home")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert answer.returncode == 2
    assert "batchrl cloud up" in answer.stderr
    assert "Traceback" not in answer.stderr
    HomePaths.of(tmp_path / "home").runtime.rmdir()
