"""Ports of a container that lead to mounted sockets."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

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
