"""The client of a model server, against a real server whose behaviour is scripted."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import socket
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop
from scripted_server import DROP, Reply

from launcher.local.executors.address import ServerAddress
from launcher.local.host.processes import ProcessId
from launcher.local.transform.client import ModelClient
from launcher.local.transform.connection import SMALL, Call
from launcher.local.transform.settings import TransformSettings

MIB = 1024 * 1024


def invoke(server, bodies, *, pieces=1, ticks=True, **settings):
    """The calls of some bodies, when all are done."""

    async def run():
        with ThreadPoolExecutor(1) as threads:
            client = ModelClient(server, TransformSettings(**settings), threads)
            left, done = len(bodies), asyncio.Event()

            def told(call):
                nonlocal left
                left -= 1
                if not left:
                    done.set()

            calls = [
                Call([body[at::pieces] for at in range(pieces)] if pieces > 1 else (body,), len(body), told)
                for body in bodies
            ]
            for call in calls:
                client.submit(call)
            while not done.is_set():
                if ticks:
                    client.tick()
                await asyncio.sleep(0.005)
            client.close()
            return calls

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(run(), 60))


def keeper_of(listener):
    """Who keeps a server that is only a socket."""
    address = ServerAddress.tcp("127.0.0.1", listener.getsockname()[1])
    return types.SimpleNamespace(address=address, recover=lambda useful: True)


def answers(calls):
    return [(call.status, b"".join(call.answer)) for call in calls]


def test_B135_a_request_has_the_types_and_the_body(serve):
    server = serve()
    calls = invoke(server, [b"[1]\n"], content_type="application/jsonlines", accept="text/csv; header=absent")
    assert answers(calls) == [(200, b"[1]\n")]
    (request,) = server.requests
    assert request.line == "POST /invocations HTTP/1.1"
    assert request.headers["content-type"] == "application/jsonlines"
    assert request.headers["accept"] == "text/csv; header=absent"
    assert request.headers["content-length"] == "4"


def test_B135_types_that_are_not_given_are_not_sent(serve):
    server = serve()
    invoke(server, [b"x"])
    assert {"content-type", "accept"}.isdisjoint(server.requests[0].headers)


def test_B135_a_unix_socket(serve, tmp_path):
    server = serve(path=tmp_path / "server.sock")
    assert answers(invoke(server, [b"a", b"b"])) == [(200, b"a"), (200, b"b")]


@pytest.mark.parametrize("concurrent", [1, 2, 7])
def test_B136_so_many_requests_at_once_and_no_more_connections(serve, concurrent):
    together = threading.Barrier(concurrent)

    def script(request):
        if request.number <= concurrent:
            together.wait(20)  # all of them are there at once
        return Reply(request.body)

    server = serve(script)
    bodies = [b"%d" % number for number in range(60)]
    assert [body for _, body in answers(invoke(server, bodies, max_concurrent=concurrent))] == bodies
    assert (server.most_at_once, server.connections) == (concurrent, concurrent)


def test_B136_large_bodies_and_answers_are_whole(serve):
    server = serve()
    bodies = [bytes([65 + number]) * size for number, size in enumerate((SMALL, SMALL + 1, 5 * MIB, 3 * MIB))]
    calls = invoke(server, bodies, pieces=3, max_concurrent=4)
    assert [len(body) for _, body in answers(calls)] == [len(body) for body in bodies]
    assert answers(calls) == [(200, body) for body in bodies]
    assert {request.headers["content-length"] for request in server.requests} == {str(len(body)) for body in bodies}


def test_B142_payloads_of_any_size_are_sent_in_chunks(serve):
    server = serve()
    bodies = [b"small", b"x" * (2 * MIB)]
    assert answers(invoke(server, bodies, max_payload_mb=0)) == [(200, body) for body in bodies]
    assert all(request.headers["transfer-encoding"] == "chunked" for request in server.requests)
    assert all("content-length" not in request.headers for request in server.requests)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_B172_5xx_and_429_are_tried_again(serve, status):
    server = serve(lambda request: Reply(b"busy", status) if request.number < 3 else Reply(b"done"))
    assert answers(invoke(server, [b"x"])) == [(200, b"done")]
    assert server.bodies == [b"x"] * 3
    assert server.recoveries == 0


@pytest.mark.parametrize("status", [400, 404, 413, 415, 301])
def test_B172_other_statuses_are_the_last_word(serve, status):
    server = serve(lambda request: Reply(b"no", status))
    assert answers(invoke(server, [b"x"])) == [(status, b"no")]
    assert len(server.requests) == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_B171_B172_a_body_is_sent_once_and_as_often_again_as_the_request_says(serve, retries):
    server = serve(lambda request: Reply(b"broken", 500))
    assert answers(invoke(server, [b"x"], retries=retries)) == [(500, b"broken")]
    assert len(server.requests) == 1 + retries


def test_B172_the_pauses_between_tries_grow(serve):
    times = []

    def script(request):
        times.append(time.monotonic())
        return Reply(b"", 500)

    invoke(serve(script), [b"x"], retries=3)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert [pause >= least for pause, least in zip(pauses, (0.09, 0.19, 0.39), strict=True)] == [True] * 3


def test_B173_a_dropped_connection_is_tried_again_after_the_server_was_seen_to(serve):
    server = serve(lambda request: DROP if request.number == 1 else Reply(b"done"))
    assert answers(invoke(server, [b"x"])) == [(200, b"done")]
    assert (len(server.requests), server.recoveries) == (2, 1)


@pytest.mark.parametrize(
    "reply",
    [
        DROP,
        Reply(b"half an answer", cut=50),
        Reply(raw=b"this is no HTTP\r\n\r\n"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", close=True),
        Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", close=True),
        Reply(raw=b"HTTP/1.1 200 OK\r\n\r\nshort", reset=True),
    ],
)
def test_B173_what_is_no_whole_answer_is_none(serve, reply):
    server = serve(lambda request: reply)
    (call,) = invoke(server, [b"x"], retries=1)
    assert call.status == 0
    assert call.fault.startswith("Unable to get response from algorithm: ")
    assert call.fault.endswith("tried 2 times")
    assert len(server.requests) == 2
    assert server.recoveries >= 1


def test_B171_B173_an_answer_that_takes_too_long_is_given_up_and_asked_for_again(serve):
    server = serve(lambda request: Reply(b"late", delay=20 if request.number < 3 else 0))
    assert answers(invoke(server, [b"x"], timeout_seconds=0.2)) == [(200, b"late")]
    assert (len(server.requests), server.recoveries) == (3, 0)
    server.script = lambda request: Reply(delay=20)
    (call,) = invoke(server, [b"x"], timeout_seconds=0.2, retries=0)
    assert call.fault == "Unable to get response from algorithm: no answer within 0.2 s"


def test_B171_a_timeout_after_an_error_is_no_answer(serve):
    server = serve(lambda request: Reply(b"", 500) if request.number == 1 else Reply(delay=20))
    (call,) = invoke(server, [b"x"], timeout_seconds=0.2, retries=1)
    assert (call.status, call.fault) == (
        0,
        "Unable to get response from algorithm: no answer within 0.2 s, tried 2 times",
    )


def test_B173_a_server_that_dies_is_waited_for_and_nothing_is_lost(serve):
    def script(request):
        if request.number == 5:
            server.die()
        return Reply(request.body)

    server = serve(script)
    server.on_recover = server.revive
    bodies = [b"%d" % number for number in range(40)]
    assert answers(invoke(server, bodies, max_concurrent=4)) == [(200, body) for body in bodies]
    assert server.recoveries >= 1


def test_B173_while_a_server_is_seen_to_nothing_is_sent(serve):
    held, asked = threading.Event(), threading.Event()

    def script(request):
        if request.number == 1:
            return DROP
        assert held.is_set()
        return Reply(request.body)

    def recover():
        asked.set()
        seen = len(server.requests)
        time.sleep(0.3)
        assert len(server.requests) == seen
        held.set()
        return True

    server = serve(script)
    server.on_recover = recover
    assert answers(invoke(server, [b"a", b"b", b"c"])) == [(200, b"a"), (200, b"b"), (200, b"c")]
    assert asked.is_set()


def test_B173_also_connections_that_are_well_wait_for_the_servers_keeper(serve):
    sent = []

    def script(request):
        if request.body == b"0":
            return DROP if request.number <= 2 else Reply(request.body)
        return Reply(request.body, delay=0.1)

    def recover():
        time.sleep(0.4)  # the other request is answered meanwhile
        sent.append(len(server.requests))
        return True

    server = serve(script)
    server.on_recover = recover
    bodies = [b"%d" % number for number in range(8)]
    assert answers(invoke(server, bodies, max_concurrent=2)) == [(200, body) for body in bodies]
    assert sent == [2]


def poisoned(serve, poison, slow=0.0):
    """A server that ends when it is asked for one of some bodies, and is started again."""

    def script(request):
        if request.body in poison:
            server.die()
            return DROP
        if slow:
            server.ended.wait(slow)
        return Reply(request.body)

    server = serve(script)
    server.on_recover = server.revive
    return server


def test_B173_who_ends_a_server_again_and_again_costs_its_neighbours_no_try(serve):
    """Its neighbours take so long that each of its ends breaks all of them off."""
    server = poisoned(serve, {b"3"}, slow=0.1)
    bodies = [b"%d" % number for number in range(12)]
    calls = invoke(server, bodies, max_concurrent=4, retries=2)
    assert [call.status for call in calls] == [0 if body == b"3" else 200 for body in bodies]
    assert calls[3].fault.endswith("tried 3 times")
    assert {call.tries for call in calls if call.status} == {0}
    # Once among others, when nobody could tell who it was; then as often as it may be tried, alone.
    assert server.bodies.count(b"3") == 4


def test_B173_several_that_end_the_server_are_told_apart_from_those_that_do_not(serve):
    bodies = [b"%d" % number for number in range(20)]
    poison = set(bodies[2:12:3])
    for concurrent in (1, 6):
        server = poisoned(serve, poison)
        calls = invoke(server, bodies, max_concurrent=concurrent, retries=1)
        assert [call.status for call in calls] == [0 if body in poison else 200 for body in bodies]


def test_B173_the_keeper_is_told_whether_the_server_was_of_use_since(serve):
    server = poisoned(serve, {b"1"})
    invoke(server, [b"0", b"1"], retries=2)
    assert server.useful[:2] == [True, False]


def test_B172_what_is_tried_again_comes_before_what_waits(serve):
    def script(request):
        return Reply(b"", 500) if request.number == 1 else Reply(request.body, delay=0.01)

    server = serve(script)
    bodies = [b"%d" % number for number in range(60)]
    assert answers(invoke(server, bodies)) == [(200, body) for body in bodies]
    assert server.bodies.count(b"0") == 2
    assert server.bodies[-1] == b"59"


def test_B173_of_a_server_that_is_gone_nothing_more_is_asked(serve):
    server = serve(lambda request: Reply(request.body) if request.number < 3 else DROP)
    server.on_recover = lambda: False
    calls = invoke(server, [b"%d" % number for number in range(10)])
    assert [call.status for call in calls] == [200, 200] + [0] * 8
    assert {call.fault for call in calls[2:]} == {"Unable to get response from algorithm: the server is gone"}
    assert (len(server.requests), server.recoveries) == (3, 1)


def test_B173_a_keeper_that_fails_itself_has_lost_its_server(serve):
    def recover():
        raise RuntimeError("no engine")

    server = serve(lambda request: DROP)
    server.on_recover = recover
    (call,) = invoke(server, [b"x"])
    assert call.fault == "Unable to get response from algorithm: the server is gone (no engine)"


def test_B173_nobody_listens(serve):
    server = serve()
    server.die()
    server.on_recover = lambda: True  # so it says
    (call,) = invoke(server, [b"x"], retries=1)
    assert "no connection to the server: " in call.fault and call.fault.endswith("tried 2 times")


def test_B173_who_listens_where_a_server_was_that_has_ended_is_not_asked(serve):
    server = serve()
    address = dataclasses.replace(server.address, holder=ProcessId(os.getpid(), 1))
    (call,) = invoke(types.SimpleNamespace(address=address, recover=lambda useful: True), [b"x"], retries=1)
    assert call.fault.endswith("no connection to the server: the server has ended, tried 2 times")
    assert server.requests == []


def test_B173_a_call_that_was_never_sent_has_used_up_no_try(serve):
    server = serve()
    server.die()
    with contextlib.suppress(ConnectionRefusedError):
        while True:  # whoever polls the listening socket holds it for a moment
            socket.create_connection((server.address.host, server.address.port)).close()

    server.on_recover = server.revive
    bodies = [b"1", b"2", b"3"]
    calls = invoke(server, bodies, retries=0)
    assert answers(calls) == [(200, body) for body in bodies]
    assert [call.tries for call in calls] == [0, 0, 0]


def test_B173_a_server_that_ends_while_it_is_connected_to(serve):
    """The connection is made by the kernel, and lost at any moment after that."""
    for _ in range(40):
        server = serve()
        server.die()
        server.on_recover = lambda: True
        (call,) = invoke(server, [b"x"], retries=0)
        assert call.fault.startswith("Unable to get response from algorithm: ")


def test_B173_somebody_who_accepts_and_hangs_up_as_the_proxy_of_a_dead_container_does(serve):
    listener = socket.create_server(("127.0.0.1", 0))
    accepted = []

    def hang_up():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                accepted.append(True)
                connection.close()

    thread = threading.Thread(target=hang_up, daemon=True)
    thread.start()
    server = keeper_of(listener)
    calls = invoke(server, [b"x", b"y"], retries=2)
    assert all(call.fault.endswith("tried 3 times") for call in calls)
    assert len(accepted) == 6
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_connections_are_kept_and_those_that_a_server_closes_are_replaced(serve):
    server = serve(lambda request: Reply(request.body, headers={"Connection": "close"}, close=True))
    assert answers(invoke(server, [b"a", b"b", b"c"])) == [(200, b"a"), (200, b"b"), (200, b"c")]
    assert (server.connections, server.recoveries) == (3, 0)


def test_an_answer_without_a_length_ends_with_its_connection(serve):
    server = serve(lambda request: Reply(request.body, until_close=True))
    assert answers(invoke(server, [b"a", b"bb"])) == [(200, b"a"), (200, b"bb")]
    assert server.recoveries == 0


def test_continue_and_empty_answers(serve):
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    server = serve(lambda request: Reply(raw=early) if request.number == 1 else Reply(raw=b"HTTP/1.1 204 No\r\n\r\n"))
    assert answers(invoke(server, [b"a", b"b"])) == [(200, b"ok"), (204, b"")]
    assert server.connections == 1


def test_an_answer_in_chunks(serve):
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert answers(invoke(serve(lambda request: Reply(raw=raw)), [b"a", b"b"])) == [(200, b"abcde")] * 2


def test_a_connection_that_says_more_than_it_was_asked_is_not_used_again(serve):
    twice = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 408 Late\r\nContent-Length: 4\r\n\r\nlate"
    server = serve(lambda request: Reply(raw=twice) if request.number == 1 else Reply(b"2"))
    assert answers(invoke(server, [b"a", b"b"])) == [(200, b"1"), (200, b"2")]
    assert server.connections == 2


def test_B174_an_answer_before_the_body_was_taken_counts(serve):
    """As servers do that refuse a body for its length: they answer and hang up."""
    listener = socket.create_server(("127.0.0.1", 0))
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"

    def refuse():
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(refusal)
        drained.wait(20)
        connection.close()

    drained = threading.Event()
    thread = threading.Thread(target=refuse, daemon=True)
    thread.start()

    assert answers(invoke(keeper_of(listener), [b"x" * (8 * MIB)], pieces=8)) == [(413, b"big")]
    drained.set()
    thread.join()
    listener.close()
