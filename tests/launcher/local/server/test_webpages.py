"""A web page in the owner's browser: it can send requests to loopback, under any name, and has no key."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from api_servers import RunningServer

from launcher.local import cloud

CREATE = {"x-amz-target": "SageMaker.CreateTrainingJob"}
# A form's, an image's, a fetch's without and with a preflight, and what a name that was rebound to loopback sends.
REQUESTS = [
    ("POST", "/", {"content-type": "text/plain"}, b"{}"),
    (
        "POST",
        "/",
        {"content-type": "application/x-www-form-urlencoded"},
        b"Action=GetCallerIdentity&Version=2011-06-15",
    ),
    ("POST", "/", {"content-type": "application/x-amz-json-1.1", **CREATE}, b'{"TrainingJobName": "x"}'),
    ("GET", "/batchrl-local?list-type=2", {}, None),
    ("PUT", "/batchrl-local/x", {}, b"x"),
    ("DELETE", "/batchrl-local/x", {}, None),
    ("OPTIONS", "/", {"access-control-request-method": "POST", "access-control-request-headers": "x-amz-target"}, None),
    ("GET", "/_batchrl/version?nonce=1", {}, None),
    ("POST", "/endpoints/e/invocations", {"content-type": "text/plain"}, b"{}"),
]
PAGES = [
    {"origin": "https://evil.example", "host": "evil.example"},
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"origin": "null"},
    {"referer": "https://evil.example/page"},
]
# Bytes of a signature that a page could make: it knows the form, and no secret.
SCOPE = "Credential=AKIA/20300101/us-east-1/s3/aws4_request"
FORGED = {"authorization": f"AWS4-HMAC-SHA256 {SCOPE}, SignedHeaders=host, Signature=0"}


def answer(url: str, method: str, path: str, headers: dict[str, str], body: bytes | None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.putrequest(method, path, skip_host="host" in headers, skip_accept_encoding=True)
    for name, text in headers.items():
        connection.putheader(name, text)
    if body is not None:
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def check(response: http.client.HTTPResponse) -> None:
    assert 400 <= response.status < 500, response.status
    told = {name.lower() for name, _ in response.getheaders()}
    assert not {name for name in told if name.startswith("access-control-")}
    assert "set-cookie" not in told


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("request_", REQUESTS)
def test_a_page_is_refused_by_the_server_and_may_not_read_the_answer(api_server: RunningServer, page, request_) -> None:
    method, path, headers, body = request_
    for extra in ({}, FORGED):
        check(answer(api_server.url, method, path, headers | page | extra, body))
    assert api_server.handed == [] and api_server.records.list() == []


def test_a_page_is_refused_by_the_embedded_store(home: Path) -> None:
    address = cloud.ensure_up(home)
    for page in PAGES:
        for method, path, headers, body in REQUESTS:
            check(answer(address.store.endpoint_url, method, path, headers | page, body))
            check(answer(address.api_url, method, path, headers | page, body))
    with pytest.raises(Exception, match="404"):
        address.store.client().head_object(Bucket="batchrl-local", Key="x")
