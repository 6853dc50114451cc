"""Ranges and conditions, case by case."""

from __future__ import annotations

import pytest

from launcher.local.store.catalog import Stored
from launcher.local.store.conditions import check_copy, check_read, write_condition
from launcher.local.store.errors import NotModified, StoreError
from launcher.local.store.ranges import of_copy, of_header

THERE = Stored(1, 10, "abc", 1_700_000_000_500)
EARLIER, SAME, LATER = (
    "Tue, 14 Nov 2023 22:13:19 GMT",
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 22:13:21 GMT",
)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=2-", (2, 8)),
        ("bytes=2-100", (2, 8)),
        ("bytes=-3", (7, 3)),
        ("bytes=-100", (0, 10)),
        ("bytes=5-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=-", None),
    ],
)
def test_a_range(header: str | None, found: tuple[int, int] | None) -> None:
    assert of_header(header, 10) == found


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-0", 0), ("bytes=-1", 0)])
def test_a_range_without_bytes_is_416(header: str, size: int) -> None:
    with pytest.raises(StoreError, match="InvalidRange") as caught:
        of_header(header, size)
    assert dict(caught.value.headers) == {"Content-Range": f"bytes */{size}"}


def test_a_range_of_a_copy_lies_within_its_source() -> None:
    assert of_copy("bytes=2-9", 10) == (2, 8)
    for text in ("bytes=2-10", "bytes=2-", "bytes=5-3", "2-3"):
        with pytest.raises(StoreError, match="InvalidArgument"):
            of_copy(text, 10)


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({}, 200),
        ({"if-match": '"abc"'}, 200),
        ({"if-match": "abc"}, 200),
        ({"if-match": '"x", "abc"'}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-none-match": '"abc"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-modified-since": EARLIER}, 200),
        ({"if-modified-since": SAME}, 304),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-unmodified-since": SAME}, 200),
        ({"if-unmodified-since": EARLIER}, 412),
        ({"if-match": '"abc"', "if-unmodified-since": EARLIER}, 200),
        ({"if-none-match": '"x"', "if-modified-since": LATER}, 200),
    ],
)
def test_conditions_of_a_read_and_of_a_copy(headers: dict[str, str], answer: int) -> None:
    def status(check, given) -> int:
        try:
            check(given)
        except StoreError as error:
            return error.status
        except NotModified:
            return 304
        return 200

    assert status(lambda given: check_read(given, THERE, ()), headers) == answer
    copied = {f"x-amz-copy-source-{name}": value for name, value in headers.items()}
    assert status(lambda given: check_copy(given, THERE), copied) == (412 if answer == 304 else answer)


def test_conditions_of_a_write() -> None:
    absent, same, other = (
        write_condition({"if-none-match": "*"}),
        write_condition({"if-match": '"abc"'}),
        write_condition({"if-match": '"x"'}),
    )
    absent(None)
    same(THERE)
    for check, there in ((absent, THERE), (other, THERE)):
        with pytest.raises(StoreError, match="PreconditionFailed"):
            check(there)
    with pytest.raises(StoreError, match="NoSuchKey"):
        same(None)
    with pytest.raises(StoreError, match="NotImplemented"):
        write_condition({"if-none-match": '"abc"'})
