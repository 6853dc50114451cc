"""A large object in parts: put together as it was, of one version, hashed in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import botocore.exceptions
import pytest
from scripted_server import ModelServer, Reply, Request

from batchrl.contract import download as downloading
from batchrl.contract import ranges, transfer
from batchrl.contract.download import download
from batchrl.contract.errors import DamagedContent
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import sha256_of
from batchrl.contract.store import s3_client
from batchrl.contract.transfer import Check, Copy, Manner, Transfer

CONTENT = bytes(range(251)) * 41
KEYS = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


class Sha256(Check):
    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted

    def algorithm(self, etag: str) -> str:
        return "sha256"

    def accepts(self, copy: Copy, etag: str) -> bool:
        return copy == Copy(len(self._wanted), sha256_of(self._wanted))


class Object:
    """One object behind a server that knows parts and conditions."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.etag = '"one"'
        self.asked: list[tuple[int, int] | None] = []
        self.heeds_conditions = True
        self.before: Callable[[int], None] = lambda count: None

    def answer(self, request: Request) -> Reply:
        self.before(len(self.asked))
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        self.asked.append((int(part[1]), int(part[2])) if part else None)
        tag = {"ETag": self.etag}
        if self.heeds_conditions and request.headers.get("if-match", self.etag) != self.etag:
            return Reply(b"<Error><Code>PreconditionFailed</Code></Error>", status=412)
        if part is None:
            return Reply(self.content, headers=tag)
        return Reply(self.content[int(part[1]) : int(part[2]) + 1], status=206, headers=tag)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "PART_BYTES", 1000)
    for module in (ranges, transfer, downloading):
        monkeypatch.setattr(module, "RANGED_BYTES", 5000)


@pytest.fixture
def stored() -> Object:
    return Object()


@pytest.fixture
def fetch(stored: Object, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    server = ModelServer(lambda request: stored.answer(request))
    client = s3_client(boto3.Session(), f"http://127.0.0.1:{server.address.port}", **KEYS)

    def fetch(wanted: bytes = CONTENT, size: int = len(CONTENT), attempts: int = 1, etag: str = '"one"') -> Path:
        one = Transfer(S3Url("bucket", "big"), size, tmp_path / "big", etag)
        download(client, [one], Manner(lambda _: Sha256(wanted), attempts=attempts))
        return one.file

    yield fetch
    server.die()


def test_the_parts_make_the_object(stored, fetch):
    assert fetch().read_bytes() == CONTENT
    starts = range(0, len(CONTENT), 1000)
    assert sorted(stored.asked) == [(at, min(at + 1000, len(CONTENT)) - 1) for at in starts]


def test_small_objects_and_those_without_an_etag_come_as_one(stored, fetch):
    assert fetch(etag="").read_bytes() == CONTENT
    stored.content = CONTENT[:4999]
    assert fetch(wanted=stored.content, size=4999).read_bytes() == CONTENT[:4999]
    assert stored.asked == [None, None]


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("other", [CONTENT[::-1], CONTENT[:5500], CONTENT * 2])
def test_an_object_that_is_replaced_meanwhile_is_read_as_it_is_now(stored, fetch, heeds, other):
    """Whether or not the server heeds the condition."""
    stored.heeds_conditions = heeds

    def replace(count: int) -> None:
        if count == 4:
            stored.content, stored.etag = other, '"two"'

    stored.before = replace
    assert fetch(wanted=other).read_bytes() == other
    assert stored.asked[-1] is None


def test_a_copy_with_wrong_bytes_is_not_taken(stored, fetch, tmp_path):
    stored.content = CONTENT[:6000] + b"?" + CONTENT[6001:]
    with pytest.raises(DamagedContent):
        fetch()
    assert not list(tmp_path.iterdir())


def test_a_part_that_breaks_off_is_tried_again(stored, fetch):
    whole, broken = stored.answer, []

    def tear(request: Request) -> Reply:
        reply = whole(request)
        if stored.asked[-1] == (3000, 3999) and not broken:
            broken.append(1)
            head = b'HTTP/1.1 206 Partial\r\nETag: "one"\r\nContent-Length: 1000\r\n\r\n'
            return Reply(raw=head + b"123", close=True)
        return reply

    stored.answer = tear
    assert fetch(attempts=2).read_bytes() == CONTENT
    assert broken


def test_a_refusal_is_told(stored, fetch):
    stored.answer = lambda request: Reply(b"<Error><Code>AccessDenied</Code></Error>", status=403)
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        fetch()
