"""The server's processes: how they start, end, die and are replaced."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jobs import kill_now, wait_until
from modelservers import (
    JSON_LINES,
    SERVE,
    ModelServer,
    as_lines,
    free_port,
    parsed,
    running,
    start,
    states,
)

MANY = 60_000


@pytest.fixture
def own_server(model_folder: Path, tmp_path: Path):
    """A server of the test's own, with two workers."""
    with running(model_folder, tmp_path, {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}) as one:
        yield one


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("signum", "whole_group"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)]
)
def test_C185_a_stop_answers_what_is_under_way_and_ends_with_0(
    heavy_folder: Path, tmp_path: Path, signum: int, whole_group: bool
) -> None:
    """A terminal, and a container's PID 1, send the signal to all processes; ``docker kill`` to the first."""
    with (
        running(heavy_folder, tmp_path, {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}) as server,
        ThreadPoolExecutor(2) as pool,
    ):
        idle = server.connection()
        idle.request("GET", "/ping")
        idle.getresponse().read()
        (worker,) = server.workers
        before = _sockets(worker)
        under_way = [pool.submit(server.invoke, as_lines(states(MANY // 4))) for _ in range(2)]
        wait_until("both are there", lambda: _sockets(worker) >= before + 2 or under_way[0].done())
        wait_until("the worker computes", lambda: _cpu_seconds(worker) > 0.3 or under_way[0].done())
        began = time.monotonic()
        if whole_group:
            os.killpg(server.process.pid, signum)
        else:
            server.process.send_signal(signum)
        wait_until("no new connection is taken", lambda: not _connects(server.place), timeout=5)
        assert server.process.wait(30) == 0
        assert time.monotonic() - began < 30
        for request in under_way:
            reply = request.result()
            assert reply.status == 200
            assert reply.body.count(b"\n") == MANY // 4
        assert not is_alive(worker)
        assert idle.sock is None or idle.sock.recv(1) == b""


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _connects(port: int | Path) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):  # type: ignore[arg-type]
            return True
    except OSError:
        return False


def test_C185_nothing_that_was_sent_before_the_stop_is_lost(own_server: ModelServer) -> None:
    """Clients that send without pause get answers, of which the last one says that the connection ends."""
    answered: list[str | None] = []
    lost = []
    stop = threading.Event()

    def send() -> None:
        connection = own_server.connection()
        connection.connect()
        while not stop.is_set():
            try:
                connection.request("POST", "/invocations", b"[1,2,3]", {"Content-Type": JSON_LINES})
                reply = connection.getresponse()
                body = reply.read()
            except (OSError, http.client.HTTPException):
                return  # this client was asleep for longer than the server waits
            if reply.status == 200 and len(parsed(body)) == 1:
                answered.append(reply.headers.get("connection"))
            else:
                lost.append((reply.status, body))
            if reply.headers.get("connection") == "close":
                return

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until("requests are answered", lambda: len(answered) > 200)
    assert own_server.stop() == 0
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not lost
    assert answered.count("close") >= 4
    assert not any(thread.is_alive() for thread in threads)


def test_C185_a_request_that_never_arrives_whole_does_not_keep_a_stopped_server(own_server: ModelServer) -> None:
    assert isinstance(own_server.place, int)
    with socket.create_connection(("127.0.0.1", own_server.place)) as client:
        client.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[1,2")
        wait_until("the worker has it", lambda: own_server.ask("/ping").status == 200)
        began = time.monotonic()
        assert own_server.stop(timeout=30) == 0
        assert time.monotonic() - began < 25


def test_an_idle_server_ends_at_once(own_server: ModelServer) -> None:
    began = time.monotonic()
    assert own_server.stop() == 0
    assert time.monotonic() - began < 5


def test_C186_a_worker_that_dies_is_replaced_and_the_others_go_on(own_server: ModelServer) -> None:
    before = own_server.workers
    assert len(before) == 2
    for pid in before:
        kill_now(pid)
        wait_until("another worker stands in", lambda: len({*own_server.workers} - {*before}) > before.index(pid))  # noqa: B023
        for _ in range(4):
            assert own_server.invoke(b"[1,2,3]").status == 200
    assert own_server.log.read_text().count("was ended by SIGKILL") == 2
    assert own_server.stop() == 0


def test_connections_are_shared_evenly_by_the_workers(own_server: ModelServer) -> None:
    connections = [own_server.connection() for _ in range(40)]
    for connection in connections:
        connection.request("GET", "/ping")
    for connection in connections:
        assert connection.getresponse().read() == b""
    ports = _ports(connections)
    assert [_held(worker, ports) for worker in own_server.workers] == [20, 20]
    for connection in connections[::2]:
        connection.close()
    wait_until("they are closed", lambda: sum(_held(worker, ports) for worker in own_server.workers) == 20)
    more = [own_server.connection() for _ in range(20)]
    for connection in more:
        connection.request("GET", "/ping")
        assert connection.getresponse().status == 200
    ports = _ports([*connections[1::2], *more])
    assert [_held(worker, ports) for worker in own_server.workers] == [20, 20]


def _ports(connections: list[http.client.HTTPConnection]) -> set[int]:
    """Ports of the clients of connections."""
    return {connection.sock.getsockname()[1] for connection in connections}


def _held(pid: int, ports: set[int]) -> int:
    """How many connections from some ports a process holds."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if int(row[2].rpartition(":")[2], 16) in ports}
    held = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held += str(link.readlink()).removeprefix("socket:[").removesuffix("]") in inodes
    return held


def _sockets(pid: int) -> int:
    """Open sockets of a process."""
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(link.readlink()).startswith("socket:")
    return found


def test_a_worker_that_is_stopped_is_no_reason_to_refuse_connections(own_server: ModelServer) -> None:
    """Its connections wait, those of the other worker do not."""
    stopped, _ = own_server.workers
    os.kill(stopped, signal.SIGSTOP)
    try:
        answered = 0
        for _ in range(4):
            try:
                answered += own_server.ask("/ping", timeout=1).status == 200
            except TimeoutError:
                continue
        assert answered >= 2
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_C186_a_worker_that_is_stuck_is_replaced_after_the_timeout(model_folder: Path, tmp_path: Path) -> None:
    environ = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "2"}
    with running(model_folder, tmp_path, environ) as server:
        (stuck,) = server.workers
        os.kill(stuck, signal.SIGSTOP)
        wait_until("another worker stands in", lambda: server.workers and stuck not in server.workers)
        assert server.invoke(b"[1,2,3]").status == 200
        assert f"worker {stuck} has done one thing for" in server.log.read_text()


def test_workers_that_die_as_soon_as_they_start_end_the_server(model_folder: Path, tmp_path: Path) -> None:
    with running(model_folder, tmp_path, {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}) as server:
        deadline = time.monotonic() + 30
        while server.process.poll() is None and time.monotonic() < deadline:
            try:
                for pid in server.workers:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        assert server.process.wait(10) == 70
        assert "workers died one after the other" in server.log.read_text()


def test_the_death_of_the_first_process_ends_the_workers(own_server: ModelServer) -> None:
    workers = own_server.workers
    own_server.process.kill()
    wait_until("the workers have ended", lambda: not any(is_alive(pid) for pid in workers), timeout=10)


def test_a_stop_while_the_model_loads_ends_with_0(model_folder: Path, tmp_path: Path) -> None:
    server = start(model_folder, tmp_path, ready=False)
    try:
        wait_until("it listens", lambda: _connects(server.place))
        assert server.stop() == 0
    finally:
        server.close()


def test_the_workers_share_the_model_that_was_loaded_once(own_server: ModelServer) -> None:
    """A fork's own memory is a small part of what it sees; had it imported torch itself, it would be all."""
    for _ in range(20):
        own_server.invoke(as_lines(states(100)))
    for worker in own_server.workers:
        sizes = Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in sizes[1:]}
        assert kilobytes["Private_Dirty"] < 60_000
        assert kilobytes["Rss"] > 100_000


def run_to_its_end(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SERVE), *arguments]
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=60)


def test_B127_without_a_model_the_server_says_so_before_it_loads_anything(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        done = run_to_its_end("--model", str(folder), SAGEMAKER_BIND_TO_PORT=str(free_port()))
        assert done.returncode == 2
        assert f"there is no model in {folder}" in done.stderr
        assert "Traceback" not in done.stderr


def test_mistakes_are_answered_in_words(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        for arguments, environ, says in (
            ([str(model_folder)], {"SAGEMAKER_BIND_TO_PORT": str(taken.getsockname()[1])}, "cannot listen at port"),
            ([str(model_folder)], {"BATCHRL_SERVE_SOCKET": "/" + "x" * 200}, "cannot listen at /xxx"),
            ([str(model_folder)], {"BATCHRL_BAD_RECORDS": "skip"}, "BATCHRL_BAD_RECORDS is 'skip'"),
            ([str(tmp_path / "other")], {"SAGEMAKER_BIND_TO_PORT": str(free_port())}, "there is no policy here"),
            ([str(model_folder)], {"SAGEMAKER_BIND_TO_PORT": str(free_port()), "BATCHRL_EPSILON": "0.1"}, "is softmax"),
        ):
            done = run_to_its_end("--model", *arguments, **environ)
            assert done.returncode == 2, done.stderr
            assert says in done.stderr
            assert "Traceback" not in done.stderr


def test_nothing_that_the_start_does_not_need_is_imported(model_folder: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "import batchrl.serving.supervisor, batchrl.serving.worker\n"
        "from batchrl.serving.loading import load_service\n"
        "from batchrl.serving.settings import ServingSettings\n"
        f"load_service(Path({str(model_folder)!r}), ServingSettings())\n"
        "names = 'pydantic presets pandas pyarrow boto3 botocore gymnasium yaml tensorboard'.split()\n"
        "print([name for name in names if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
