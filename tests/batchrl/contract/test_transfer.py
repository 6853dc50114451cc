"""One object to one file: what is kept, what is tried again, what stands at the final name."""

from __future__ import annotations

from pathlib import Path

import botocore.exceptions
import pytest

from batchrl.contract.download import download
from batchrl.contract.errors import DamagedContent
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import sha256_of
from batchrl.contract.transfer import Check, Copy, Manner, Transfer, bring

URL = S3Url("bucket", "run/a")


class Wanted(Check):
    """Takes one content; another one from the second attempt on."""

    def __init__(self, first: bytes, later: bytes) -> None:
        self.wanted, self.later = first, later

    def algorithm(self, etag: str) -> str:
        return "sha256"

    def accepts(self, copy: Copy, etag: str) -> bool:
        return copy == Copy(len(self.wanted), sha256_of(self.wanted))

    def renew(self) -> None:
        self.wanted = self.later


def transfer(folder: Path, prefix: S3Url | None = None) -> Transfer:
    return Transfer(URL, 3, folder / "a", prefix=prefix)


def test_a_good_file_stays_unread_only_where_that_is_asked_for(s3, tmp_path):
    s3.objects = {"run/a": b"new"}
    (tmp_path / "a").write_bytes(b"old")
    keeping = Manner(lambda transfer: Wanted(b"old", b"new"), keep=True)
    assert not bring(s3, transfer(tmp_path), keeping)
    assert download(s3, [transfer(tmp_path)], keeping) == []
    assert (tmp_path / "a").read_bytes() == b"old"
    assert download(s3, [transfer(tmp_path)]) == [transfer(tmp_path)]
    assert (tmp_path / "a").read_bytes() == b"new"


def test_what_a_good_copy_is_is_asked_again_between_attempts(s3, tmp_path):
    s3.objects = {"run/a": b"new"}
    assert bring(s3, transfer(tmp_path), Manner(lambda transfer: Wanted(b"old", b"new")))
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_copy_that_no_attempt_makes_good_leaves_the_old_file(s3, tmp_path):
    s3.objects = {"run/a": b"new"}
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(DamagedContent, match=r"s3://bucket/run/a cannot be read whole in 2 tries") as caught:
        bring(s3, transfer(tmp_path), Manner(lambda transfer: Wanted(b"x", b"y"), attempts=2, hint="Look."))
    assert caught.value.hint == "Look."
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_a_refusal_is_final_unless_it_passes(s3, tmp_path):
    with pytest.raises(botocore.exceptions.ClientError):
        bring(s3, transfer(tmp_path), Manner())

    def appears(error: botocore.exceptions.ClientError) -> bool:
        s3.objects = {"run/a": b"new"}
        return True

    assert bring(s3, transfer(tmp_path), Manner(passes=appears))
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_file_that_cannot_be_written_is_named(s3, tmp_path):
    s3.objects = {"run/a": b"new"}
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"Not a directory|File exists") as caught:
        bring(s3, transfer(tmp_path / "file"), Manner())
    assert caught.value.filename == str(tmp_path / "file" / "a")


def test_the_bytes_that_arrived_are_told(s3, tmp_path):
    s3.objects = {"run/a": b"new"}
    told: list[int] = []
    download(s3, [transfer(tmp_path)], Manner(on_bytes=told.append))
    assert sum(told) == 3


@pytest.mark.parametrize(
    ("prefix", "name"), [(None, "run/a"), (S3Url("bucket", "run"), "a"), (S3Url("bucket", ""), "run/a")]
)
def test_a_transfer_is_called_by_its_path_below_the_synced_folder(tmp_path, prefix, name):
    assert transfer(tmp_path, prefix).name == name
