"""The console as a server: where it listens, what it takes before it knows who asks, how it ends."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from batchrl.contract.errors import InputError
from launcher.console.server import ConsoleServer
from launcher.console.watched import WatchedCloud
from launcher.session.session import LocalSession


@pytest.fixture
def server(jobs_home: Path) -> Iterator[ConsoleServer]:
    made = ConsoleServer(WatchedCloud(LocalSession(jobs_home)), 0, lambda error: pytest.fail(repr(error)))
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made
    made.end()
    thread.join()


def ask(server: ConsoleServer, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.access.port, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_a_form_arrives_through_the_server(server: ConsoleServer) -> None:
    access = server.access
    headers = {
        "Cookie": f"{access.cookie}={access.key}",
        "Origin": f"http://127.0.0.1:{access.port}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    stop = "/jobs/training/failed/stop"
    assert ask(server, "POST", stop, urlencode({"form": access.form_word}), **headers)[0] == 303
    assert ask(server, "POST", stop, urlencode({"form": "x"}), **headers)[0] == 403
    assert ask(server, "POST", stop, "x" * 100_000, **headers)[0] == 413


def test_it_listens_on_loopback_alone(server: ConsoleServer) -> None:
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    hexadecimal = f":{server.access.port:04X}"
    mine = {line.split()[1] for line in listening if line.split()[1].endswith(hexadecimal) and line.split()[3] == "0A"}
    assert mine == {f"0100007F{hexadecimal}"}


def test_a_head_or_a_body_without_end_is_cut(server: ConsoleServer) -> None:
    assert ask(server, "GET", "/", Cookie="x" * 100_000)[0] in (400, 431)
    # Nobody reads the body of who has no cookie.
    assert ask(server, "POST", "/jobs/training/failed/stop", "x" * 1_000_000)[0] == 401


def test_a_taken_port_is_named(server: ConsoleServer, jobs_home: Path) -> None:
    with pytest.raises(InputError, match=f"port {server.access.port} of 127.0.0.1 is taken"):
        ConsoleServer(WatchedCloud(LocalSession(jobs_home)), server.access.port, lambda error: "")
