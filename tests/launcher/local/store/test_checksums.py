"""Checksums against their check values, against zlib, and against the plain loop over bytes."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.local.store import crc
from launcher.local.store.checksums import Promises, new_hash
from launcher.local.store.crc import Crc
from launcher.local.store.errors import StoreError


def test_check_values() -> None:
    for algorithm, value in (("crc32c", 0xE3069283), ("crc64nvme", 0xAE8B14860A799888), ("crc32", 0xCBF43926)):
        one = new_hash(algorithm)
        one.update(b"123456789")
        assert int.from_bytes(one.digest(), "big") == value


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.integers(0, 5_000), max_size=5), seed=st.integers(0, 2**32))
def test_lanes_are_what_zlib_computes_with_its_polynomial(pieces: list[int], seed: int) -> None:
    import random

    crc.POLYNOMIALS["crc32-of-zlib"] = (0xEDB88320, 32)
    one, all_bytes = Crc("crc32-of-zlib"), b""
    for size in pieces:
        piece = random.Random(seed + size).randbytes(size)
        one.update(piece)
        all_bytes += piece
    del crc.POLYNOMIALS["crc32-of-zlib"]

    assert int.from_bytes(one.digest(), "big") == zlib.crc32(all_bytes)


@pytest.mark.parametrize("algorithm", ["crc32c", "crc64nvme"])
def test_lanes_are_what_the_loop_over_bytes_computes(algorithm: str) -> None:
    body = bytes(range(256)) * 40 + b"tail"
    at_once, by_bytes = Crc(algorithm), Crc(algorithm)
    at_once.update(body)
    for byte in body:
        by_bytes.update(bytes([byte]))

    assert at_once.digest() == by_bytes.digest()


def test_a_promise_that_does_not_hold_is_refused() -> None:
    md5 = base64.b64encode(hashlib.md5(b"body").digest()).decode()
    for headers, code in [
        ({"content-md5": "nonsense"}, "InvalidDigest"),
        ({"content-md5": base64.b64encode(b"0" * 16).decode()}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAA"}, "InvalidRequest"),
        ({"x-amz-checksum-crc64nvme": base64.b64encode(b"0" * 8).decode()}, "BadDigest"),
        ({"x-amz-checksum-xxhash64": "AAAAAAAAAAA="}, "NotImplemented"),
        ({"x-amz-trailer": "x-amz-other"}, "NotImplemented"),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, "InvalidRequest"),
        ({"x-amz-content-sha256": "0" * 64}, "XAmzContentSHA256Mismatch"),
    ]:
        with pytest.raises(StoreError, match=code):
            promises = Promises(headers)
            promises.update(b"body")
            promises.check({})
    kept = Promises({"content-md5": md5, "x-amz-sdk-checksum-algorithm": "SHA256"})
    kept.update(b"body")
    kept.check({})
    assert kept.checksums == {"sha256": base64.b64encode(hashlib.sha256(b"body").digest()).decode()}
