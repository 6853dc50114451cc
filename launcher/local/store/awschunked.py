"""Bodies in ``aws-chunked`` encoding, as SDKs send them: chunks with or without signatures, then trailing headers.

::

    hex-size[;chunk-signature=SIGNATURE] CRLF  bytes CRLF    ... until a chunk of size 0
    name:value CRLF ...                                      trailers
    x-amz-trailer-signature:SIGNATURE CRLF                   where chunks are signed
    CRLF

Source: "Signature calculations: transferring payload in multiple chunks", Amazon S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import Enum, auto

from launcher.local.store.errors import StoreError, not_implemented
from launcher.local.store.sigv4 import Signed

SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_AND_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_CHUNKS_AND_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
KINDS = (SIGNED_CHUNKS, SIGNED_CHUNKS_AND_TRAILER, UNSIGNED_CHUNKS_AND_TRAILER)
TRAILER_SIGNATURE = "x-amz-trailer-signature"
MAX_LINE_BYTES = 4096
MAX_TRAILERS = 8

_EMPTY = hashlib.sha256(b"").hexdigest()
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?")


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    END_OF_DATA = auto()
    TRAILER = auto()
    DONE = auto()


class ChunkDecoder:
    """Decodes one body piece by piece; what it gives out may be stored, not shown, before ``finish`` has passed.

    Args:
        kind: the value of ``x-amz-content-sha256``.
        signed: the request's own signature, which chunk signatures continue.

    Raises:
        StoreError: the kind is not known.
    """

    def __init__(self, kind: str, signed: Signed) -> None:
        if kind not in KINDS:
            raise not_implemented(f"x-amz-content-sha256: {kind[:60]}")
        self.trailers: dict[str, str] = {}
        self._signed = signed
        self._chunks_signed = kind != UNSIGNED_CHUNKS_AND_TRAILER
        self._has_trailer = kind != SIGNED_CHUNKS
        self._state = _State.SIZE
        self._held = bytearray()
        self._left = 0
        self._last = False
        self._previous = signed.signature
        self._expected = ""
        self._digest = hashlib.sha256()
        self._trailer_text = ""

    def feed(self, data: bytes) -> list[bytes]:
        """What a piece of the body holds.

        Raises:
            StoreError: the encoding is broken, or a signature is wrong.
        """
        out: list[bytes] = []
        view, at = memoryview(data), 0
        while at < len(view):
            if self._state is _State.DATA:
                taken = view[at : at + self._left]
                at += len(taken)
                self._left -= len(taken)
                if self._chunks_signed:
                    self._digest.update(taken)
                out.append(bytes(taken))
                if not self._left:
                    self._state = _State.END_OF_DATA
                continue
            end = data.find(b"\n", at)
            self._held += view[at : len(view) if end < 0 else end + 1]
            at = len(view) if end < 0 else end + 1
            if len(self._held) > MAX_LINE_BYTES:
                raise _broken()
            if end >= 0:
                line = bytes(self._held)
                self._held.clear()
                self._line(line)
        return out

    def finish(self) -> None:
        """Say that the body has ended.

        Raises:
            StoreError: it breaks off.
        """
        # A body without trailers ends with the empty chunk; some clients leave out the empty line after it.
        ended = self._state is _State.DONE or (self._state is _State.TRAILER and not self._held and not self.trailers)
        if not ended:
            raise StoreError("IncompleteBody")
        if self._state is _State.TRAILER:
            self._check_trailer()

    def _line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            raise _broken()
        line = line[:-2]
        if self._state is _State.END_OF_DATA:
            if line:
                raise _broken()
            self._check_chunk()
            self._state = _State.SIZE
        elif self._state is _State.SIZE:
            self._start_chunk(line)
        elif self._state is _State.TRAILER:
            self._trailer(line)
        elif line:
            raise _broken()

    def _start_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if not match or bool(match[2]) != self._chunks_signed:
            raise _broken()
        self._left, self._expected = int(match[1], 16), (match[2] or b"").decode()
        if self._left:
            self._state = _State.DATA
        else:
            self._check_chunk()
            self._state = _State.TRAILER

    def _check_chunk(self) -> None:
        if not self._chunks_signed:
            return
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{self._lead()}\n{_EMPTY}\n{self._digest.hexdigest()}"
        self._continue(text, self._expected)
        self._digest = hashlib.sha256()

    def _trailer(self, line: bytes) -> None:
        if not line:
            self._check_trailer()
            self._state = _State.DONE
            return
        name, colon, value = line.decode("latin-1").partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not self._has_trailer or len(self.trailers) >= MAX_TRAILERS:
            raise _broken()
        self.trailers[name] = value
        if name != TRAILER_SIGNATURE:
            self._trailer_text += f"{name}:{value}\n"

    def _check_trailer(self) -> None:
        given = self.trailers.pop(TRAILER_SIGNATURE, "")
        if self._chunks_signed and self._has_trailer:
            digest = hashlib.sha256(self._trailer_text.encode("latin-1")).hexdigest()
            self._continue(f"AWS4-HMAC-SHA256-TRAILER\n{self._lead()}\n{digest}", given)

    def _lead(self) -> str:
        return f"{self._signed.timestamp}\n{self._signed.scope}\n{self._previous}"

    def _continue(self, text: str, given: str) -> None:
        signature = hmac.digest(self._signed.signing_key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(signature.encode(), given.encode()):
            raise StoreError("SignatureDoesNotMatch")
        self._previous = signature


def _broken() -> StoreError:
    return StoreError("InvalidRequest", "The body is not in the aws-chunked encoding that its headers announce.")
