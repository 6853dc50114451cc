"""What somebody without a key can do to a running API server: nothing that its owner would notice."""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_servers import eventually, of_cloud

from launcher.local import cloud
from launcher.local.host.address import CloudAddress
from launcher.local.host.home import HomePaths
from launcher.local.host.peers import peer_uid
from launcher.local.server import webserver
from launcher.local.server.connections import Budget, Connections, Refusals
from launcher.local.server.webserver import ApiWebServer

MIB = 1024 * 1024
NOBODY = 65534


class Attacked:
    """A cloud, and what its API server takes of this machine."""

    def __init__(self, home: Path) -> None:
        self.address: CloudAddress = cloud.ensure_up(home)
        self.port = int(self.address.api_url.rpartition(":")[2])
        status = cloud.status(home)
        assert status is not None
        self.pid = status.server_pid
        self.log = HomePaths.of(home).server_log
        self.ask()
        self.memory_before, self.descriptors_before = self.memory(), self.descriptors()

    def ask(self) -> None:
        """The owner's own question, which must be answered whatever others do."""
        assert of_cloud("sagemaker", self.address).list_training_jobs()["TrainingJobSummaries"] == []

    def memory(self) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def connect(self, seconds: float = 30) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def send(self, content: bytes) -> bytes:
        """What is answered to some bytes."""
        with self.connect() as end:
            with contextlib.suppress(OSError):
                end.sendall(content)
                end.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(OSError):
                while piece := end.recv(65536):
                    answer += piece
            return answer


@pytest.fixture
def attacked(home: Path) -> Attacked:
    return Attacked(home)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _head(access_key: str, length: int, *more: str) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    scope = f"{access_key}/{now:%Y%m%d}/us-east-1/sagemaker/aws4_request"
    lines = [
        "POST / HTTP/1.1",
        "Host: 127.0.0.1",
        "X-Amz-Target: SageMaker.ListTrainingJobs",
        f"X-Amz-Date: {now:%Y%m%dT%H%M%SZ}",
        f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}",
        f"Content-Length: {length}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _all_at_once(count: int, act: Callable[[], Any]) -> list[threading.Thread]:
    threads = [threading.Thread(target=act, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("known", [False, True], ids=["unknown key", "known key, no signature"])
def test_bodies_before_a_signature_cost_no_memory(attacked: Attacked, known: bool) -> None:
    head = _head(attacked.address.access_key if known else "AKIASTRANGER", 16 * MIB)

    def push() -> None:
        # All but the last byte, so that whoever reads bodies first holds all of them at a time.
        with contextlib.suppress(OSError), attacked.connect(5) as end:
            end.sendall(head)
            for _ in range(16):
                end.sendall(b"x" * (MIB - 1))
            end.recv(1)

    threads = _all_at_once(60, push)
    most = 0
    while (any(thread.is_alive() for thread in threads[:20]) and most == 0) or any(t.is_alive() for t in threads):
        most = max(most, attacked.memory())
        time.sleep(0.05)
        if most - attacked.memory_before > 400 * MIB:
            break
    assert most - attacked.memory_before < 250 * MIB
    attacked.ask()


def test_idle_connections_keep_nobody_out(attacked: Attacked, many_descriptors: None) -> None:
    ends = [attacked.connect() for _ in range(1500)]
    try:
        attacked.ask()
        assert attacked.descriptors() < 1100
    finally:
        for end in ends:
            end.close()
    eventually(lambda: attacked.descriptors() < attacked.descriptors_before + 20)


REQUESTS = [
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\x00\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /?X-Amz-Signature=a&X-Amz-Credential=a/b/c/d/aws4_request&X-Amz-SignedHeaders=host&X-Amz-Expires="
    + b"9" * 5000
    + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 " + b"," * 60000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 Credential=\xff/\xff/\xff/\xff/aws4_request\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"H%d: x\r\n" % number for number in range(5000)) + b"\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"x" * 3_000_000,
    b"GET /" + b"x" * 3_000_000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def test_what_makes_no_sense_is_refused_without_a_traceback_and_with_few_lines(attacked: Attacked) -> None:
    chance = random.Random(11)
    rubbish = [chance.randbytes(chance.randrange(1, 4000)) + b"\r\n\r\n" for _ in range(60)]
    cut = [request[: chance.randrange(1, len(request))] for request in REQUESTS for _ in range(3)]
    size_before = attacked.log.stat().st_size
    for request in [*REQUESTS, *rubbish, *cut]:
        answer = attacked.send(request)
        assert b" 500 " not in answer[:20], (request[:200], answer[:300])
        assert b"Traceback" not in answer
    attacked.ask()
    assert b"Traceback" not in attacked.log.read_bytes()
    assert attacked.log.stat().st_size - size_before < 8000
    eventually(lambda: attacked.descriptors() < attacked.descriptors_before + 20)
    assert attacked.memory() - attacked.memory_before < 100 * MIB


def test_whoever_waits_for_a_word_before_the_body_gets_it_only_with_a_known_key(attacked: Attacked) -> None:
    answer = attacked.send(_head("AKIASTRANGER", 100, "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 400")
    answer = attacked.send(_head(attacked.address.access_key, 4, "Expect: 100-continue") + b"{}  ")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ApiWebServer, list[bytes]]]:
    """A web server with short times; its application reads the body and says how much came."""
    monkeypatch.setattr(webserver, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(webserver, "STILL_SECONDS", 0.5)
    bodies: list[bytes] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        bodies.append(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ApiWebServer(listener, app, Connections(), Refusals())
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server, bodies
        server.shutdown()
        thread.join(10)


def _last_answer(end: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := end.recv(65536):
            answer += piece
    return answer


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(quick: tuple[ApiWebServer, list[bytes]]) -> None:
    with socket.create_connection(("127.0.0.1", quick[0].port), timeout=30) as end:
        with contextlib.suppress(OSError):
            for byte in b"GET / HTTP/1.1\r\n" + b"x" * 100_000:
                end.sendall(bytes((byte,)))
                time.sleep(0.02)
        assert _last_answer(end)[:12] in (b"HTTP/1.1 408", b"")
    assert quick[1] == []
    eventually(lambda: len(quick[0].connections) == 0)


def test_a_body_that_does_not_come_is_not_waited_for(quick: tuple[ApiWebServer, list[bytes]]) -> None:
    with socket.create_connection(("127.0.0.1", quick[0].port), timeout=30) as end:
        end.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert _last_answer(end).startswith(b"HTTP/1.1 200")
    assert quick[1] == [b"abc"]


def test_a_body_arrives_whole_however_it_is_cut(quick: tuple[ApiWebServer, list[bytes]]) -> None:
    body = os.urandom(3 * MIB)
    with socket.create_connection(("127.0.0.1", quick[0].port), timeout=30) as end:
        end.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 100_001):
            end.sendall(body[at : at + 100_001])
        assert _last_answer(end).startswith(b"HTTP/1.1 200")
    assert quick[1] == [body]


def _pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


def test_the_user_at_the_other_end_is_known() -> None:
    one, other = _pair()
    with one, other:
        assert peer_uid(other) == os.getuid()
        one.close()
        eventually(lambda: peer_uid(other) is None)
    near, far = socket.socketpair()
    with near, far:
        assert peer_uid(far) == os.getuid()


def test_other_users_have_few_places_and_take_none_of_the_owners() -> None:
    uids = iter([NOBODY, NOBODY, NOBODY, os.getuid(), os.getuid(), os.getuid(), None])
    connections = Connections(2, 2, lambda end: next(uids))
    pairs = [socket.socketpair() for _ in range(7)]
    admitted = [connections.admit(near) for near, _ in pairs]
    assert admitted == [True, True, False, True, True, True, False]
    # The oldest of the owner's that had shown nothing made room for the last one.
    assert pairs[3][1].recv(1) == b""
    for pair in pairs:
        for end in pair:
            end.close()


def test_connections_with_verified_requests_are_not_ended_for_others() -> None:
    connections = Connections(2, 2, lambda end: os.getuid())
    pairs = [socket.socketpair() for _ in range(4)]
    assert connections.admit(pairs[0][0])
    connections.let_in(pairs[0][0])
    assert connections.admit(pairs[1][0])
    connections.let_in(pairs[1][0])
    assert not connections.admit(pairs[2][0])
    connections.forget(pairs[1][0])
    assert connections.admit(pairs[3][0])
    for pair in pairs:
        for end in pair:
            end.close()


HOLD = """
import os, socket, sys, time
os.setuid(65534)
ends = []
for _ in range(200):
    ends.append(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user for a while")
def test_another_user_holds_no_more_than_a_few_connections(attacked: Attacked) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(attacked.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        attacked.ask()
        eventually(lambda: attacked.descriptors() < attacked.descriptors_before + 40)
        other.kill()


def test_the_memory_for_bodies_is_shared_out() -> None:
    from launcher.api.errors import ApiError

    budget = Budget(10, patience=0.05)
    with budget.share(6), budget.share(4), pytest.raises(ApiError, match="Too many bodies"), budget.share(1):
        pass
    with budget.share(10):
        pass


def test_strangers_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    refusals = Refusals(3, lambda: now[0])
    with caplog.at_level("INFO"):
        for _ in range(1000):
            refusals.tell("x" * 10_000 + "\n")
        now[0] = 61.0
        refusals.tell("later")
    assert len(caplog.records) == 5
    assert "997 more" in caplog.text
    assert len(caplog.text) < 2000
