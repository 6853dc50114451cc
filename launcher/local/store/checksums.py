"""What a request promises about its body, checked while the body arrives: signed digest, Content-MD5, checksums.

==================  ===========================================
CRC32               zlib
CRC32C, CRC64NVME   ``crc``
SHA1, SHA256        hashlib
others              refused, never ignored
==================  ===========================================
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping
from typing import Protocol

from launcher.local.store.errors import StoreError, invalid, not_implemented
from launcher.local.store.sigv4 import CONTENT_DIGEST

PREFIX = "x-amz-checksum-"
ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")
# Headers that begin like a checksum and are none.
_SETTINGS = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})
_LENGTH = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Hash(Protocol):
    """A digest that is computed piece by piece."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""
        ...


class Crc32:
    """CRC-32 with the interface of hashlib."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Its four bytes, the highest first."""
        return self._value.to_bytes(4, "big")


def new_hash(algorithm: str) -> Hash:
    """An empty digest of one of ``ALGORITHMS``, or of md5."""
    if algorithm == "crc32":
        return Crc32()
    if algorithm.startswith("crc"):
        from launcher.local.store.crc import Crc  # its arrays take memory that few stores need

        return Crc(algorithm)
    return hashlib.new(algorithm, usedforsecurity=False)


def algorithm_of(name: str) -> str:
    """An algorithm by its name in a header (``CRC32``).

    Raises:
        StoreError: it cannot be computed here.
    """
    if name.lower() not in ALGORITHMS:
        raise not_implemented(f"the checksum algorithm {name[:40]}; it knows {', '.join(ALGORITHMS).upper()}")
    return name.lower()


def declared(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Checksums in headers or trailers, by algorithm.

    Raises:
        StoreError: one is no checksum, or of an algorithm that cannot be computed here.
    """
    found = {}
    for name, value in headers.items():
        if name.startswith(PREFIX) and name not in _SETTINGS:
            algorithm = algorithm_of(name.removeprefix(PREFIX))
            found[algorithm] = decoded(value, algorithm, name)
    return found


def decoded(value: str, algorithm: str, name: str) -> bytes:
    """A checksum from its base64.

    Args:
        value: the text.
        algorithm: whose checksum it is.
        name: the header, for the message.

    Raises:
        StoreError: it is no base64, or of another length.
    """
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _LENGTH[algorithm]:
        raise StoreError("InvalidRequest", f"Value for {name} header is invalid.")
    return raw


class Promises:
    """What a request promised about its body, and the digests that are computed as the body arrives.

    Args:
        headers: the request's.

    Raises:
        StoreError: a promise is malformed, or cannot be checked.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._wanted = declared(headers)
        payload = headers.get(CONTENT_DIGEST, "")
        self._payload = bytes.fromhex(payload) if _DIGEST.fullmatch(payload) else None
        self._md5 = _content_md5(headers.get("content-md5"))
        self._trailers = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()]
        announced = {algorithm_of(name.removeprefix(PREFIX)) for name in self._trailers if name.startswith(PREFIX)}
        if unknown := [name for name in self._trailers if not name.startswith(PREFIX)]:
            raise not_implemented(f"the trailer {unknown[0][:60]}")
        asked = headers.get("x-amz-sdk-checksum-algorithm") or headers.get("x-amz-checksum-algorithm")
        if asked:
            announced.add(algorithm_of(asked))
        self._kept = set(self._wanted) | announced
        needed = self._kept | {"md5"} | ({"sha256"} if self._payload is not None else set())
        self._hashes = {name: new_hash(name) for name in sorted(needed)}

    def update(self, data: bytes) -> None:
        """Take in a piece of the body."""
        for one in self._hashes.values():
            one.update(data)

    def check(self, trailers: Mapping[str, str]) -> None:
        """Compare, when the whole body has arrived.

        Args:
            trailers: the headers after the body.

        Raises:
            StoreError: the body is not what was promised.
        """
        missing = [name for name in self._trailers if name not in trailers]
        if missing:
            raise StoreError("InvalidRequest", f"The trailer {missing[0]} was announced and is not there.")
        late = declared(trailers)
        if not late.keys() <= self._kept:
            raise invalid("A trailing checksum was not announced in x-amz-trailer.")
        if self._payload is not None and self._hashes["sha256"].digest() != self._payload:
            raise StoreError("XAmzContentSHA256Mismatch")
        if self._md5 is not None and self._hashes["md5"].digest() != self._md5:
            raise StoreError("BadDigest", "The Content-MD5 you specified did not match what we received.")
        for algorithm, value in (self._wanted | late).items():
            if self._hashes[algorithm].digest() != value:
                raise StoreError(
                    "BadDigest", f"The {algorithm.upper()} you specified did not match the calculated checksum."
                )

    @property
    def md5(self) -> str:
        """MD5 of the body in hex: the object's ETag."""
        return self._hashes["md5"].digest().hex()

    @property
    def checksums(self) -> dict[str, str]:
        """Checksums to keep, in base64 by algorithm."""
        return {name: base64.b64encode(self._hashes[name].digest()).decode() for name in sorted(self._kept)}


def _content_md5(value: str | None) -> bytes | None:
    if value is None:
        return None
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 16:
        raise StoreError("InvalidDigest")
    return raw
