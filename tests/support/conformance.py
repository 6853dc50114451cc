"""What S3 promises, check by check, and where each server is known to differ. ``docs/store.md`` shows both as a table.

A check takes a client and an empty bucket of its own, and fails by an assertion or an error. A difference is strict: a
check that is named there and passes is a failure, too.
"""

from __future__ import annotations

import base64
import hashlib
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

SERVERS = ("embedded", "rgw", "moto")
PART = 5 * 1024 * 1024
Check = Callable[[Any, str], None]

CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Take a function as a check; its name in words is the check's."""
    CHECKS[function.__name__] = function
    return function


@contextmanager
def refused(code: str, status: int | None = None) -> Iterator[None]:
    """The block must be refused with one of some codes."""
    try:
        yield
    except ClientError as error:
        assert error.response["Error"]["Code"] in code.split("|"), error
        assert status in (None, error.response["ResponseMetadata"]["HTTPStatusCode"]), error
    else:
        raise AssertionError(f"it is accepted; {code} is right")


def put(s3: Any, bucket: str, key: str, body: bytes = b"body", **more: Any) -> str:
    return str(s3.put_object(Bucket=bucket, Key=key, Body=body, **more)["ETag"])


def get(s3: Any, bucket: str, key: str, **more: Any) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read())


def keys(s3: Any, bucket: str, **more: Any) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, **more).get("Contents", [])]


@check
def a_bucket_is_made_found_and_removed(s3: Any, bucket: str) -> None:
    name = f"{bucket}-more"
    s3.create_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)  # one's own, again: 200 in us-east-1
    assert name in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=name)
    put(s3, name, "a")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=name)
    s3.delete_object(Bucket=name, Key="a")
    s3.delete_bucket(Bucket=name)
    with refused("404"):
        s3.head_bucket(Bucket=name)
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket=name)


@check
def a_bucket_in_us_east_1_has_no_location_constraint(s3: Any, bucket: str) -> None:
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


@check
def bodies_and_etags(s3: Any, bucket: str) -> None:
    for size in (0, 1, 300_000):
        body = os.urandom(size)
        assert put(s3, bucket, "a", body) == f'"{hashlib.md5(body).hexdigest()}"'
        assert get(s3, bucket, "a") == body
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == 300_000


@check
def what_is_not_there_is_told(s3: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        get(s3, bucket, "missing")
    with refused("404"):
        s3.head_object(Bucket=bucket, Key="missing")
    s3.delete_object(Bucket=bucket, Key="missing")


@check
def a_key_beside_a_key_below_it(s3: Any, bucket: str) -> None:
    for key in ("a", "a/b", "a/b/c"):
        put(s3, bucket, key, key.encode())
    assert [get(s3, bucket, key) for key in keys(s3, bucket)] == [b"a", b"a/b", b"a/b/c"]


@check
def odd_keys(s3: Any, bucket: str) -> None:
    odd = ["a//b", "./x", "../y", "/z", " ", "é\U0001f600", "a b+c%2F&=?#", "tab\tnewline\n", "n" * 300, "k" * 1024]
    for key in odd:
        put(s3, bucket, key, key.encode())
    assert keys(s3, bucket) == sorted(odd, key=str.encode)
    for key in odd:
        assert get(s3, bucket, key) == key.encode()
    with refused("KeyTooLongError", 400):
        put(s3, bucket, "k" * 1025)


@check
def folder_markers_hide_nothing(s3: Any, bucket: str) -> None:
    put(s3, bucket, "proj/x", b"x")
    put(s3, bucket, "proj/", b"")
    assert keys(s3, bucket) == ["proj/", "proj/x"]
    s3.delete_object(Bucket=bucket, Key="proj/")
    assert get(s3, bucket, "proj/x") == b"x"


@check
def metadata_and_content_headers(s3: Any, bucket: str) -> None:
    headers = {
        "ContentType": "text/csv",
        "CacheControl": "no-cache",
        "ContentDisposition": "attachment",
        "ContentEncoding": "identity",
        "ContentLanguage": "de",
    }
    put(s3, bucket, "a", Metadata={"run": "7", "two-words": "a b"}, **headers)
    for answer in (s3.head_object(Bucket=bucket, Key="a"), s3.get_object(Bucket=bucket, Key="a")):
        assert answer["Metadata"] == {"run": "7", "two-words": "a b"}
        assert {name: answer[name] for name in headers} == headers
    answer = s3.get_object(Bucket=bucket, Key="a", ResponseContentType="text/plain")
    assert answer["ContentType"] == "text/plain"


@check
def ranges(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a", b"0123456789")
    for text, wanted in (("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=8-99", b"89")):
        answer = s3.get_object(Bucket=bucket, Key="a", Range=text)
        assert answer["Body"].read() == wanted
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["ContentRange"].endswith("/10")
    with refused("InvalidRange", 416):
        get(s3, bucket, "a", Range="bytes=10-")


@check
def conditions_of_reads(s3: Any, bucket: str) -> None:
    etag = put(s3, bucket, "a")
    assert get(s3, bucket, "a", IfMatch=etag) == b"body"
    with refused("PreconditionFailed", 412):
        get(s3, bucket, "a", IfMatch='"other"')
    with refused("304", 304):
        get(s3, bucket, "a", IfNoneMatch=etag)
    with refused("304", 304):
        get(s3, bucket, "a", IfModifiedSince="2099-01-01")
    with refused("PreconditionFailed", 412):
        get(s3, bucket, "a", IfUnmodifiedSince="2001-01-01")


@check
def a_write_only_where_nothing_is(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a", b"first", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        put(s3, bucket, "a", b"second", IfNoneMatch="*")
    assert get(s3, bucket, "a") == b"first"


@check
def of_sixteen_writers_one_is_first(s3: Any, bucket: str) -> None:
    def write(n: int) -> bool:
        try:
            put(s3, bucket, "lock", b"%d" % n, IfNoneMatch="*")
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(write, range(16)))
    assert won.count(True) == 1
    assert get(s3, bucket, "lock") == b"%d" % won.index(True)


@check
def a_write_only_over_a_known_etag(s3: Any, bucket: str) -> None:
    etag = put(s3, bucket, "a", b"first")
    put(s3, bucket, "a", b"second", IfMatch=etag)
    with refused("PreconditionFailed", 412):
        put(s3, bucket, "a", b"third", IfMatch=etag)
    assert get(s3, bucket, "a") == b"second"


@check
def lists_are_in_order_page_by_page(s3: Any, bucket: str) -> None:
    wanted = sorted(f"k{n:03d}" for n in range(25))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: put(s3, bucket, key), wanted))
    for name in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(name).paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
        assert [one["Key"] for one in next(iter(pages))["Contents"]] == wanted[:7]
        pages = s3.get_paginator(name).paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
        assert [one["Key"] for page in pages for one in page["Contents"]] == wanted
    assert keys(s3, bucket, StartAfter="k020") == wanted[21:]
    assert keys(s3, bucket, Prefix="k01") == wanted[10:20]


@check
def a_delimiter_rolls_up(s3: Any, bucket: str) -> None:
    for key in ("a/1", "a/2", "b/c/3", "d", "b/4"):
        put(s3, bucket, key)
    found = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [one["Prefix"] for one in found["CommonPrefixes"]] == ["a/", "b/"]
    assert [one["Key"] for one in found["Contents"]] == ["d"]
    assert found["KeyCount"] == 3
    found = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="b/")
    assert ([one["Prefix"] for one in found["CommonPrefixes"]], keys(s3, bucket, Prefix="b/4")) == (["b/c/"], ["b/4"])
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1})
    assert [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])] == ["a/", "b/"]


@check
def many_are_deleted_at_once(s3: Any, bucket: str) -> None:
    for key in ("a", "b&<>", "c/"):
        put(s3, bucket, key)
    wanted = [{"Key": key} for key in ("a", "b&<>", "c/", "missing")]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert sorted(one["Key"] for one in answer["Deleted"]) == ["a", "b&<>", "c/", "missing"]
    assert keys(s3, bucket) == []


@check
def copies(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a b/ü", b"x" * 1000, Metadata={"m": "1"}, ContentType="text/csv")
    where = {"Bucket": bucket, "Key": "a b/ü"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=where)
    there = s3.get_object(Bucket=bucket, Key="copy")
    assert (there["Body"].read(), there["Metadata"], there["ContentType"]) == (b"x" * 1000, {"m": "1"}, "text/csv")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=where, MetadataDirective="REPLACE", Metadata={"m": "2"})
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"m": "2"}
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "missing"})


@check
def a_copy_onto_itself_must_change_something(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a", Metadata={"m": "1"})
    where = {"Bucket": bucket, "Key": "a"}
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="a", CopySource=where)
    s3.copy_object(Bucket=bucket, Key="a", CopySource=where, MetadataDirective="REPLACE", Metadata={"m": "2"})
    assert (get(s3, bucket, "a"), s3.head_object(Bucket=bucket, Key="a")["Metadata"]) == (b"body", {"m": "2"})


@check
def conditions_of_copies(s3: Any, bucket: str) -> None:
    etag = put(s3, bucket, "a")
    where = {"Bucket": bucket, "Key": "a"}
    s3.copy_object(Bucket=bucket, Key="b", CopySource=where, CopySourceIfMatch=etag)
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="c", CopySource=where, CopySourceIfNoneMatch=etag)
    assert keys(s3, bucket) == ["a", "b"]


def upload(s3: Any, bucket: str, key: str, bodies: list[bytes], **more: Any) -> dict[str, Any]:
    names = {"Bucket": bucket, "Key": key}
    names["UploadId"] = s3.create_multipart_upload(**names, **more)["UploadId"]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**names, PartNumber=n, Body=body)["ETag"]}
        for n, body in enumerate(bodies, 1)
    ]
    done: dict[str, Any] = s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    return done


@check
def uploads_in_parts(s3: Any, bucket: str) -> None:
    bodies = [os.urandom(PART), os.urandom(PART), b"end"]
    done = upload(s3, bucket, "big", bodies, Metadata={"m": "1"})
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert done["ETag"].strip('"') == f"{hashlib.md5(digests).hexdigest()}-3"
    assert get(s3, bucket, "big") == b"".join(bodies)
    assert get(s3, bucket, "big", Range=f"bytes={PART - 2}-{PART + 1}") == bodies[0][-2:] + bodies[1][:2]
    assert s3.head_object(Bucket=bucket, Key="big")["Metadata"] == {"m": "1"}


@check
def an_upload_in_parts_is_checked(s3: Any, bucket: str) -> None:
    names = {"Bucket": bucket, "Key": "big"}
    names["UploadId"] = s3.create_multipart_upload(**names)["UploadId"]
    small = [{"PartNumber": n, "ETag": s3.upload_part(**names, PartNumber=n, Body=b"small")["ETag"]} for n in (1, 2)]
    with refused("EntityTooSmall", 400):
        s3.complete_multipart_upload(**names, MultipartUpload={"Parts": small})
    with refused("InvalidPartOrder|EntityTooSmall", 400):
        s3.complete_multipart_upload(**names, MultipartUpload={"Parts": small[::-1]})
    with refused("InvalidPart", 400):
        wrong = [{"PartNumber": 1, "ETag": '"00000000000000000000000000000000"'}]
        s3.complete_multipart_upload(**names, MultipartUpload={"Parts": wrong})
    assert [part["PartNumber"] for part in s3.list_parts(**names)["Parts"]] == [1, 2]
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["big"]
    assert keys(s3, bucket) == []
    s3.abort_multipart_upload(**names)
    with refused("NoSuchUpload", 404):
        s3.upload_part(**names, PartNumber=1, Body=b"late")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@check
def parts_are_copied(s3: Any, bucket: str) -> None:
    body = os.urandom(PART + 1000)
    put(s3, bucket, "a", body)
    where, names = {"Bucket": bucket, "Key": "a"}, {"Bucket": bucket, "Key": "b"}
    names["UploadId"] = s3.create_multipart_upload(**names)["UploadId"]
    parts = []
    for n, span in enumerate((f"bytes=0-{PART - 1}", f"bytes={PART}-{PART + 999}"), 1):
        answer = s3.upload_part_copy(**names, PartNumber=n, CopySource=where, CopySourceRange=span)
        parts.append({"PartNumber": n, "ETag": answer["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    assert get(s3, bucket, "b") == body


@check
def an_upload_completed_twice_is_answered_twice(s3: Any, bucket: str) -> None:
    names = {"Bucket": bucket, "Key": "a"}
    names["UploadId"] = s3.create_multipart_upload(**names)["UploadId"]
    parts = [{"PartNumber": 1, "ETag": s3.upload_part(**names, PartNumber=1, Body=b"x")["ETag"]}]
    first = s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    again = s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    assert again["ETag"].strip('"') == first["ETag"].strip('"')


@check
def tags_leave_the_object_alone(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a", Tagging="x=1")
    tags = [{"Key": "k", "Value": "v w"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == [{"Key": "x", "Value": "1"}]
    s3.put_object_tagging(Bucket=bucket, Key="a", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == tags
    assert get(s3, bucket, "a") == b"body"
    s3.delete_object_tagging(Bucket=bucket, Key="a")
    assert s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == []
    assert get(s3, bucket, "a") == b"body"


@check
def what_is_not_carried_out_leaves_the_object_alone(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a")
    for call, more in (
        ("put_object_acl", {"ACL": "public-read"}),
        ("put_object_legal_hold", {"LegalHold": {"Status": "ON"}}),
        ("put_object_retention", {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": "2099-01-01"}}),
        ("restore_object", {"RestoreRequest": {"Days": 1}}),
    ):
        try:
            getattr(s3, call)(Bucket=bucket, Key="a", **more)
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403, 404, 405, 501)
        assert get(s3, bucket, "a") == b"body"


@check
def deleting_a_setting_leaves_the_bucket(s3: Any, bucket: str) -> None:
    for setting in ("lifecycle", "policy", "tagging", "cors", "encryption", "website", "replication"):
        getattr(s3, f"delete_bucket_{setting}")(Bucket=bucket)
        s3.head_bucket(Bucket=bucket)


@check
def settings_that_were_never_made(s3: Any, bucket: str) -> None:
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=bucket)
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"


@check
def versioning(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(s3, bucket, "a", b"1")
    put(s3, bucket, "a", b"2")
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 2


@check
def a_wrong_md5_is_refused(s3: Any, bucket: str) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with refused("BadDigest", 400):
        put(s3, bucket, "a", ContentMD5=wrong)
    assert keys(s3, bucket) == []


@check
def a_wrong_checksum_is_refused(s3: Any, bucket: str) -> None:
    right = base64.b64encode(zlib.crc32(b"body").to_bytes(4, "big")).decode()
    put(s3, bucket, "right", ChecksumCRC32=right)
    assert s3.get_object(Bucket=bucket, Key="right", ChecksumMode="ENABLED")["ChecksumCRC32"] == right
    for name, size in (("ChecksumCRC32", 4), ("ChecksumSHA256", 32), ("ChecksumSHA1", 20)):
        with refused("BadDigest", 400):
            put(s3, bucket, "a", **{name: base64.b64encode(b"x" * size).decode()})
    assert keys(s3, bucket) == ["right"]


def _status(url: str, method: str = "GET", body: bytes | None = None) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        # Without a type of content urllib would announce a form.
        asked = urllib.request.Request(url, body, {"Content-Type": "application/octet-stream"}, method=method)
        return int(opener.open(asked, timeout=20).status)
    except urllib.error.HTTPError as error:
        return error.code


@check
def presigned_urls_open_what_they_name(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a b")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"})
    assert _status(url) == 200
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "new"})
    assert _status(url, "PUT", b"put") == 200
    assert get(s3, bucket, "new") == b"put"


@check
def presigned_urls_open_nothing_else(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a")
    put(s3, bucket, "b")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"})
    assert _status(url.replace("/a?", "/b?")) == 403
    assert _status(url, "DELETE") == 403
    assert _status(url.partition("?")[0]) == 403
    assert _status(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=0)) == 403


@check
def a_wrong_secret_opens_nothing(s3: Any, bucket: str) -> None:
    import boto3

    keys_of = s3._request_signer._credentials
    for access_key, secret, code in (
        (keys_of.access_key, "wrong", "SignatureDoesNotMatch"),
        ("NOBODYATALL000000001", keys_of.secret_key, "InvalidAccessKeyId"),
    ):
        other = boto3.client(
            "s3",
            endpoint_url=s3.meta.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            config=s3.meta.config,
        )
        with refused(code, 403):
            put(other, bucket, "a")
    assert keys(s3, bucket) == []


# Server -> check -> what it does instead. Where nothing is said, the check must pass.
DIFFERENCES: dict[str, dict[str, str]] = {
    "embedded": {"versioning": "refused: NotImplemented"},
    "rgw": {
        "a_bucket_in_us_east_1_has_no_location_constraint": "names its zone group",
        "odd_keys": "a key of 1,025 bytes: InvalidObjectName",
        "a_write_only_over_a_known_etag": "an ETag in quotes never matches",
        "conditions_of_copies": "`if-none-match` in quotes is ignored",
        "uploads_in_parts": "the answer names no ETag",
        "an_upload_completed_twice_is_answered_twice": "the second answer alone names the ETag",
        "deleting_a_setting_leaves_the_bucket": "DeleteBucketEncryption deletes the bucket",
        "a_wrong_checksum_is_refused": "not looked at",
    },
    "moto": {
        "odd_keys": "some answer 404",
        "an_upload_in_parts_is_checked": "a part of an aborted upload: 500",
        "a_wrong_md5_is_refused": "not looked at",
        "a_wrong_checksum_is_refused": "not looked at",
        "presigned_urls_open_nothing_else": "signatures and expiry are not looked at",
        "a_wrong_secret_opens_nothing": "signatures are not looked at",
    },
}

CLIENTS = {
    "aws": "AWS CLI",
    "s3fs": "s3fs",
    "pandas": "pandas",
    "pyarrow_files": "pyarrow, files",
    "pyarrow_dataset": "pyarrow, datasets",
    "polars": "polars",
    "s5cmd": "s5cmd",
    "duckdb": "DuckDB",
}
CLIENT_DIFFERENCES: dict[str, dict[str, str]] = {
    "embedded": {},
    "rgw": {"pyarrow_files": "MissingContentLength: no chunked bodies", "pyarrow_dataset": "the same"},
}


def in_words(name: str) -> str:
    """The name of a check as a sentence."""
    return name.replace("_", " ").replace("us east 1", "us-east-1").replace("etag", "ETag").replace("md5", "MD5")
