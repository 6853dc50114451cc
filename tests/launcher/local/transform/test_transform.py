"""Whole transforms: a store, a server, and what they leave."""

from __future__ import annotations

import gzip
import json
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_s3 import MemoryS3, refusal
from scripted_server import DROP, ModelServer, Reply, echo, per_line
from transforms import BUCKET, run

from batchrl.contract.layout import S3Url
from launcher.local.transform.run import THREADS, transform
from launcher.local.transform.settings import TransformSettings
from launcher.local.transform.sink import PART_BYTES
from launcher.local.transform.sources import SourceObject

MIB = 1024 * 1024
LINES = "application/jsonlines"
JOINED = {"split": "Line", "join": True, "content_type": LINES, "accept": LINES, "assemble_lines": True}
PREDICT = per_line(lambda line: b'{"p":%d}' % len(line))


def results(s3):
    return {key: body for key, body in s3.objects.items() if key.startswith("out")}


def put(s3, **objects):
    for name, body in objects.items():
        s3.objects[f"in/{name}"] = body


def test_B137_an_unsplit_object_is_one_body_byte_for_byte_and_so_is_its_answer(s3, serve):
    body = bytes(range(256)) * 5000
    put(s3, a=body)
    server = serve()
    ran = run(s3, server)
    assert server.bodies == [body]
    assert results(s3) == {"out/a.out": body}
    assert (ran.outcome.converted, ran.outcome.records, ran.outcome.faults, ran.outcome.stopped) == (1, 1, (), False)
    assert [str(url) for url in ran.outcome.written] == [f"s3://{BUCKET}/out/a.out"]


def test_B175_records_of_an_object_that_is_not_split_are_counted_by_the_lines_of_its_answer(s3, serve):
    put(s3, a=b"[1]\n[2]\n[3]\n[4]\n", b=b"[5]")
    bad = b'{"error":"line 2: expected 4 features, got 1","line":2}\n'
    server = serve(lambda request: Reply(b"1\n" + bad + b"3\n" + bad if b"[1]" in request.body else b"5"))
    ran = run(s3, server, content_type="application/jsonlines")
    assert (ran.outcome.records, ran.outcome.error_records) == (5, 2)


def test_B139_one_record_a_request_is_sent_with_its_newline(s3, serve):
    put(s3, a=b"1\n22\r\n333")
    server = serve()
    run(s3, server, split="Line", single_record=True)
    assert server.bodies == [b"1\n", b"22\r\n", b"333"]


def test_B140_batches_never_mix_objects(s3, serve):
    line = b"x" * 99_999 + b"\n"
    put(s3, a=line * 15, b=line * 3)
    server = serve()
    run(s3, server, split="Line", max_payload_mb=1)
    assert sorted(map(len, server.bodies)) == [300_000, 500_000, 1_000_000]
    assert results(s3) == {"out/a.out": line * 15, "out/b.out": line * 3}


def test_B144_compressed_objects_are_decompressed_before_they_are_split(s3, serve):
    put(s3, a=gzip.compress(b"1\n2\n"), b=b"3\n")
    server = serve()
    ran = run(s3, server, split="Line", gzip=True, single_record=True)
    assert server.bodies == [b"1\n", b"2\n"]
    assert results(s3) == {"out/a.out": b"1\n2\n"}
    assert "CompressionType is Gzip" in ran.messages["in/b"]


@pytest.mark.parametrize("split", ["None", "Line"])
def test_B146_an_object_without_records_gives_an_empty_result_without_a_request(s3, serve, split):
    put(s3, empty=b"")
    if split == "Line":
        put(s3, blank=b"\n\r\n\n")
    server = serve()
    ran = run(s3, server, split=split, assemble_lines=True, content_type=LINES)
    assert set(results(s3).values()) == {b""}
    assert len(results(s3)) == ran.outcome.converted
    assert server.requests == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(lambda line: line.strip(), b"1\n2\n"), (lambda line: line, b"1\n2\n"), (lambda line: b"", b"\n\n")],
)
def test_B150_AssembleWith_Line_ends_each_answer_with_one_newline(s3, serve, answer, expected):
    put(s3, a=b"1\n2\n")
    run(s3, serve(lambda request: Reply(answer(request.body))), split="Line", single_record=True, assemble_lines=True)
    assert results(s3) == {"out/a.out": expected}


def test_B150_without_it_answers_follow_each_other_as_they_are(s3, serve):
    put(s3, a=b"1\n2\n3")
    run(s3, serve(lambda request: Reply(request.body.strip())), split="Line", single_record=True)
    assert results(s3) == {"out/a.out": b"123"}


@pytest.mark.parametrize("single_record", [True, False])
def test_B136_the_output_has_the_order_of_the_input_however_the_answers_come(s3, serve, single_record):
    lines = b"".join(b"[%d]\n" % number for number in range(300))
    put(s3, a=lines)

    def script(request):
        return Reply(PREDICT(request).body, delay=0.003 * (request.number * 7 % 5))

    server = serve(script)
    run(s3, server, **JOINED, single_record=single_record, max_concurrent=8)
    (body,) = results(s3).values()
    assert [json.loads(line)["SageMakerInput"] for line in body.splitlines()] == [[number] for number in range(300)]
    assert server.most_at_once <= 8
    assert server.connections <= 8


@given(
    st.lists(st.lists(st.integers(0, 10**6), max_size=30), min_size=1, max_size=5),
    st.integers(1, 5),
    st.booleans(),
)
@settings(max_examples=25)
def test_B136_B147_any_objects_come_out_in_their_order(objects, concurrent, single_record):
    s3, server = MemoryS3(), ModelServer(PREDICT)
    for name, numbers in enumerate(objects):
        s3.objects[f"in/{name}"] = b"".join(b"%d\n" % number for number in numbers)
    run(s3, server, **JOINED, single_record=single_record, max_concurrent=concurrent)
    server.die()
    assert {
        key: [json.loads(line)["SageMakerInput"] for line in body.splitlines()] for key, body in results(s3).items()
    } == {f"out/{name}.out": numbers for name, numbers in enumerate(objects)}


def test_B136_small_objects_share_the_slots_of_the_instance(s3, serve):
    put(s3, **{f"{number:02d}": b"[%d]\n" % number for number in range(40)})
    together = threading.Barrier(6)

    def script(request):
        if request.number <= 6:
            together.wait(20)
        return PREDICT(request)

    server = serve(script)
    ran = run(s3, server, **JOINED, max_concurrent=6)
    assert server.most_at_once == 6
    assert len(results(s3)) == ran.outcome.converted == ran.outcome.records == 40
    assert [url.key for url in ran.outcome.written] == sorted(results(s3))


def test_B136_large_objects_are_converted_two_at_a_time_small_ones_more(s3, serve):
    put(s3, **{f"{number}": b"[1]\n" for number in range(8)})
    for size, most in ((64 * MIB, 2), (4, 8)):
        server = serve(lambda request: Reply(b"1\n", delay=0.2))
        objects = [SourceObject(S3Url(BUCKET, f"in/{number}"), f"{number}", size) for number in range(8)]
        settings = TransformSettings(split="Line", max_concurrent=8)
        transform(s3, objects, S3Url(BUCKET, "out"), server, settings, print, lambda: False)
        assert server.most_at_once == most


@pytest.mark.parametrize("single_record", [True, False])
def test_B136_no_more_is_read_ahead_than_keeps_the_server_busy(s3, serve, single_record):
    line = b"x" * 65_535 + b"\n"
    put(s3, a=line * 640)
    read = []

    def script(request):
        if request.number == 1:
            time.sleep(0.5)  # long enough to read all
            read.append(s3.bytes_read)
        return echo(request)

    run(s3, serve(script), split="Line", max_payload_mb=1, max_concurrent=2, single_record=single_record)
    assert results(s3) == {"out/a.out": line * 640}
    assert read[0] <= 7 * MIB


def test_B151_B152_one_bad_object_fails_and_the_others_go_on(s3, serve):
    put(s3, a=b"[1]\n", b=b"[1]\n[2]\nbad\n", c=b"[3]\n")

    def script(request):
        return Reply(b"no such thing\nreally", 400) if b"bad" in request.body else PREDICT(request)

    ran = run(s3, serve(script), **JOINED, single_record=True)
    assert sorted(results(s3)) == ["out/a.out", "out/c.out"]
    assert ran.outcome.converted == 2
    (fault,) = ran.outcome.faults
    assert str(fault.url) == f"s3://{BUCKET}/in/b"
    assert fault.message == "line 3: the server answered 400 to /invocations: no such thing really"
    assert fault.kind == "ClientError"


def test_B172_what_the_data_log_says_of_a_400(s3, serve):
    put(s3, a=b"[1]\n")
    ran = run(s3, serve(lambda request: Reply(b"first\nsecond", 400)), split="Line")
    name = f"{BUCKET}/in/a"
    assert ran.log == [
        f"{name}: ClientError: 400",
        f"{name}: Message:",
        f"{name}: first",
        f"{name}: second",
        f"{name}: (line 1)",
    ]


def test_B172_a_line_that_our_server_rejects_is_named_by_its_place_in_the_object(s3, serve):
    put(s3, a=b"[1]\n\n[2]\n\n\n[3]\n")
    reply = Reply(b'{"error":"line 3: expected 4 features, got 1","line":3}', 400)
    ran = run(s3, serve(lambda request: reply), split="Line", content_type=LINES)
    assert ran.messages["in/a"] == "line 6: the server answered 400 to /invocations: expected 4 features, got 1"


def test_B152_B172_an_error_body_never_reaches_a_result(s3, serve):
    put(s3, a=b"1\n2\n3\n4\n")
    server = serve(lambda request: Reply(b"oops", 500) if request.number == 3 else echo(request))
    ran = run(s3, server, split="Line", single_record=True)
    assert results(s3) == {"out/a.out": b"1\n2\n3\n4\n"}
    server.script = lambda request: Reply(b"oops", 500) if b"3" in request.body else echo(request)
    s3.objects.pop("out/a.out")
    ran = run(s3, server, split="Line", single_record=True, retries=1)
    assert results(s3) == {}
    assert ran.messages["in/a"] == "line 3: the server answered 500 to /invocations: oops"
    assert ran.outcome.faults[0].kind == "AlgorithmError"
    assert f"{BUCKET}/in/a: AlgorithmError: 500" in ran.log


def test_B173_no_answer_at_all(s3, serve):
    put(s3, a=b"[1]\n[2]\n")
    server = serve(lambda request: DROP)
    ran = run(s3, server, split="Line", retries=1)
    assert ran.messages["in/a"].startswith("lines 1 to 2: Unable to get response from algorithm: the connection")
    assert ran.log[0] == f"{BUCKET}/in/a: Unable to get response from algorithm"


def test_B173_a_server_that_dies_in_the_middle_and_comes_back_costs_no_record(s3, serve):
    lines = b"".join(b"[%d]\n" % number for number in range(200))
    put(s3, a=lines, b=lines)

    def script(request):
        if request.number in (50, 120):
            server.die()
        return PREDICT(request)

    server = serve(script)
    server.on_recover = server.revive
    ran = run(s3, server, **JOINED, single_record=True, max_concurrent=4)
    assert ran.outcome.faults == ()
    for body in results(s3).values():
        assert [json.loads(line)["SageMakerInput"] for line in body.splitlines()] == [[n] for n in range(200)]


def test_B173_when_the_server_is_gone_for_good_every_object_that_is_left_fails(s3, serve):
    put(s3, **{f"{number:03d}": b"[1]\n" for number in range(100)})
    server = serve(lambda request: PREDICT(request) if request.number <= 20 else DROP)
    server.on_recover = lambda: False
    ran = run(s3, server, **JOINED)
    assert ran.outcome.converted + len(ran.outcome.faults) == 100
    assert len(results(s3)) == ran.outcome.converted == 20
    assert len(s3.calls["get_object"]) < 60  # those that came later were not even read
    assert all("Unable to get response from algorithm" in message for message in ran.messages.values())


@pytest.mark.parametrize("single_record", [True, False])
def test_B143_a_record_that_is_too_large_fails_its_object(s3, serve, single_record):
    put(s3, a=b"[1]\n" + b"x" * (MIB + 1) + b"\n", b=b"[2]\n")
    ran = run(s3, serve(), split="Line", max_payload_mb=1, single_record=single_record)
    assert results(s3) == {"out/b.out": b"[2]\n"}
    assert ran.messages["in/a"].startswith("line 2: it is larger than MaxPayloadInMB")


def test_B143_so_does_an_unsplit_object(s3, serve):
    put(s3, a=b"x" * (MIB + 1), b=b"x" * MIB)
    ran = run(s3, serve(), max_payload_mb=1)
    assert list(results(s3)) == ["out/b.out"]
    assert list(ran.messages) == ["in/a"]


def test_B167_answers_that_are_not_as_many_as_records_fail_the_object(s3, serve):
    put(s3, a=b"[1]\n[2]\n[3]\n")
    ran = run(s3, serve(lambda request: Reply(b"1\n2\n")), **JOINED)
    assert results(s3) == {}
    assert ran.messages["in/a"].startswith("lines 1 to 3: the answer holds 2 records for 3")


def test_B175_the_first_error_records_of_an_object_are_logged_and_the_others_counted(s3, serve):
    put(s3, a=b"[1]\n" * 250)
    server = serve(per_line(lambda line: b'{"error":"too short","line":1}'))
    ran = run(s3, server, **JOINED, max_payload_mb=1)
    assert ran.outcome.converted == 1
    assert ran.log[0] == f"{BUCKET}/in/a: line 1: too short"
    assert ran.log[4] == f"{BUCKET}/in/a: line 5: too short"
    assert ran.log[5:] == [f"{BUCKET}/in/a: 245 more error records"]


def test_B151_a_result_of_many_parts(s3, serve):
    line = b'["' + b"x" * 995 + b'"]\n'
    put(s3, a=line * 9000)
    ran = run(s3, serve(per_line(lambda line: b"1")), **JOINED, max_payload_mb=2, max_concurrent=2)
    (body,) = results(s3).values()
    assert (body.count(b"\n"), ran.outcome.records) == (9000, 9000)
    assert len(body) > PART_BYTES and s3.calls["upload_part"]
    assert (s3.uploads, s3.calls["abort_multipart_upload"]) == ({}, [])


def test_B151_a_fault_at_the_end_leaves_no_upload_behind(s3, serve):
    line = b'["' + b"x" * 995 + b'"]\n'
    put(s3, a=line * 9000 + b"bad\n")
    ran = run(s3, serve(per_line(lambda line: b"1")), **JOINED, max_payload_mb=2)
    assert (results(s3), s3.uploads) == ({}, {})
    assert len(s3.calls["abort_multipart_upload"]) == 1
    assert ran.messages["in/a"].startswith("line 9001: it is no valid JSON")


def test_an_object_that_cannot_be_read_or_stored_fails_alone(s3, serve):
    put(s3, a=b"1\n", b=b"2\n", c=b"3\n")

    def before(operation, arguments):
        if (operation, arguments.get("Key")) in (("get_object", "in/a"), ("put_object", "out/b.out")):
            raise refusal("AccessDenied", 403, operation)

    s3.before = before
    ran = run(s3, serve(), split="Line")
    assert results(s3) == {"out/c.out": b"3\n"}
    assert "AccessDenied" in ran.messages["in/a"]
    assert f"upload of s3://{BUCKET}/out/b.out" in ran.messages["in/b"]
    assert [url.key for url in ran.outcome.written] == ["out/c.out"]


def test_B153_a_stop_publishes_nothing_more_and_says_what_was_written(s3, serve):
    put(s3, a=b"1\n", b=b"2\n" * 50, c=b"3\n")
    stop, hanging = threading.Event(), threading.Event()

    def script(request):
        if request.body == b"2\n":
            hanging.set()
            return Reply(delay=60)
        return echo(request)

    server = serve(script)
    watcher = threading.Thread(target=lambda: (hanging.wait(20), stop.set()))
    watcher.start()
    begun = time.monotonic()
    ran = run(s3, server, stop.is_set, split="Line", single_record=True)
    watcher.join()
    assert time.monotonic() - begun < 10
    assert ran.outcome.stopped
    assert sorted(results(s3)) == [url.key for url in ran.outcome.written]
    assert "out/b.out" not in results(s3)


def test_B153_a_stop_does_not_wait_for_the_store_nor_for_the_servers_keeper(s3, serve):
    put(s3, a=b"1\n")
    release, asked = threading.Event(), threading.Event()

    def recover():
        asked.set()
        return release.wait(60)

    server = serve(lambda request: DROP)
    server.on_recover = recover
    begun = time.monotonic()
    ran = run(s3, server, asked.is_set, split="Line")
    assert ran.outcome.stopped and time.monotonic() - begun < 10

    def before(operation, arguments):
        if operation == "put_object":
            asked.set()
            raise refusal("Unavailable", 503, operation)

    server.script, s3.before = echo, before
    asked.clear()
    ran = run(s3, server, asked.is_set, split="Line")
    release.set()
    assert ran.outcome.stopped and time.monotonic() - begun < 20
    assert results(s3) == {}


def test_B153_what_is_being_published_when_the_stop_comes_is_named(s3, serve):
    put(s3, a=b"1\n")
    stop = threading.Event()

    def before(operation, arguments):
        if operation == "put_object":
            stop.set()
            time.sleep(0.5)  # longer than it takes to see the stop

    s3.before = before
    ran = run(s3, serve(), stop.is_set, split="Line")
    assert ran.outcome.stopped
    assert [url.key for url in ran.outcome.written] == ["out/a.out"]
    assert list(results(s3)) == ["out/a.out"]


def test_B153_what_waits_for_its_turn_to_be_published_is_not_published_any_more(s3, serve):
    put(s3, **{f"{number:02d}": b"1\n" for number in range(THREADS + 4)})
    started, seen = [], threading.Event()

    def before(operation, arguments):
        if operation == "put_object":
            started.append(arguments["Key"])
            assert seen.wait(20)
            time.sleep(0.5)  # the stop is known by then

    def stopped():
        if len(started) == THREADS:
            seen.set()
        return seen.is_set()

    s3.before = before
    ran = run(s3, serve(), stopped, split="Line")
    assert ran.outcome.stopped
    assert sorted(results(s3)) == sorted(started) == [url.key for url in ran.outcome.written]
    assert len(started) == THREADS


def test_B153_a_job_that_is_stopped_already_does_nothing(s3, serve):
    put(s3, a=b"1\n" * 1000)
    ran = run(s3, serve(), lambda: True, split="Line", single_record=True)
    assert ran.outcome.stopped and results(s3) == {}


def test_no_objects_are_no_work(s3, serve):
    assert run(s3, serve()).outcome.converted == 0


def test_a_fault_of_our_own_is_raised_and_leaves_no_upload(s3, serve):
    put(s3, a=b'["' + b"x" * 995 + b'"]\n')

    def before(operation, arguments):
        if operation == "get_object":
            raise ZeroDivisionError("a defect")

    s3.before = before
    with pytest.raises(ZeroDivisionError):
        run(s3, serve(), **JOINED)


BAD_LINES = {
    "no JSON": b"rubbish",
    "a wrong feature count": b"[1, 2]",
    "NaN": b"[NaN, 1, 2, 3]",
    "an object without features": b"{}",
    "a megabyte": b"[" + b"1," * 500_000 + b"1]",
}


def strict(request):
    """As our server does: four features, or an error record for the line."""
    lines = []
    for number, line in enumerate(request.lines, 1):
        try:
            features = json.loads(line, parse_constant=lambda name: None)
            assert len(features) == 4 and None not in features
            lines.append(b'{"predictions":[[0.5,0.5]]}\n')
        except (ValueError, AssertionError, TypeError):
            lines.append(b'{"error":"line %d: not four features","line":%d}\n' % (number, number))
    return Reply(b"".join(lines))


@pytest.mark.parametrize("bad", BAD_LINES)
@pytest.mark.parametrize("single_record", [True, False])
@pytest.mark.parametrize("join", [True, False])
def test_bad_lines_are_never_silent_and_other_objects_are_processed(s3, serve, bad, single_record, join):
    good = b"[1, 2, 3, 4]\n"
    put(s3, bad=good * 2 + BAD_LINES[bad] + b"\n" + good, good=good * 3)
    ran = run(s3, serve(strict), **JOINED | {"join": join}, single_record=single_record)
    assert results(s3)["out/good.out"].count(b"predictions") == 3
    said = [*ran.log, *ran.messages.values()]
    assert any("line 3" in line for line in said)
    if "out/bad.out" in results(s3):
        lines = results(s3)["out/bad.out"].splitlines()
        assert ["predictions" in str(line) for line in lines] == [True, True, False, True]
        assert ran.log == [f"{BUCKET}/in/bad: line 3: not four features"]
        values = [json.loads(line) for line in lines]
        assert "error" in (values[2]["SageMakerOutput"] if join and "SageMakerOutput" in values[2] else values[2])
    else:
        assert join and bad in ("no JSON", "NaN")
        assert ran.messages["in/bad"].startswith("line 3: it is no valid JSON")
