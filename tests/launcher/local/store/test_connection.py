"""What strangers and broken clients may do to the store: nothing that costs much, and nothing that is kept."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import socket
from collections.abc import Callable, Iterator

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from embedded import Embedded, eventually

from launcher.local.keys import grants
from launcher.local.keys.places import Place, Places
from launcher.local.store import server as listeners
from launcher.local.store.connection import MAX_HEAD_BYTES

Signer = Callable[..., tuple[int, bytes]]


@pytest.fixture
def ask(store: Embedded) -> Signer:
    """Sends a request that is signed for one body and has perhaps another."""

    def send(method: str, path: str, body: bytes = b"", sent: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = AWSRequest(method=method, url=f"{store.url}{path}", data=body, headers=named)
        keys = Credentials(store.identity.access_key, store.identity.secret_key)
        S3SigV4Auth(keys, "s3", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", store.identity.store_port, timeout=20)
        connection.request(method, path, sent if sent is not None else body, dict(request.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    return send


def raw(store: Embedded, data: bytes) -> bytes:
    """What the store says to bytes, until it ends the connection or has said all."""
    with connected(store) as sock:
        sock.sendall(data)
        return rest(sock)


def head(store: Embedded, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A signed head, and what follows it not yet; headers whose names begin with a capital are not signed."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    signed = {name: value for name, value in named.items() if name.islower()}
    request = AWSRequest(method=method, url=f"{store.url}{path}", data=body, headers=signed)
    keys = Credentials(store.identity.access_key, store.identity.secret_key)
    S3SigV4Auth(keys, "s3", "us-east-1").add_auth(request)
    lines = {"Host": f"127.0.0.1:{store.identity.store_port}", **dict(request.headers.items()), **named}
    return "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{name}: {lines[name]}" for name in lines), "", ""]).encode()


@contextlib.contextmanager
def connected(store: Embedded) -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.settimeout(20)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.connect(("127.0.0.1", store.identity.store_port))
        yield sock


def rest(sock: socket.socket) -> bytes:
    """What comes until the store ends the connection."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            answer += piece
    return answer


def test_a_body_that_is_not_the_signed_one_is_never_seen(ask: Signer, store: Embedded, bucket: str) -> None:
    for size in (10, 500_000):
        status, content = ask("PUT", f"/{bucket}/a", b"a" * size, b"b" * size)
        assert (status, b"XAmzContentSHA256Mismatch" in content) == (400, True)
    assert "Contents" not in store.client().list_objects_v2(Bucket=bucket)


def test_a_body_that_breaks_off_leaves_nothing(store: Embedded, bucket: str) -> None:
    client, files = store.client(), lambda: sum(1 for one in store.paths.store_contents.rglob("*") if one.is_file())
    client.put_object(Bucket=bucket, Key="a", Body=b"old")
    before = files()
    url = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a"})
    path = url.partition(str(store.identity.store_port))[2]
    with socket.create_connection(("127.0.0.1", store.identity.store_port), timeout=20) as sock:
        host = f"127.0.0.1:{store.identity.store_port}"
        sock.sendall(
            f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 400_000
        )
        eventually(lambda: files() > before)
    eventually(lambda: files() == before)

    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"old"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"AccessDenied"),
        (b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", b"AccessDenied"),
        (b"GET / HTTP/1.1\r\n\r\n", b"InvalidRequest"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"InvalidRequest"),
        (b"nonsense\r\n\r\n", b"InvalidRequest"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", b"RequestHeaderSectionTooLarge"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000, b"RequestHeaderSectionTooLarge"),
        (b"GET /" + b"a" * MAX_HEAD_BYTES, b"RequestHeaderSectionTooLarge"),
        (b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"InvalidRequest"),
        (b"GET /b HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 \xff\xfe\r\n\r\n", b"Malformed"),
        (b"GET /%ff%fe?X-Amz-Signature=%ff&X-Amz-Algorithm=x HTTP/1.1\r\nHost: x\r\n\r\n", b"Parameters"),
    ],
)
def test_strangers_are_refused_in_words_before_their_bodies_are_read(store: Embedded, data: bytes, code: bytes) -> None:
    before = store.paths.store_log.read_text()

    assert code in raw(store, data.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nConnection: close\r\n"))
    assert store.paths.store_log.read_text() == before


def test_idle_strangers_lock_nobody_out(store: Embedded) -> None:
    address, idle = ("127.0.0.1", store.identity.store_port), []
    try:
        for _ in range(listeners.MAX_CONNECTIONS + 50):
            idle.append(socket.create_connection(address, timeout=20))
        assert store.client().list_buckets()["Buckets"]
        idle[0].settimeout(20)
        assert idle[0].recv(1) == b""  # the one that was there longest had to leave
    except ConnectionResetError:
        pass
    finally:
        for one in idle:
            one.close()


def test_what_is_not_known_is_refused_and_changes_nothing(ask: Signer, store: Embedded, bucket: str) -> None:
    client = store.client()
    client.put_object(Bucket=bucket, Key="a", Body=b"body", Metadata={"m": "1"})
    for method, query, headers in [
        ("PUT", "acl", {}),
        ("PUT", "legal-hold", {}),
        ("PUT", "retention", {}),
        ("PUT", "renameObject", {"x_amz_rename_source": "/b/c"}),
        ("PUT", "newthing", {}),
        ("PUT", "newthing=", {}),
        ("PUT", "", {"x_amz_write_offset_bytes": "4"}),
        ("PUT", "", {"x_amz_acl": "public-read"}),
        ("PUT", "", {"x_amz_checksum_md5": "AAAAAAAAAAA="}),
        ("PUT", "", {"x_amz_sdk_checksum_algorithm": "XXHASH64"}),
        ("POST", "restore", {}),
        ("POST", "select&select-type=2", {}),
        ("POST", "", {}),
        ("DELETE", "newthing", {}),
        ("DELETE", "acl", {}),
        ("GET", "attributes", {}),
        ("PUT", "uploadId=x&tagging", {}),
    ]:
        path = f"/{bucket}/a" + (f"?{query}" if query else "")
        status, content = ask(method, path, b"other", **headers)
        assert (status, b"<Code>NotImplemented</Code>" in content) == (501, True), (method, query, headers, content)
        there = client.get_object(Bucket=bucket, Key="a")
        assert (there["Body"].read(), there["Metadata"]) == (b"body", {"m": "1"})
    for method, query in [("PUT", "versioning"), ("PUT", "lifecycle"), ("DELETE", "newthing"), ("PUT", "policy")]:
        status, content = ask(method, f"/{bucket}?{query}", b"<x/>")
        assert (status, b"<Code>NotImplemented</Code>" in content) == (501, True)
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_parameters_that_s3_ignores_are_ignored(ask: Signer, bucket: str) -> None:
    assert ask("PUT", f"/{bucket}/a?x-id=PutObject&traced=7", b"body")[0] == 200
    assert ask("GET", f"/{bucket}/a?x-id=GetObject")[1] == b"body"


def test_documents_that_attack_the_parser_are_refused(ask: Signer, store: Embedded, bucket: str) -> None:
    bomb = (
        b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
    )
    for body in (bomb, b"<Delete>" * 5000, b"<Delete/>", b"\xff\xfe", b"", b"<Other/>", b"<Delete><Object/></Delete>"):
        digest = hashlib.md5(body).digest()
        status, content = ask("POST", f"/{bucket}?delete", body, content_md5=base64.b64encode(digest).decode())
        assert (status, b"<Code>MalformedXML</Code>" in content) == (400, True), content
    assert store.client().head_bucket(Bucket=bucket)


def test_an_override_cannot_add_a_header(ask: Signer, bucket: str) -> None:
    ask("PUT", f"/{bucket}/a", b"body")

    status, content = ask("GET", f"/{bucket}/a?response-content-type=a%0D%0AX-Other%3A%20b")

    assert (status, b"InvalidArgument" in content) == (400, True)


def test_a_trailer_changes_nothing_of_what_was_signed(store: Embedded, bucket: str) -> None:
    client = store.client()
    client.put_object(Bucket=bucket, Key="one", Body=b"allowed")
    client.put_object(Bucket=bucket, Key="one,/x", Body=b"other")
    copy = head(
        store,
        "PUT",
        f"/{bucket}/copy",
        x_amz_copy_source=f"/{bucket}/one",
        Transfer_Encoding="chunked",
        Connection="close",
    )

    assert b"<CopyObjectResult" in raw(store, copy + b"0\r\nx-amz-copy-source: /x\r\n\r\n")
    assert client.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"allowed"


@pytest.mark.parametrize(
    ("start", "more"),
    [(b"0\r\na: ", b"b" * 65536), (b"0\r\na: ", b"b\r\na: " * 8192), (b"5;", b"b" * 65536)],
    ids=["one trailer", "many trailers", "an extension"],
)
def test_what_follows_chunks_without_end_is_not_read(store: Embedded, bucket: str, start: bytes, more: bytes) -> None:
    copy = head(
        store,
        "PUT",
        f"/{bucket}/a",
        x_amz_copy_source=f"/{bucket}/b",
        Transfer_Encoding="chunked",
        Expect="100-continue",
    )
    store.client().put_object(Bucket=bucket, Key="b", Body=b"b")
    with connected(store) as sock:
        sock.sendall(copy)
        assert b"100 Continue" in sock.recv(1000)
        sock.sendall(start)
        with pytest.raises(ConnectionError):
            for _ in range(1024):
                sock.sendall(more)


DELETED = b"<Delete><Object><Key>k</Key></Object></Delete>"


@pytest.mark.parametrize(
    ("target", "body", "length"),
    [
        ("?delete", DELETED, {"Content_Length": str(len(DELETED))}),
        ("/k?uploads", b"", {"Transfer_Encoding": "chunked"}),
    ],
    ids=["deletes", "begins an upload"],
)
def test_what_waits_does_nothing_in_a_bucket_that_was_made_meanwhile(
    store: Embedded, bucket: str, target: str, body: bytes, length: dict[str, str]
) -> None:
    client, digest = store.client(), base64.b64encode(hashlib.md5(body).digest()).decode()
    more = {"content_md5": digest, "Expect": "100-continue", "Connection": "close", **length}
    with connected(store) as sock:
        sock.sendall(head(store, "POST", f"/{bucket}{target}", body, **more))
        assert b"100 Continue" in sock.recv(1000)
        client.delete_bucket(Bucket=bucket)
        client.create_bucket(Bucket=f"{bucket}-other")
        client.put_object(Bucket=f"{bucket}-other", Key="k", Body=b"k")
        sock.sendall(body or b"0\r\n\r\n")
        assert b"<Code>NoSuchBucket</Code>" in rest(sock)

    assert client.get_object(Bucket=f"{bucket}-other", Key="k")["Body"].read() == b"k"
    assert "Uploads" not in client.list_multipart_uploads(Bucket=f"{bucket}-other")


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_the_key_of_a_job_locks_nobody_out(store: Embedded, bucket: str, busy: bool) -> None:
    places = Places(reads=(), writes=(Place(bucket, "job/"),))
    grant = grants.issue(store.paths, f"job-{busy}", "arn:aws:iam::000000000000:role/r", places)
    job = store.client(aws_access_key_id=grant.access_key, aws_secret_access_key=grant.secret_key)
    url = job.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "job/a"})
    path = url.partition(str(store.identity.store_port))[2]
    host = f"127.0.0.1:{store.identity.store_port}"
    lines = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n"
    with contextlib.ExitStack() as open_ones:
        answers = []
        for _ in range(listeners.MAX_CONNECTIONS):
            sock = open_ones.enter_context(connected(store))
            sock.sendall(f"{lines}Expect: 100-continue\r\n\r\n".encode() if busy else f"{lines}\r\na".encode())
            answers.append(sock.recv(1000).split()[1])
        assert store.client().list_buckets()["Buckets"]
        assert answers.count(b"503") == (listeners.MAX_CONNECTIONS - listeners.MAX_CONNECTIONS_PER_KEY if busy else 0)
        if not busy:
            job.put_object(Bucket=bucket, Key="job/b", Body=b"b")


def test_a_file_that_goes_while_it_is_sent_ends_the_connection(own: Embedded) -> None:
    client = own.client()
    client.create_bucket(Bucket="bucket")
    upload = client.create_multipart_upload(Bucket="bucket", Key="a")["UploadId"]
    parts = []
    for number, body in enumerate((bytes(24 * 1024 * 1024), b"last"), 1):
        arguments = {"Bucket": "bucket", "Key": "a", "UploadId": upload, "PartNumber": number}
        parts.append({"PartNumber": number, "ETag": client.upload_part(**arguments, Body=body)["ETag"]})
    arguments = {"Bucket": "bucket", "Key": "a", "UploadId": upload}
    client.complete_multipart_upload(**arguments, MultipartUpload={"Parts": parts})
    with connected(own) as sock:
        sock.sendall(head(own, "GET", "/bucket/a"))
        assert b"200 OK" in sock.recv(1000)
        last = [path for path in own.paths.store_contents.rglob("*") if path.is_file() and path.stat().st_size == 4]
        last[0].unlink()
        assert len(rest(sock)) < 24 * 1024 * 1024 + 1000  # and no wait until an idle connection is ended

    assert "FileNotFoundError" in own.paths.store_log.read_text()
    assert client.head_bucket(Bucket="bucket")
