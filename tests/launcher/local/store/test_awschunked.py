"""Bodies in chunks: decoded whatever the pieces they come in, refused when anything of them was changed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.local.store.awschunked import (
    SIGNED_CHUNKS,
    SIGNED_CHUNKS_AND_TRAILER,
    UNSIGNED_CHUNKS_AND_TRAILER,
    ChunkDecoder,
)
from launcher.local.store.errors import StoreError
from launcher.local.store.sigv4 import Signed, signing_key

SIGNED = Signed(
    "KEY",
    "20260101/us-east-1/s3/aws4_request",
    "20260101T000000Z",
    "f" * 64,
    "",
    signing_key("secret", "20260101", "us-east-1"),
)
EMPTY = hashlib.sha256(b"").hexdigest()


def sign(text: str) -> str:
    return hmac.digest(SIGNED.signing_key, text.encode(), "sha256").hex()


def encoded(kind: str, chunks: list[bytes]) -> bytes:
    """A body as an SDK sends it, by the words of the API reference."""
    previous, out = SIGNED.signature, b""
    lead = f"{SIGNED.timestamp}\n{SIGNED.scope}"
    for chunk in [*chunks, b""]:
        extension = ""
        if kind != UNSIGNED_CHUNKS_AND_TRAILER:
            digest = hashlib.sha256(chunk).hexdigest()
            previous = sign(f"AWS4-HMAC-SHA256-PAYLOAD\n{lead}\n{previous}\n{EMPTY}\n{digest}")
            extension = f";chunk-signature={previous}"
        out += f"{len(chunk):x}{extension}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    if kind != SIGNED_CHUNKS:
        value = base64.b64encode(zlib.crc32(b"".join(chunks)).to_bytes(4, "big")).decode()
        out += f"x-amz-checksum-crc32:{value}\r\n".encode()
        if kind == SIGNED_CHUNKS_AND_TRAILER:
            digest = hashlib.sha256(f"x-amz-checksum-crc32:{value}\n".encode()).hexdigest()
            text = f"AWS4-HMAC-SHA256-TRAILER\n{lead}\n{previous}\n{digest}"
            out += f"x-amz-trailer-signature:{sign(text)}\r\n".encode()
    return out + b"\r\n"


def decode(kind: str, pieces: list[bytes]) -> bytes:
    decoder = ChunkDecoder(kind, SIGNED)
    out = [part for piece in pieces for part in decoder.feed(piece)]
    decoder.finish()
    return b"".join(out)


kinds = st.sampled_from([SIGNED_CHUNKS, SIGNED_CHUNKS_AND_TRAILER, UNSIGNED_CHUNKS_AND_TRAILER])
bodies = st.lists(st.binary(min_size=1, max_size=300), max_size=4)


@settings(max_examples=200, deadline=None)
@given(kind=kinds, chunks=bodies, cuts=st.lists(st.integers(1, 1500), max_size=6))
def test_a_body_is_decoded_whatever_the_pieces_it_comes_in(kind: str, chunks: list[bytes], cuts: list[int]) -> None:
    body = encoded(kind, chunks)
    ends = [0, *sorted(cut for cut in set(cuts) if cut < len(body)), len(body)]

    assert decode(kind, [body[a:b] for a, b in itertools.pairwise(ends)]) == b"".join(chunks)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from([SIGNED_CHUNKS, SIGNED_CHUNKS_AND_TRAILER]),
    chunks=st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=3),
    at=st.integers(0, 10_000),
)
def test_no_byte_of_a_signed_body_can_be_changed_or_cut_off(kind: str, chunks: list[bytes], at: int) -> None:
    body = encoded(kind, chunks)
    at %= len(body)
    changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    try:
        content = decode(kind, [changed])
    except StoreError:
        pass
    else:
        assert content == b"".join(chunks)  # a spelling of the same, as a capital in a header's name
    with pytest.raises(StoreError):
        decode(kind, [body[: at - 4]] if at > 4 else [b""])


def test_what_is_no_such_encoding_is_refused() -> None:
    for body in (b"zz\r\n", b"5\r\nabc", b"3\nabc\n0\n\n", b"3\r\nabcd\r\n", b"x" * 5000, b"3;chunk-signature=zz\r\n"):
        with pytest.raises(StoreError):
            decode(UNSIGNED_CHUNKS_AND_TRAILER, [body])
    with pytest.raises(StoreError, match="NotImplemented"):
        ChunkDecoder("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", SIGNED)
