"""Checkpoints that come back from a store that does not list its newest objects yet."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody
from memory_s3 import MemoryS3

from batchrl.contract.layout import S3Url
from batchrl.contract.nofollow import JobFolder
from launcher.local.volumes.checkpointsync import CheckpointSync

URL = S3Url("b", "run")


class Lagging(MemoryS3):
    """Lists what was there long ago; what is asked for by its key is there at once."""

    def __init__(self, listed: set[str]) -> None:
        super().__init__()
        self.listed = listed

    def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
        return [{"Contents": [{"Key": key, "Size": len(self.objects[key])} for key in sorted(self.listed)]}]

    def get_object(self, **arguments: Any) -> dict[str, Any]:
        whole = self._whole(arguments["Key"], "GetObject")
        return {"Body": StreamingBody(io.BytesIO(whole), len(whole)), "ContentLength": len(whole)}


def restored(tmp_path: Path, objects: dict[str, bytes], listed: set[str]) -> dict[str, bytes]:
    store = Lagging(listed)
    store.objects = dict(objects)
    folder = tmp_path / "checkpoints"
    count = CheckpointSync(store, JobFolder(folder), URL, print).restore()
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert count == len(found)
    return found


@pytest.mark.parametrize("listed", [set(), {"run/epoch_0001.pt"}, {"run/latest.json"}])
def test_what_was_announced_comes_back_though_it_is_not_listed(tmp_path: Path, listed: set[str]) -> None:
    objects = {
        "run/epoch_0001.pt": b"1",
        "run/epoch_0002.pt": b"2",
        "run/latest.json": json.dumps({"checkpoint": "epoch_0002.pt"}).encode(),
    }
    found = restored(tmp_path, objects, listed)
    assert found["epoch_0002.pt"] == b"2" and "latest.json" in found


def test_a_pointer_that_leads_nowhere_brings_nothing(tmp_path: Path) -> None:
    pointers = {"run/latest.json": b'{"checkpoint": "gone.pt"}', "run/best.json": b"not JSON"}
    assert restored(tmp_path, pointers, set()).keys() == {"latest.json", "best.json"}
    assert restored(tmp_path / "empty", {}, set()) == {}
