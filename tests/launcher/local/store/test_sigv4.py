"""The verifier against botocore's signer: every request that one signs the other accepts, and no changed one."""

from __future__ import annotations

import datetime
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.local.server.protocol import auth
from launcher.local.server.protocol.wire import Request as ApiRequest
from launcher.local.store.errors import StoreError
from launcher.local.store.sigv4 import Secret, verify

SECRET = "secret-of-the-tests"
KEY = "AKIDTESTOFTHESTORE01"
HOST = "127.0.0.1:9000"

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
names = st.text("abcXYZ-._~019", min_size=1, max_size=12)
queries = st.dictionaries(names, texts, max_size=4)


def secret_of(access_key: str) -> Secret | None:
    return Secret(SECRET) if access_key == KEY else None


def target(key: str, query: dict[str, str]) -> str:
    pairs = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query.items())
    return f"/bucket/{quote(key, safe='/-_.~')}" + (f"?{pairs}" if pairs else "")


def signed(method: str, url: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    request = AWSRequest(method=method, url=f"http://{HOST}{url}", headers=headers or {}, data=b"body")
    S3SigV4Auth(Credentials(KEY, SECRET), "s3", "us-east-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()} | {"host": HOST}


def check(method: str, url: str, headers: dict[str, str], now: datetime.datetime | None = None) -> str:
    path, _, query = url.partition("?")
    return verify(method, path, query, headers, secret_of, now or datetime.datetime.now(datetime.UTC)).access_key


@settings(max_examples=300, deadline=None)
@given(key=texts, query=queries, meta=st.dictionaries(names, st.text("abc  def", max_size=12), max_size=3))
def test_what_botocore_signs_is_accepted_by_both_verifiers(
    key: str, query: dict[str, str], meta: dict[str, str]
) -> None:
    url = target(key, query)
    headers = signed("PUT", url, {f"x-amz-meta-{name}": value for name, value in meta.items()})

    assert check("PUT", url, headers) == KEY

    path, _, text = url.partition("?")
    request = ApiRequest("PUT", path, text, headers, {})
    keys = auth.Keys(KEY, SECRET)
    digest = headers["x-amz-content-sha256"]
    auth.verify(request, auth.parse(request), digest, lambda _: keys, datetime.datetime.now(datetime.UTC))


@settings(max_examples=200, deadline=None)
@given(key=texts, query=queries, data=st.data())
def test_what_was_changed_is_refused(key: str, query: dict[str, str], data: st.DataObject) -> None:
    url = target(key, query)
    headers = signed("GET", url, {"x-amz-meta-a": "b"})
    change = data.draw(st.sampled_from(["method", "path", "query", "header", "digest", "signature", "host"]))
    method = "PUT" if change == "method" else "GET"
    if change == "path":
        url = url.replace("/bucket/", "/bucket/x", 1)
    if change == "query":
        url += "&more=1" if "?" in url else "?more=1"
    if change == "header":
        headers["x-amz-meta-a"] = "c"
    if change == "digest":
        headers["x-amz-content-sha256"] = "0" * 64
    if change == "signature":
        lead, sign, value = headers["authorization"].rpartition("Signature=")
        headers["authorization"] = lead + sign + ("0" if value[0] != "0" else "1") + value[1:]
    if change == "host":
        headers["host"] = "other"

    with pytest.raises(StoreError, match="SignatureDoesNotMatch"):
        check(method, url, headers)


@pytest.mark.parametrize("sent", ["/bucket/a!b(c)*'d", "/bucket/a%21b%28c%29%2A%27d", "/bucket/%61!b%28c)*%27d"])
def test_a_path_may_be_escaped_otherwise_than_it_was_signed(sent: str) -> None:
    headers = signed("GET", "/bucket/a%21b%28c%29%2A%27d")

    assert check("GET", sent, headers) == KEY


def presigned(expires: int) -> str:
    request = AWSRequest(method="GET", url=f"http://{HOST}/bucket/a%20b?x-id=GetObject")
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1", expires=expires).add_auth(request)
    parts = urlsplit(request.url)
    return f"{parts.path}?{parts.query}"


def test_a_presigned_url_is_good_until_it_expires() -> None:
    url, now = presigned(60), datetime.datetime.now(datetime.UTC)

    assert check("GET", url, {"host": HOST}) == KEY
    with pytest.raises(StoreError, match="AccessDenied: Request has expired"):
        check("GET", url, {"host": HOST}, now + datetime.timedelta(seconds=62))
    with pytest.raises(StoreError, match="SignatureDoesNotMatch"):
        check("PUT", url, {"host": HOST})
    with pytest.raises(StoreError, match="SignatureDoesNotMatch"):
        check("GET", url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"), {"host": HOST})
    with pytest.raises(StoreError, match="AuthorizationQueryParametersError"):
        check("GET", presigned(8 * 24 * 3600), {"host": HOST})


def test_who_is_nobody_is_told_so() -> None:
    url = "/bucket/key"
    headers = signed("GET", url)
    for wrong, code in [
        ({"host": HOST}, "AccessDenied"),
        (headers | {"authorization": "AWS key:signature"}, "InvalidRequest"),
        (headers | {"authorization": headers["authorization"].replace(KEY, "OTHER")}, "InvalidAccessKeyId"),
        (headers | {"authorization": "AWS4-HMAC-SHA256 nonsense"}, "AuthorizationHeaderMalformed"),
        (headers | {"x-amz-security-token": "token"}, "InvalidAccessKeyId"),
        (headers | {"x-amz-date": "now"}, "AccessDenied"),
        (headers | {"x-amz-acl": "public-read"}, "AccessDenied: There were headers present"),
        ({name: value for name, value in headers.items() if name != "x-amz-content-sha256"}, "InvalidRequest"),
    ]:
        with pytest.raises(StoreError, match=code):
            check("GET", url, wrong)
    late = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=16)
    with pytest.raises(StoreError, match="RequestTimeTooSkewed"):
        check("GET", url, headers, late)
