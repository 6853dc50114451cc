"""S3 through the API server: verified, streamed, and signed anew for the store."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from api_servers import RunningServer, of_cloud
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from batchrl.contract.errors import InputError, Unreachable
from launcher.local import cloud
from launcher.local.host import shell
from launcher.local.host.address import CloudAddress
from launcher.local.server.protocol.auth import Keys, digest_of, sign

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudAddress]:
    home = tmp_path_factory.mktemp("cloud") / "home"
    yield cloud.ensure_up(home)
    cloud.down(home)


@pytest.fixture
def s3(address: CloudAddress) -> Any:
    return of_cloud("s3", address)


@pytest.mark.parametrize("key", ["plain", "a/b c/ü+&=?#%.csv", "x" * 200])
def test_objects_come_back_as_they_went(s3: Any, address: CloudAddress, key: str) -> None:
    body = os.urandom(100_000)
    s3.put_object(Bucket=address.bucket, Key=key, Body=body)
    answer = s3.get_object(Bucket=address.bucket, Key=key)
    assert answer["Body"].read() == body
    assert s3.head_object(Bucket=address.bucket, Key=key)["ContentLength"] == len(body)
    assert s3.get_object(Bucket=address.bucket, Key=key, Range="bytes=10-19")["Body"].read() == body[10:20]
    s3.delete_object(Bucket=address.bucket, Key=key)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=address.bucket, Key=key)


def test_an_empty_object_and_an_empty_bucket(s3: Any) -> None:
    s3.create_bucket(Bucket="another-bucket")
    assert "Contents" not in s3.list_objects_v2(Bucket="another-bucket")
    s3.put_object(Bucket="another-bucket", Key="empty", Body=b"")
    assert s3.get_object(Bucket="another-bucket", Key="empty")["Body"].read() == b""


def test_lists_have_prefixes_delimiters_and_pages(s3: Any, address: CloudAddress) -> None:
    for index in range(5):
        s3.put_object(Bucket=address.bucket, Key=f"list/folder {index}/x", Body=b"1")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=address.bucket, Prefix="list/", PaginationConfig={"PageSize": 2}
    )
    assert [entry["Key"] for page in pages for entry in page.get("Contents", ())] == [
        f"list/folder {index}/x" for index in range(5)
    ]
    folders = s3.list_objects_v2(Bucket=address.bucket, Prefix="list/", Delimiter="/")
    assert len(folders["CommonPrefixes"]) == 5


def test_large_files_go_in_parts_and_come_back_in_ranges(s3: Any, address: CloudAddress, tmp_path: Path) -> None:
    content = os.urandom(MEGABYTE) * 24
    (tmp_path / "up").write_bytes(content)
    config = TransferConfig(multipart_threshold=5 * MEGABYTE, multipart_chunksize=5 * MEGABYTE, max_concurrency=4)
    s3.upload_file(str(tmp_path / "up"), address.bucket, "large", Config=config)
    s3.download_file(address.bucket, "large", str(tmp_path / "down"), Config=config)
    assert hashlib.sha256((tmp_path / "down").read_bytes()).digest() == hashlib.sha256(content).digest()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aws_secret_access_key": "wrong-secret-entirely"}, "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "InvalidAccessKeyId"),
    ],
)
def test_wrong_credentials_neither_read_nor_write(
    s3: Any, address: CloudAddress, changes: dict[str, str], code: str
) -> None:
    s3.put_object(Bucket=address.bucket, Key="guarded", Body=b"before")
    stranger = of_cloud("s3", address, **changes)
    for call, more in (
        (stranger.put_object, {"Body": b"after"}),
        (stranger.get_object, {}),
        (stranger.delete_object, {}),
    ):
        with pytest.raises(ClientError) as caught:
            call(Bucket=address.bucket, Key="guarded", **more)
        assert caught.value.response["Error"]["Code"] == code
    assert s3.get_object(Bucket=address.bucket, Key="guarded")["Body"].read() == b"before"


def test_a_body_that_was_changed_on_its_way_never_becomes_an_object(s3: Any, address: CloudAddress) -> None:
    s3.put_object(Bucket=address.bucket, Key="whole", Body=b"before")
    signed_body, sent_body = b"a" * MEGABYTE, b"a" * (MEGABYTE - 1) + b"b"
    host = urlsplit(address.api_url).netloc
    url = f"{address.api_url}/{address.bucket}/whole"
    headers = {"host": host, "x-amz-content-sha256": digest_of(signed_body)}
    keys = Keys(address.access_key, address.secret_key)
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("PUT", url, sent_body, sign("PUT", url, headers, keys, address.region, "s3"))
    answer = connection.getresponse()
    assert (answer.status, b"XAmzContentSHA256Mismatch" in answer.read()) == (403, True)
    connection.close()
    assert s3.get_object(Bucket=address.bucket, Key="whole")["Body"].read() == b"before"


def test_presigned_urls_open_one_object_for_a_while(s3: Any, address: CloudAddress) -> None:
    s3.put_object(Bucket=address.bucket, Key="shared file", Body=b"shared")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": address.bucket, "Key": "shared file"}, ExpiresIn=60)
    assert url.startswith(address.api_url)
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"shared"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("shared%20file", "guarded"), timeout=10)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"), timeout=10)


def test_a_store_that_does_not_answer_is_told_apart_from_the_server(api_server: RunningServer) -> None:
    with pytest.raises(ClientError) as caught:
        api_server.client("s3").list_buckets()
    assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_a_store_of_the_users_own_is_reached_through_the_server(
    home: Path, address: CloudAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other cloud's store plays a server of the user's."""
    monkeypatch.setenv("MY_STORE_KEY", address.access_key)
    monkeypatch.setenv("MY_STORE_SECRET", address.secret_key)
    cloud.set_store(address.store.endpoint_url, home, variables=("MY_STORE_KEY", "MY_STORE_SECRET"))
    mine = cloud.ensure_up(home)
    assert (mine.store.endpoint_url, mine.store.embedded, mine.s3_url) == (
        address.store.endpoint_url,
        False,
        mine.api_url,
    )
    assert address.secret_key not in "".join(shell.shell_exports(mine))
    of_cloud("s3", mine).put_object(Bucket=mine.bucket, Key="through/both", Body=b"x")
    assert of_cloud("s3", address).get_object(Bucket=address.bucket, Key="through/both")["Body"].read() == b"x"
    status = cloud.status(home)
    assert status is not None
    assert status.store_pid is None
    cloud.set_store(None, home)
    assert cloud.ensure_up(home).store.embedded


def test_a_wrong_store_is_refused_before_anything_changes(
    home: Path, address: CloudAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cloud.ensure_up(home)
    monkeypatch.setenv("KEY", address.access_key)
    monkeypatch.setenv("SECRET", "wrong-secret-entirely")
    with pytest.raises(InputError, match=r"403|Forbidden|SignatureDoesNotMatch"):
        cloud.set_store(address.store.endpoint_url, home, variables=("KEY", "SECRET"))
    with pytest.raises(Unreachable, match="does not answer"):
        cloud.set_store("http://127.0.0.1:9", home, variables=("KEY", "SECRET"))
    assert cloud.ensure_up(home) == before
