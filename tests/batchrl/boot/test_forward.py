"""Ports of a container that lead to mounted sockets."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from batchrl.contract import forward
from batchrl.contract.errors import InputError
from batchrl.contract.forward import format_forward, parse_forward, serve

BODY = os.urandom(5_000_000)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *arguments):
        return


@pytest.fixture
def upstream_socket(tmp_path):
    """A unix socket that leads to an HTTP server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    threading.Thread(
        target=serve, args=(listener, lambda: socket.create_connection(server.server_address)), daemon=True
    ).start()
    yield tmp_path / "s"
    listener.close()
    server.shutdown()
    server.server_close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def test_the_variable_reads_back():
    sockets = {80: "/run/batchrl/80.sock", 9000: "/run/batchrl/9000.sock"}
    assert parse_forward(format_forward(sockets)) == sockets
    assert parse_forward("") == {}


@pytest.mark.parametrize("text", ["80", "=path", "x=path", "80="])
def test_a_malformed_variable_is_refused(text):
    with pytest.raises(InputError, match="BATCHRL_FORWARD"):
        parse_forward(text)


def test_the_script_reaches_the_socket_through_its_own_loopback(machine, upstream_socket):
    port = free_port()
    machine.environ["BATCHRL_FORWARD"] = f"{port}={upstream_socket}"
    machine.script(
        "import hashlib, urllib.request\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        f"get = lambda _: hashlib.sha256(urllib.request.urlopen('http://127.0.0.1:{port}/').read()).hexdigest()\n"
        "print(*sorted(set(ThreadPoolExecutor(8).map(get, range(24)))))\n"
    )
    assert machine.run() == (0, hashlib.sha256(BODY).hexdigest() + "\n")


def test_a_socket_that_nobody_serves_closes_the_connection(machine, tmp_path):
    port = free_port()
    machine.environ["BATCHRL_FORWARD"] = f"{port}={tmp_path}/nobody"
    machine.script(
        "import socket\n"
        f"connection = socket.create_connection(('127.0.0.1', {port}))\n"
        "try:\n    print(connection.recv(10))\nexcept ConnectionResetError:\n    print(b'')\n"
    )
    assert machine.run() == (0, "b''\n")


def test_a_port_that_is_taken_is_named(machine, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        machine.environ["BATCHRL_FORWARD"] = f"{port}={tmp_path}/s"
        machine.script("print('ran')")
        code, output = machine.run()
    assert code == 2 and str(port) in output and "ran" not in output


class Short:
    """A listener that is short of descriptors once."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._failures = [OSError(errno.EMFILE, "Too many open files")]

    def accept(self):
        if self._failures:
            raise self._failures.pop()
        return self._listener.accept()


def _echoing(tmp_path):
    """A listener, and what connects its callers to sockets whose other ends are listed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    far = []

    def connect():
        near, other = socket.socketpair()
        far.append(other)
        return near

    return listener, connect, far


def test_the_way_stays_open_when_descriptors_were_short(tmp_path):
    listener, connect, far = _echoing(tmp_path)
    threading.Thread(target=serve, args=(Short(listener), connect), daemon=True).start()
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(10)
        one.connect(str(tmp_path / "s"))
        one.sendall(b"x")
        one.shutdown(socket.SHUT_WR)
        _until(lambda: far)
        assert far[0].recv(1) == b"x"
        far[0].close()
    listener.close()


def test_a_job_opens_so_many_ways_at_a_time_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(forward, "MAX_CONNECTIONS", 2)
    listener, connect, far = _echoing(tmp_path)
    threading.Thread(target=serve, args=(listener, connect), daemon=True).start()
    ends = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for end in ends:
        end.connect(str(tmp_path / "s"))
        end.sendall(b"x")
    _until(lambda: len(far) == 2)
    for other in far:
        assert other.recv(1) == b"x"
    assert len(far) == 2
    ends[0].close()
    far[0].close()
    _until(lambda: len(far) == 3)
    for end in [*ends, *far]:
        end.close()
    listener.close()


def _until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
