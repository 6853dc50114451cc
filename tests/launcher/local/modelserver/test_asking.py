"""One request to a model server: the whole answer in time, or none."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import threading

import pytest
from scripted_server import ModelServer, Reply

from batchrl.contract.records import from_json
from launcher.local.executors.address import ServerAddress
from launcher.local.host.processes import ProcessId
from launcher.local.modelserver.http import Unanswered, ask


@pytest.fixture
def serve():
    made = []

    def start(script, path=None):
        made.append(ModelServer(script, path))
        return made[-1]

    yield start
    for server in made:
        server.die()


def test_an_answer_over_tcp_and_over_a_unix_socket(serve, tmp_path):
    for path in (None, tmp_path / "s.sock"):
        server = serve(lambda request: Reply(request.body * 100_000, headers={"X-Kind": "long"}), path)
        answer = ask(server.address, "POST", "/invocations", timeout=10, body=b"ab")
        assert (answer.status, answer.headers["x-kind"], answer.body) == (200, "long", b"ab" * 100_000)


def test_an_answer_of_unknown_length_ends_with_its_connection(serve):
    server = serve(lambda request: Reply(b"all", until_close=True))
    assert ask(server.address, "GET", "/ping", timeout=10).body == b"all"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"half an answer", cut=50),
        Reply(cut=0),
        Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", close=True),
        Reply(raw=b"rubbish\r\n\r\n", close=True),
    ],
)
def test_half_an_answer_is_none(serve, reply):
    with pytest.raises(Unanswered):
        ask(serve(lambda request: reply).address, "GET", "/ping", timeout=10)


def test_who_listens_where_a_server_was_that_has_ended_is_not_asked(serve):
    """An engine gives the address of a container that has ended to the next one."""
    server = serve(lambda request: Reply(b"somebody else's"))
    address = dataclasses.replace(server.address, holder=ProcessId(os.getpid(), 1))
    with pytest.raises(Unanswered, match="the server has ended"):
        ask(address, "GET", "/ping", timeout=10)
    address = dataclasses.replace(server.address, holder=ProcessId.of(os.getpid()))
    assert ask(from_json(ServerAddress, address.to_json()), "GET", "/ping", timeout=10).status == 200
    assert len(server.requests) == 1


def test_nobody_listens(tmp_path):
    with pytest.raises(Unanswered, match="No such file"):
        ask(ServerAddress.unix(str(tmp_path / "none")), "GET", "/ping", timeout=1)


def test_an_answer_in_drops_is_given_up_in_time():
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def drip():
        connection, _ = listener.accept()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not over.wait(0.05):
                connection.sendall(b"x")
        connection.close()

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    with pytest.raises(Unanswered, match=r"within 0\.4 s"):
        ask(ServerAddress.tcp("127.0.0.1", listener.getsockname()[1]), "GET", "/ping", timeout=0.4)
    over.set()
    thread.join(10)
    assert not thread.is_alive()
    listener.close()
