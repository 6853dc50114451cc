"""A large file in parts: what is stored, what is held, and what stands where it fails."""

from __future__ import annotations

import io
import threading

import botocore.exceptions
import pytest

from batchrl.contract import multipart
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import sha256_of
from batchrl.contract.multipart import NotAccepted, put_file

URL = S3Url("bucket", "run/model")
CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(multipart, "PART_BYTES", 1000)
    monkeypatch.setattr(multipart, "MIB", 1)


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, len(CONTENT)])
def test_a_file_is_stored_as_it_is(s3, size):
    told: list[int] = []
    digest = put_file(s3, URL, io.BytesIO(CONTENT[:size]), size, on_bytes=told.append)
    assert s3.objects == {URL.key: CONTENT[:size]}
    assert digest == sha256_of(CONTENT[:size])
    assert sum(told) == size


def test_its_digest_is_made_only_where_it_is_wanted(s3):
    assert put_file(s3, URL, io.BytesIO(CONTENT), len(CONTENT), hashed=False) == ""
    assert s3.objects == {URL.key: CONTENT}


def test_of_a_huge_file_the_parts_grow(s3, monkeypatch):
    monkeypatch.setattr(multipart, "MOST_PARTS", 2)
    sizes: list[int] = []
    put_file(s3, URL, io.BytesIO(CONTENT), len(CONTENT), on_bytes=sizes.append)
    assert sorted(sizes) == [len(CONTENT) // 2] * 2


def test_what_is_not_accepted_is_not_made(s3):
    s3.objects[URL.key] = b"before"
    seen: list[str] = []
    with pytest.raises(NotAccepted):
        put_file(s3, URL, io.BytesIO(CONTENT), len(CONTENT), accept=lambda digest: bool(seen.append(digest)))
    assert seen == [sha256_of(CONTENT)]
    assert s3.objects == {URL.key: b"before"}
    assert not s3.parts


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1, 3000])
def test_a_file_of_another_size_makes_no_object_and_is_not_read_for_ever(s3, size):
    file = io.BytesIO(CONTENT)
    with pytest.raises(NotAccepted):
        put_file(s3, URL, file, size)
    assert not s3.objects
    assert not s3.parts
    assert file.tell() <= size + 1000


@pytest.mark.parametrize("fault", [botocore.exceptions.EndpointConnectionError(endpoint_url="x"), KeyboardInterrupt()])
def test_a_part_that_fails_leaves_what_stood_there(s3, fault):
    s3.objects[URL.key] = b"before"
    count = iter(range(100))

    def fail(_: str) -> None:
        if next(count) == 5:
            raise fault

    s3.before_put = fail
    with pytest.raises(type(fault)):
        put_file(s3, URL, io.BytesIO(CONTENT), len(CONTENT))
    assert s3.objects == {URL.key: b"before"}
    assert not s3.parts


def test_a_file_is_read_no_further_ahead_than_a_few_parts(s3):
    """While the store takes nothing, memory holds what is on its way and one part more."""
    go, file = threading.Event(), io.BytesIO(CONTENT)
    s3.before_put = lambda _: go.wait(10) and None
    sender = threading.Thread(target=put_file, args=(s3, URL, file, len(CONTENT)))
    sender.start()
    try:
        deadline = threading.Event()
        for _ in range(20):
            deadline.wait(0.01)
            assert file.tell() <= 1000 * (multipart.PARTS_AT_ONCE + 1)
    finally:
        go.set()
        sender.join(10)
    assert s3.objects == {URL.key: CONTENT}
