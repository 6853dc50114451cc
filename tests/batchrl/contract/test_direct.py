"""Requests that are made without botocore: what they look like, and all that is left to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

import boto3
import botocore.exceptions
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from scripted_server import DROP, ModelServer, Reply, Request

from batchrl.contract.direct import put_object, read_object
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import sha256_of
from batchrl.contract.store import TORN, Client, s3_client

URL = S3Url("bucket", "a folder/ü+~%")
PATH = "/bucket/a%20folder/%C3%BC%2B~%25"
KEYS = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret", "region_name": "eu-west-3"}
EMPTY = hashlib.sha256(b"").hexdigest()


def whole(request: Request) -> Reply:
    return Reply(b"content", headers={"ETag": '"tag"'})


@pytest.fixture
def server() -> Iterator[ModelServer]:
    server = ModelServer(whole)
    yield server
    server.die()


def made_for(server: ModelServer, **more: str) -> Client:
    return s3_client(boto3.Session(), f"http://127.0.0.1:{server.address.port}", **KEYS, **more)


@pytest.fixture
def client(server) -> Client:
    return made_for(server)


def by_botocore(request: Request) -> bool:
    return "amz-sdk-invocation-id" in request.headers


def signature_of(request: Request, token: str | None) -> str:
    """What botocore's signer makes of a request."""
    method, path, _ = request.line.split(" ")
    names = re.search("SignedHeaders=([^,]+)", request.headers["authorization"])[1].split(";")
    signed = AWSRequest(
        method, f"http://{request.headers['host']}{path}", {name: request.headers[name] for name in names}
    )
    signed.context["timestamp"] = request.headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials("AKIA", "secret", token), "s3", "eu-west-3")
    return signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)


@pytest.mark.parametrize("token", [None, "of a session"])
def test_a_request_is_signed_as_botocore_signs_it(server, token):
    client = made_for(server, **({"aws_session_token": token} if token else {}))
    assert b"".join(read_object(client, URL).chunks) == b"content"
    put_object(client, URL, b"new", sha256_of(b"new"))
    assert not any(map(by_botocore, server.requests))
    for request, method, digest in zip(server.requests, ("GET", "PUT"), (EMPTY, sha256_of(b"new")), strict=True):
        assert request.line == f"{method} {PATH} HTTP/1.1"
        assert request.headers["x-amz-content-sha256"] == digest
        assert request.headers.get("x-amz-security-token") == token
        assert request.headers["authorization"].endswith(f"Signature={signature_of(request, token)}")
    assert server.requests[1].body == b"new"


def test_credentials_that_were_replaced_are_used(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    session = boto3.Session(region_name="eu-west-3")
    client = s3_client(session, made_for(server).meta.endpoint_url)
    put_object(client, URL, b"1", sha256_of(b"1"))
    session.get_credentials().access_key = "AKIB"
    put_object(client, URL, b"2", sha256_of(b"2"))
    assert [re.search("Credential=(AKI.)/", each.headers["authorization"])[1] for each in server.requests] == [
        "AKIA",
        "AKIB",
    ]


def test_connections_are_kept(server, client):
    for _ in range(5):
        b"".join(read_object(client, URL).chunks)
        put_object(client, URL, b"new", sha256_of(b"new"))
    assert server.connections == 1


def test_a_connection_that_the_server_closed_costs_nothing(server, client):
    server.script = lambda request: Reply(b"content", close=True)
    assert [b"".join(read_object(client, URL).chunks) for _ in range(3)] == [b"content"] * 3


@pytest.mark.parametrize("first", [DROP, Reply(status=500), Reply(status=307), Reply(b"x", until_close=True)])
def test_whatever_is_no_plain_success_is_asked_of_botocore(server, client, first):
    server.script = lambda request: whole(request) if by_botocore(request) else first
    assert b"".join(read_object(client, URL).chunks) == b"content"
    assert [by_botocore(request) for request in server.requests] == [False, True]


@pytest.mark.parametrize("first", [DROP, Reply(status=500), Reply(status=412)])
def test_what_was_not_stored_is_stored_by_botocore(server, client, first):
    server.script = lambda request: Reply() if by_botocore(request) else first
    put_object(client, URL, b"new", sha256_of(b"new"))
    assert [(by_botocore(request), request.body) for request in server.requests] == [(False, b"new"), (True, b"new")]


def test_a_refusal_is_told_as_botocore_tells_it(server, client):
    server.script = lambda request: Reply(b"<Error><Code>NoSuchKey</Code></Error>", status=404)
    for ask in (lambda: read_object(client, URL), lambda: put_object(client, URL, b"", EMPTY)):
        with pytest.raises(botocore.exceptions.ClientError, match="NoSuchKey"):
            ask()


@pytest.mark.parametrize("reset", [False, True])
def test_a_body_that_breaks_off_is_torn(server, client, reset):
    server.script = lambda request: Reply(
        raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234", close=True, reset=reset
    )
    answer = read_object(client, URL)
    assert answer.length == 9
    with pytest.raises(TORN):
        list(answer.chunks)
    server.script = whole
    assert b"".join(read_object(client, URL).chunks) == b"content"


def test_a_part_is_asked_for_with_its_condition(server, client):
    server.script = lambda request: Reply(b"67", status=206, headers={"ETag": '"tag"'})
    assert b"".join(read_object(client, URL, range(6, 8), '"tag"').chunks) == b"67"
    assert (server.requests[0].headers["range"], server.requests[0].headers["if-match"]) == ("bytes=6-7", '"tag"')
    server.script = lambda request: Reply(b"67", status=206 if by_botocore(request) else 200)
    assert b"".join(read_object(client, URL, range(6, 8)).chunks) == b"67"
    assert [by_botocore(request) for request in server.requests] == [False, False, True]


def elsewhere(server: ModelServer) -> Client:
    return boto3.client("s3", endpoint_url=made_for(server).meta.endpoint_url, **KEYS)


def by_proxy(server: ModelServer) -> Client:
    """A client whose requests go by way of the server, which is its proxy."""
    address = made_for(server).meta.endpoint_url
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("http_proxy", address)
        client = s3_client(boto3.Session(), "http://store.example", **KEYS)
        read_object(client, URL)
    return client


@pytest.mark.parametrize("make", [elsewhere, by_proxy])
def test_other_clients_are_botocores_affair(server, make: Callable[[ModelServer], Client]):
    client = make(server)
    assert b"".join(read_object(client, URL).chunks) == b"content"
    assert server.requests
    assert all(map(by_botocore, server.requests))


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1:1", None])
def test_https_is_botocores_affair(endpoint):
    from batchrl.contract import direct

    assert direct._server(s3_client(boto3.Session(), endpoint, **KEYS), "bucket") is None
