"""A real server over HTTP."""

from __future__ import annotations

import json
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from modelservers import (
    CSV,
    JSON,
    JSON_LINES,
    ModelServer,
    as_lines,
    parsed,
    policy_model,
    running,
    states,
)

from batchrl.serving.settings import MEGABYTE

STATES = states(20)


def test_B130_C181_ping_is_answered_with_an_empty_body(server: ModelServer) -> None:
    reply = server.ask("/ping")
    assert (reply.status, reply.body) == (200, b"")


def test_B131_B132_execution_parameters(server: ModelServer) -> None:
    reply = server.ask("/execution-parameters")
    assert reply.status == 200
    assert reply.headers["content-type"] == JSON
    assert reply.json() == {"MaxConcurrentTransforms": 16, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}


@pytest.mark.parametrize("content_type", [JSON_LINES, JSON, CSV])
def test_B135_the_answer_has_the_type_that_it_was_asked_for(server: ModelServer, content_type: str) -> None:
    bodies = {JSON_LINES: b"[1,2,3]\n", JSON: b"[[1,2,3]]", CSV: b"1,2,3\n"}
    for accept in (None, JSON_LINES, JSON, CSV):
        reply = server.invoke(bodies[content_type], content_type, accept)
        assert (reply.status, reply.headers["content-type"]) == (200, accept or content_type)


def test_B139_a_last_newline_makes_no_difference(server: ModelServer) -> None:
    assert server.invoke(b"[1,2,3]").body == server.invoke(b"[1,2,3]\n").body


def test_the_numbers_are_those_of_the_model(server: ModelServer) -> None:
    wanted = policy_model().action_probabilities(STATES)
    lines = parsed(server.invoke(as_lines(STATES)).body)
    assert [line["predictions"][0] for line in lines] == [pytest.approx(row, rel=1e-6) for row in wanted.tolist()]


def test_B136_requests_at_once_get_their_own_answers_in_any_interleaving(server: ModelServer) -> None:
    wanted = policy_model().action_probabilities(STATES)

    def ask(row: int) -> list[list[float]]:
        connection = server.connection()
        answers = []
        for step in range(30):
            index = (row + step) % len(STATES)
            connection.request(
                "POST", "/invocations", as_lines(STATES[index : index + 1]), {"Content-Type": JSON_LINES}
            )
            (line,) = parsed(connection.getresponse().read())
            answers.append([index, *line["predictions"][0]])
        connection.close()
        return answers

    with ThreadPoolExecutor(20) as pool:
        for answers in pool.map(ask, range(20)):
            for index, *probabilities in answers:
                assert probabilities == pytest.approx(wanted[int(index)].tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("path", "method", "status", "says"),
    [
        ("/", "GET", 404, "/ping, /execution-parameters, /invocations"),
        ("/invocation", "POST", 404, "there is no /invocation"),
        ("/invocations", "GET", 405, "/invocations takes POST, got GET"),
        ("/ping", "POST", 405, "/ping takes GET, got POST"),
    ],
)
def test_another_path_or_method_is_answered_in_words(
    server: ModelServer, path: str, method: str, status: int, says: str
) -> None:
    reply = server.ask(path, b"" if method == "POST" else None, method=method)
    assert reply.status == status
    assert says in reply.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Type": "image/png"}, 415), ({}, 415), ({"Content-Type": JSON_LINES, "Accept": "image/png"}, 406)],
)
def test_content_types_that_are_not_known_are_refused(
    server: ModelServer, headers: dict[str, str], status: int
) -> None:
    reply = server.ask("/invocations", b"[1,2,3]", headers)
    assert reply.status == status
    assert "this server" in reply.json()["error"]


def test_C183_unknown_headers_do_no_harm(server: ModelServer) -> None:
    extra = {
        "X-Amzn-SageMaker-Custom-Attributes": "a=b",
        "X-Amzn-SageMaker-Inference-Id": "7",
        "Content-Type": JSON_LINES,
    }
    assert server.ask("/invocations", b"[1,2,3]", extra).status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_B174_a_body_above_the_limit_is_413_and_the_connection_goes_on(server: ModelServer, chunked: bool) -> None:
    connection = server.connection()
    size = 6 * MEGABYTE + 1
    body = iter([b"x" * MEGABYTE] * 6 + [b"x"]) if chunked else b"x" * size
    connection.request("POST", "/invocations", body, {"Content-Type": JSON_LINES}, encode_chunked=chunked)
    answer = connection.getresponse()
    assert answer.status == 413
    assert f"the body has {size} bytes" in json.loads(answer.read())["error"]
    connection.request("GET", "/ping")
    assert connection.getresponse().status == 200


def test_B174_a_client_that_asks_first_need_not_send_a_body_above_the_limit(server: ModelServer) -> None:
    assert isinstance(server.place, int)
    with socket.create_connection(("127.0.0.1", server.place), timeout=10) as client:
        head = (
            f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {7 * MEGABYTE}\r\nExpect: 100-continue\r\n\r\n"
        )
        client.sendall(head.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_of_exactly_the_limit_is_taken(server: ModelServer) -> None:
    line = b"[1,2," + b"0" * 1000 + b"3]\n"  # no JSON, so that the answer is a fault a line
    body = line * (6 * MEGABYTE // len(line))
    body += b" " * (6 * MEGABYTE - len(body))
    reply = server.invoke(body)
    assert reply.status == 200
    assert reply.body.count(b"\n") == body.count(b"\n") + 1


def test_a_chunked_body_is_read(server: ModelServer) -> None:
    connection = server.connection()
    pieces = iter([b"[1,2", b",3]\n[4,5", b",6]\n"])
    connection.request("POST", "/invocations", pieces, {"Content-Type": JSON_LINES}, encode_chunked=True)
    assert len(parsed(connection.getresponse().read())) == 2


def test_B172_a_repeated_body_gets_the_same_answer(server: ModelServer) -> None:
    body = as_lines(STATES) + b"nonsense\n"
    assert len({server.invoke(body).body for _ in range(5)}) == 1


def test_faults_of_lines_are_answered_in_place_and_do_not_harm_the_next_request(server: ModelServer) -> None:
    lines = [b"[1,2,3]", b"nonsense", b"[1,2]", b"[NaN,1,2]", b"{}", b"", b"x" * 1_000_000, b"\xff\xfe", b"[1e39,0,0]"]
    reply = server.invoke(b"\n".join(lines) + b"\n")
    assert reply.status == 200
    found = parsed(reply.body)
    assert [line.get("line") for line in found] == [None, 2, 3, 4, 5, 6, 7, 8, 9]
    assert all(line["error"].startswith(f"line {line['line']}: ") for line in found[1:])
    assert server.invoke(b"[1,2,3]").status == 200


def test_a_malformed_request_is_400_and_harms_nobody(server: ModelServer) -> None:
    assert isinstance(server.place, int)
    with socket.create_connection(("127.0.0.1", server.place), timeout=10) as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400")
    assert server.ask("/ping").status == 200


def test_a_client_that_goes_away_in_the_middle_harms_nobody(server: ModelServer) -> None:
    assert isinstance(server.place, int)
    for length in (10, 7 * MEGABYTE):
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", server.place), timeout=10) as client:
                head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
                client.sendall(head.encode() + b"[1")
    assert server.invoke(b"[1,2,3]").status == 200
    assert "Traceback" not in server.log.read_text()


def test_C182_connections_are_accepted_at_once(server: ModelServer) -> None:
    assert isinstance(server.place, int)
    clients = []
    began = time.monotonic()
    for _ in range(200):
        clients.append(socket.create_connection(("127.0.0.1", server.place), timeout=10))
    for client in clients:
        client.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    for client in clients:
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        client.close()
    assert time.monotonic() - began < 10


def test_C187_ping_is_answered_within_its_2_seconds_while_all_workers_are_busy(
    heavy_folder: Path, tmp_path: Path
) -> None:
    body = as_lines(states(20_000))
    with (
        running(heavy_folder, tmp_path, {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}) as server,
        ThreadPoolExecutor(4) as pool,
    ):
        busy = [pool.submit(server.invoke, body) for _ in range(4)]
        pings = 0
        while not any(request.done() for request in busy):
            assert server.ask("/ping", timeout=2).status == 200
            pings += 1
            time.sleep(0.02)
        assert pings > 5
        for request in busy:
            assert request.result().body.count(b"\n") == 20_000


def test_a_unix_socket_is_its_users_alone_and_replaces_one_that_was_left(model_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "serve.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(place))
    left.close()
    with running(model_folder, tmp_path, place=place) as server:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert server.invoke(b"[1,2,3]").status == 200


def test_where_the_environment_says_so_a_bad_line_fails_the_body_and_the_policy_is_another(
    model_folder: Path, tmp_path: Path
) -> None:
    environ = {
        "BATCHRL_BAD_RECORDS": "reject",
        "BATCHRL_TARGET_POLICY": "greedy",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_BATCH": "true",
    }
    with running(model_folder, tmp_path, environ) as server:
        rejected = server.invoke(b"[1,2,3]\n[1,2]\n")
        assert (rejected.status, rejected.json()) == (400, {"error": "line 2: expected 3 features, got 2", "line": 2})
        assert {tuple(line["predictions"][0]) for line in parsed(server.invoke(as_lines(STATES)).body)} <= {
            (0, 1),
            (1, 0),
        }
        assert server.invoke(b" " * (MEGABYTE + 1)).status == 413
        assert server.ask("/execution-parameters").json() == {
            "MaxConcurrentTransforms": 3,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": 1,
        }
