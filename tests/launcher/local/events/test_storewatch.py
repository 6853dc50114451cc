"""Requests to the store, as the events tell them: a real client against a store that can be stopped."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from batchrl.contract.direct import put_object
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import sha256_of
from batchrl.contract.store import s3_client
from launcher.local.events.eventfile import EventFile, read
from launcher.local.events.kinds import CheckpointUploaded, StoreAnswered, StoreFailed
from launcher.local.events.storewatch import StoreWatch


@pytest.fixture
def server():
    """A store that answers 200, or what ``server.answers`` holds next."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            status = server.answers.pop(0) if server.answers else 200
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("ETag", '"0"')
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.answers = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(server):
    url = f"http://127.0.0.1:{server.server_address[1]}"
    return s3_client(None, url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")


def found(path, kind):
    return [one.event for one in read(path) if isinstance(one.event, kind)]


def test_a_failure_and_the_answer_after_it_are_told_and_bytes_are_counted(server, client, tmp_path):
    path = tmp_path / "events.jsonl"
    watch = StoreWatch(EventFile(path))
    watch.attach(client)
    server.answers = [500, 503, 200]
    client.put_object(Bucket="b", Key="k", Body=b"x" * 1000)
    assert found(path, StoreFailed) == [StoreFailed("PutObject", "HTTP 500")]
    (answered,) = found(path, StoreAnswered)
    assert answered.failures == 2 and answered.seconds > 0
    used = watch.used()
    assert (used.upload_requests, used.upload_bytes, used.failures, used.other_requests) == (3, 1000, 2, 0)
    assert used.failing_seconds == pytest.approx(answered.seconds, abs=1e-3)
    assert 0 < used.upload_seconds < 60


def test_a_store_that_is_away_is_told(client, server, tmp_path):
    path = tmp_path / "events.jsonl"
    dead = s3_client(
        None, "http://127.0.0.1:1", aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    watch = StoreWatch(EventFile(path))
    watch.attach(dead)
    with pytest.raises(Exception, match="Could not connect"):
        dead.put_object(Bucket="b", Key="k", Body=b"x")
    (failed,) = found(path, StoreFailed)
    assert "Could not connect" in failed.error
    assert watch.used().failures == 4
    assert watch.used().failing_seconds > 0


def test_a_flapping_store_does_not_fill_the_file(server, client, tmp_path):
    path = tmp_path / "events.jsonl"
    watch = StoreWatch(EventFile(path), clock=lambda: 1.0)
    watch.attach(client)
    for _ in range(4):
        server.answers = [500, 200]
        client.put_object(Bucket="b", Key="k", Body=b"")
    assert len(found(path, StoreFailed)) == len(found(path, StoreAnswered)) == 1
    assert watch.used().failures == 4


@pytest.mark.parametrize("prefix", ["ck", "ck/", "a/ck"])
def test_the_first_checkpoint_is_told_and_others_are_no_checkpoint(server, client, tmp_path, prefix):
    path = tmp_path / "events.jsonl"
    watch = StoreWatch(EventFile(path), S3Url("b", prefix))
    watch.attach(client)
    for key in ("other/x", f"{prefix.rstrip('/')}2/x", f"{prefix.rstrip('/')}/epoch 1", f"{prefix.rstrip('/')}/2"):
        client.put_object(Bucket="b", Key=key, Body=b"1")
    assert found(path, CheckpointUploaded) == [CheckpointUploaded(f"{prefix.rstrip('/')}/epoch 1", 1)]


def test_requests_that_botocore_does_not_see_count_as_well(server, client, tmp_path):
    path = tmp_path / "events.jsonl"
    watch = StoreWatch(EventFile(path), S3Url("b", "ck"))
    watch.attach(client)
    server.answers = [500, 500]  # the direct request, and botocore's first one after it
    for key in ("ck/1", "ck/2"):
        put_object(client, S3Url("b", key), b"12345", sha256_of(b"12345"))
    used = watch.used()
    assert (used.upload_requests, used.upload_bytes, used.failures) == (3, 10, 1)
    assert 0 < used.upload_seconds < 60
    assert found(path, CheckpointUploaded) == [CheckpointUploaded("ck/1", 1)]
    assert len(found(path, StoreAnswered)) == 1
