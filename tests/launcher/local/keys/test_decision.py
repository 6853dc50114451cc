"""What a job's key lets through, and what it does not, however it is spelled."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.local.keys.decision import names_keys_in_body, refusal, refused_keys
from launcher.local.keys.grants import Grant
from launcher.local.keys.places import Place

GRANT = Grant(
    "BATCHRLJOBAAAAAAAAAAAAAAAA",
    "secret",
    "one",
    "arn:aws:iam::000000000000:role/worker",
    reads=(Place("data", "train"), Place("code", "one.tar.gz", exact=True), Place("odd", "a+b/")),
    writes=(Place("data", "out/one/"), Place("data", "run1/")),
)


def refused(method: str, target: str, **headers: str) -> str | None:
    path, _, query = target.partition("?")
    return refusal(GRANT, method, path, query, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/data/train.csv"),
        ("HEAD", "/data/train10/x"),
        ("GET", "/data/train/x?versionId=3&partNumber=1&response-content-type=text%2Fcsv&x-id=GetObject"),
        ("GET", "/code/one.tar.gz"),
        ("GET", "/data/out/one/model"),
        ("GET", "/odd/a%2Bb/x"),
        ("PUT", "/data/out/one/output/model.tar.gz"),
        ("PUT", "/data/run1/"),
        ("PUT", "/data/run1/a//b"),
        ("PUT", "/data/run1/%C3%BC+%20x"),
        ("PUT", "/data/run1/x?partNumber=1&uploadId=abc"),
        ("POST", "/data/run1/x?uploads"),
        ("POST", "/data/run1/x?uploads="),
        ("POST", "/data/run1/x?uploadId=abc"),
        ("GET", "/data/run1/x?uploadId=abc&max-parts=10"),
        ("DELETE", "/data/run1/x"),
        ("DELETE", "/data/run1/x?uploadId=abc"),
        ("POST", "/data?delete"),
        ("HEAD", "/data"),
        ("HEAD", "/code/"),
        ("GET", "/data?location"),
        ("GET", "/data?list-type=2&prefix=train&encoding-type=url&max-keys=1000&delimiter=%2F"),
        ("GET", "/data?prefix=run1%2Fx&marker=run1"),
        ("GET", "/data?list-type=2&prefix=out/one/&continuation-token=a%2Bb"),
        ("GET", "/data?uploads&prefix=run1/"),
        ("GET", "/data/train?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0&X-Amz-Expires=5"),
    ],
)
def test_what_the_request_names_is_open(method: str, target: str) -> None:
    assert refused(method, target) is None


@pytest.mark.parametrize(
    ("method", "target"),
    [
        # others' objects, and its own inputs for writing
        ("GET", "/data/other"),
        ("GET", "/data/run10/x"),
        ("GET", "/data/run1"),
        ("GET", "/data/out/one"),
        ("GET", "/data/out/two/model"),
        ("GET", "/code/one.tar.gz.old"),
        ("GET", "/secret/x"),
        ("PUT", "/data/train.csv"),
        ("PUT", "/data/run10/x"),
        ("PUT", "/code/one.tar.gz"),
        ("DELETE", "/data/train.csv"),
        ("POST", "/data/train.csv?uploads"),
        ("PUT", "/data/train.csv?partNumber=1&uploadId=abc"),
        ("GET", "/data/train.csv?uploadId=abc"),
        ("POST", "/code?delete"),
        ("POST", "/data/run1/x?delete"),
        # spellings of them
        ("PUT", "/data/run1/../train.csv"),
        ("PUT", "/data/run1/%2e%2e/train.csv"),
        ("PUT", "/data/run1/.%2E%2Ftrain.csv"),
        ("PUT", "/data/run1%2F..%2Ftrain.csv"),
        ("PUT", "/data/run1/..%5Ctrain.csv"),
        ("PUT", "/data/run1/./x"),
        ("PUT", "/data//run1/x"),
        ("PUT", "//data/run1/x"),
        ("PUT", "/data%2Frun1/x"),
        ("PUT", "/d%61ta/run1/x"),
        ("PUT", "/../data/run1/x"),
        ("PUT", "/DATA/run1/x"),
        ("PUT", "data/run1/x"),
        ("PUT", "/data/RUN1/x"),
        ("PUT", "/data/run1%00/x"),
        ("PUT", "/data/run1/%ff"),
        ("PUT", "/data/run1/%zz"),
        ("PUT", "/data/run1/x#y"),
        ("PUT", "/data/run1/x y"),
        ("PUT", "/data/run1/\xfc"),
        ("GET", "/odd/a+b/x"),
        # lists of more than is its own
        ("GET", "/data"),
        ("GET", "/data/"),
        ("GET", "/data?list-type=2"),
        ("GET", "/data?prefix="),
        ("GET", "/data?prefix=run1"),
        ("GET", "/data?prefix=out/"),
        ("GET", "/data?prefix=run1/&prefix="),
        ("GET", "/data?prefix=run1/..%2F"),
        ("GET", "/data?pre%66ix=&prefix=run1/"),
        ("GET", "/data?prefix=run1/;prefix="),
        ("GET", "/odd?prefix=a+b/"),
        ("GET", "/code?prefix=one.tar.gz"),
        ("GET", "/data?uploads"),
        ("GET", "/data?uploads&prefix=train"),
        ("GET", "/secret?prefix=run1/"),
        # all else of buckets and objects
        ("GET", "/"),
        ("HEAD", "/"),
        ("HEAD", "/secret"),
        ("GET", "/secret?location"),
        ("PUT", "/data"),
        ("PUT", "/new-bucket"),
        ("DELETE", "/data"),
        ("GET", "/data?versions&prefix=run1/"),
        ("GET", "/data?policy"),
        ("PUT", "/data?policy"),
        ("PUT", "/data?acl"),
        ("PUT", "/data?lifecycle"),
        ("DELETE", "/data?lifecycle"),
        ("POST", "/data"),
        ("GET", "/data/run1/x?acl"),
        ("PUT", "/data/run1/x?acl"),
        ("PUT", "/data/run1/x?tagging"),
        ("PUT", "/data/run1/x?legal-hold"),
        ("PUT", "/data/run1/x?renameObject"),
        ("PUT", "/data/run1/x?x-amz-copy-source=/data/secret"),
        ("PUT", "/data/run1/x?X-Amz-Copy-Source=/data/secret"),
        ("PUT", "/data/run1/x?partNumber=1"),
        ("POST", "/data/run1/x"),
        ("POST", "/data/run1/x?restore"),
        ("POST", "/data/train?select&select-type=2"),
        ("GET", "/data/train?versionId=1&versionId=2"),
        ("PATCH", "/data/run1/x"),
        ("OPTIONS", "/data/run1/x"),
    ],
)
def test_all_else_is_refused_with_a_reason(method: str, target: str) -> None:
    reason = refused(method, target)
    assert reason and reason.endswith(".")


@pytest.mark.parametrize(
    ("source", "is_open"),
    [
        ("data/train.csv", True),
        ("/data/train.csv", True),
        ("data%2Ftrain.csv", True),
        ("%2Fdata%2Frun1%2Fx", True),
        ("data/train.csv?versionId=abc", True),
        ("code/one.tar.gz", True),
        ("data/secret", False),
        ("data/run1/../secret", False),
        ("data/run1%2f%2e%2e%2fsecret", False),
        ("data/run10/x", False),
        ("//data/run1/x", False),
        ("data//run1/x", False),
        ("secret/x", False),
        ("data", False),
        ("data/", False),
        ("", False),
        ("odd/a+b/x", False),
        ("code/one.tar.gz%3FversionId=1", False),
        ("data/train?x", False),
        ("data/train#x", False),
        ("data/tr\xe4in", False),
        ("data/train%ff", False),
        ("arn:aws:s3:us-east-1:000000000000:accesspoint/x/object/y", False),
    ],
)
@pytest.mark.parametrize("target", ["/data/run1/copy", "/data/run1/copy?partNumber=1&uploadId=a"])
def test_what_is_copied_must_be_open_for_reading(source: str, is_open: bool, target: str) -> None:
    assert (refused("PUT", target, x_amz_copy_source=source) is None) == is_open


def test_a_copy_into_what_is_not_its_own_is_refused_whatever_its_source() -> None:
    assert refused("PUT", "/data/train2", x_amz_copy_source="data/train.csv")


@pytest.mark.parametrize(
    ("header", "value", "is_open"),
    [
        ("x_amz_meta_any", "x", True),
        ("x_amz_checksum_crc32", "x", True),
        ("x_amz_server_side_encryption", "AES256", True),
        ("x_amz_acl", "bucket-owner-full-control", True),
        ("x_amz_acl", "public-read", False),
        ("x_amz_grant_read", "uri=everybody", False),
        ("x_amz_object_lock_mode", "COMPLIANCE", False),
        ("x_amz_website_redirect_location", "http://x", False),
        ("x_amz_rename_source", "data/secret", False),
        ("x_http_method_override", "DELETE", False),
    ],
)
def test_headers_that_open_more_are_refused(header: str, value: str, is_open: bool) -> None:
    assert (refused("PUT", "/data/run1/x", **{header: value}) is None) == is_open


def test_keys_in_a_body_are_held_against_the_key_one_by_one() -> None:
    assert names_keys_in_body("POST", "delete") and names_keys_in_body("POST", "delete=&x-id=DeleteObjects")
    assert not names_keys_in_body("POST", "uploads") and not names_keys_in_body("PUT", "delete")
    keys = ["run1/x", "run10/x", "run1/../train", "train", "out/one/%2e%2e/x", "out/two/x"]
    assert refused_keys(GRANT, "/data", keys) == ["run10/x", "run1/../train", "train", "out/two/x"]
    assert refused_keys(GRANT, "/code", ["run1/x"]) == ["run1/x"]


PARTS = st.sampled_from(
    ["run1", "run10", "out", "one", "train", "..", ".", "", "a b", "a+b", "ü", "%2e%2e", "%2F", "x"]
)
KEYS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


def _escaped(key: str, draw: st.DataObject) -> str:
    """A key in one of the ways that clients write it into a path."""
    plain = "/-._~"
    escapes = [f"%{byte:02X}" for byte in key.encode()], [f"%{byte:02x}" for byte in key.encode()]
    as_it_is = [
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in plain) else escape
        for byte, escape in zip(key.encode(), escapes[0], strict=True)
    ]
    return "".join(draw.draw(st.sampled_from(ways)) for ways in zip(as_it_is, *escapes, strict=True))


@given(key=KEYS, draw=st.data())
def test_property_however_a_key_is_escaped_the_decision_is_that_of_the_key(key: str, draw: st.DataObject) -> None:
    open_for_writing = key.startswith(("out/one/", "run1/")) and not {".", ".."} & set(key.split("/"))
    open_for_reading = open_for_writing or (key.startswith("train") and not {".", ".."} & set(key.split("/")))
    if not key:
        return
    path = f"/data/{_escaped(key, draw)}"
    assert (refusal(GRANT, "PUT", path, "", {}) is None) == open_for_writing
    assert (refusal(GRANT, "DELETE", path, "", {}) is None) == open_for_writing
    assert (refusal(GRANT, "GET", path, "", {}) is None) == open_for_reading
    source = {"x-amz-copy-source": f"{draw.draw(st.sampled_from(['', '/']))}data/{_escaped(key, draw)}"}
    assert (refusal(GRANT, "PUT", "/data/run1/copy", "", source) is None) == open_for_reading
    assert (refused_keys(GRANT, "/data", [key]) == []) == open_for_writing


@given(prefix=KEYS, draw=st.data())
def test_property_a_list_shows_nothing_that_could_not_be_read(prefix: str, draw: st.DataObject) -> None:
    query = f"list-type=2&prefix={_escaped(prefix, draw)}"
    if refusal(GRANT, "GET", "/data", query, {}) is None:
        for key in (prefix, f"{prefix}x", f"{prefix}/x", f"{prefix}10/y"):
            assert refusal(GRANT, "GET", f"/data/{quote(key)}", "", {}) is None


@given(path=st.text(max_size=40), query=st.text(max_size=40), source=st.text(max_size=40))
def test_property_no_text_is_an_error_of_ours(path: str, query: str, source: str) -> None:
    for method in ("GET", "PUT", "POST", "DELETE"):
        refusal(GRANT, method, f"/data/run1/{path}", query, {"x-amz-copy-source": source})
        refusal(GRANT, method, path, query, {})
