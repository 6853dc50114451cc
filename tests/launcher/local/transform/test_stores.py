"""Transforms against real stores: the embedded one, Ceph, moto; and what the driver takes of memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from moto import mock_aws
from scripted_server import Reply, per_line
from transforms import BUCKET, run

from batchrl.contract.layout import S3Url
from batchrl.contract.store import ensure_bucket, list_objects, s3_client
from launcher.local.transform.sink import PART_BYTES

LINES = "application/jsonlines"
JOINED = {"split": "Line", "join": True, "content_type": LINES, "accept": LINES, "assemble_lines": True}
PREDICT = per_line(lambda line: b'{"p":%d}' % len(line))


@pytest.fixture(params=["embedded", pytest.param("rgw", marks=pytest.mark.rgw), "moto"])
def client(request) -> Iterator[object]:
    """An empty ``in/`` and ``out/`` in a bucket of some store."""
    if request.param == "moto":
        with mock_aws():
            made = s3_client(None, None, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
            ensure_bucket(made, BUCKET)
            yield made
        return
    if request.param == "embedded":
        made = request.getfixturevalue("store")
    else:
        store = request.getfixturevalue("rgw")
        made = s3_client(
            None,
            store.endpoint_url,
            aws_access_key_id=store.access_key,
            aws_secret_access_key=store.secret_key,
            region_name=store.region,
        )
        ensure_bucket(made, BUCKET)
    yield made
    for key in keys(made, ""):
        made.delete_object(Bucket=BUCKET, Key=key)


def keys(client, prefix):
    return sorted(key for key, _ in list_objects(client, S3Url(BUCKET, prefix)))


def get(client, key):
    return client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def uploads(client):
    """Multipart uploads that are not complete; None where the store does not tell."""
    try:
        return client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    except client.exceptions.ClientError:
        return None


def test_B147_B148_B151_small_and_nested_and_empty_objects(client, serve):
    objects = {"in/a.jsonl": b"[1]\n[2]", "in/sub/deep/b.jsonl": b"{}\n", "in/empty": b"", "in_other/c": b"[3]\n"}
    for key, body in objects.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)
    ran = run(client, serve(PREDICT), **JOINED, max_concurrent=3)
    assert ran.outcome.faults == ()
    assert keys(client, "out/") == ["out/a.jsonl.out", "out/empty.out", "out/sub/deep/b.jsonl.out"]
    assert get(client, "out/a.jsonl.out").splitlines() == [
        b'{"SageMakerInput":[1],"SageMakerOutput":{"p":3}}',
        b'{"SageMakerInput":[2],"SageMakerOutput":{"p":3}}',
    ]
    assert get(client, "out/empty.out") == b""


def test_B151_large_objects_in_parts_and_nothing_of_those_that_fail(client, serve):
    line = b'["' + b"x" * 995 + b'"]\n'
    client.put_object(Bucket=BUCKET, Key="in/good", Body=line * 10_000)
    client.put_object(Bucket=BUCKET, Key="in/bad", Body=line * 10_000 + b"bad\n")
    ran = run(client, serve(PREDICT), **JOINED, max_concurrent=2, max_payload_mb=2)
    assert keys(client, "out/") == ["out/good.out"]
    body = get(client, "out/good.out")
    assert len(body) > PART_BYTES
    assert [json.loads(line)["SageMakerOutput"]["p"] for line in body.splitlines()] == [999] * 10_000
    assert list(ran.messages) == ["in/bad"]
    assert uploads(client) in ([], None)


def test_B153_a_stop_in_the_middle_of_an_upload_leaves_none(client, serve):
    line = b'["' + b"x" * 995 + b'"]\n'
    client.put_object(Bucket=BUCKET, Key="in/a", Body=line * 20_000)
    stop = []

    def script(request):
        if request.number > 10:
            stop.append(True)
            return Reply(delay=60)
        return PREDICT(request)

    ran = run(client, serve(script), lambda: bool(stop), **JOINED, max_payload_mb=1)
    assert ran.outcome.stopped and ran.outcome.written == ()
    assert keys(client, "out/") == []
    assert uploads(client) in ([], None)


def test_an_object_that_is_not_there_any_more_fails_alone(client, serve):
    from launcher.local.transform.run import transform
    from launcher.local.transform.settings import TransformSettings
    from launcher.local.transform.sources import SourceObject

    client.put_object(Bucket=BUCKET, Key="in/here", Body=b"1\n")
    objects = [SourceObject(S3Url(BUCKET, f"in/{name}"), name) for name in ("gone", "here")]
    log = []
    outcome = transform(
        client,
        objects,
        S3Url(BUCKET, "out"),
        serve(PREDICT),
        TransformSettings(split="Line"),
        log.append,
        lambda: False,
    )
    assert keys(client, "out/") == ["out/here.out"]
    (fault,) = outcome.faults
    assert "NoSuchKey" in fault.message and fault.kind == "ClientError"


DRIVER = """
import json, sys
from batchrl.contract.layout import S3Url
from batchrl.contract.records import from_json
from batchrl.contract.store import s3_client
from launcher.local.executors.address import ServerAddress
from launcher.local.transform.run import transform
from launcher.local.transform.settings import TransformSettings
from launcher.local.transform.sources import SourceObject

given = json.loads(sys.argv[1])

class Server:
    address = from_json(ServerAddress, given["server"])
    def recover(self, useful):
        return True

client = s3_client(None, given["store"], **given["credentials"])
source = SourceObject(S3Url(given["bucket"], "in/large"), "large", given["size"])
output, settings = S3Url(given["bucket"], "out"), TransformSettings(**given["settings"])
outcome = transform(client, [source], output, Server(), settings, print, lambda: False)
(peak,) = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps({"peak_kib": peak, "records": outcome.records, "faults": [fault.message for fault in outcome.faults]}))
"""


@pytest.mark.parametrize(
    "settings",
    [
        JOINED | {"max_concurrent": 4},
        JOINED | {"max_concurrent": 1, "max_payload_mb": 0},
        {"max_payload_mb": 0},
    ],
    ids=["MultiRecord", "one request of any size", "unsplit"],
)
def test_B142_memory_is_bounded_whatever_the_size_of_the_input(store, serve, settings):
    """150 MB in, about as much or three times as much out, below 300 MB in memory."""
    lines = b"[0.012345, -0.234567, 0.034567, -0.456789]\n" * 1000
    upload = store.create_multipart_upload(Bucket=BUCKET, Key="in/large")["UploadId"]
    part, parts = lines * 400, []
    for number in range(1, 10):
        answer = store.upload_part(Bucket=BUCKET, Key="in/large", UploadId=upload, PartNumber=number, Body=part)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    store.complete_multipart_upload(Bucket=BUCKET, Key="in/large", UploadId=upload, MultipartUpload={"Parts": parts})
    frozen = store._request_signer._credentials.get_frozen_credentials()
    server = serve(lambda request: Reply(b'{"predictions":[[0.25,0.75]],"action":1}\n' * request.body.count(b"\n")))
    given = {
        "bucket": BUCKET,
        "store": store.meta.endpoint_url,
        "credentials": {
            "aws_access_key_id": frozen.access_key,
            "aws_secret_access_key": frozen.secret_key,
            "region_name": "us-east-1",
        },
        "server": server.address.to_json(),
        "size": len(part) * 9,
        "settings": settings,
    }
    command = [sys.executable, "-c", DRIVER, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["faults"] == []
    assert told["records"] == (3_600_000 if "split" in settings else 1)
    assert told["peak_kib"] * 1024 < 300_000_000
    for key in keys(store, ""):
        store.delete_object(Bucket=BUCKET, Key=key)
