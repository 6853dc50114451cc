"""A data folder of version 0.1.0: its plain files become objects, also when it is killed in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from embedded import Embedded

from launcher.local.host.processes import ProcessId
from launcher.local.store import adoption
from launcher.local.store.adoption import adopt
from launcher.local.store.catalog import Catalog, Stored
from launcher.local.store.contents import Contents

FILES = {f"runs/{n % 10}/epoch {n}.pt": b"%d" % n * 100 for n in range(120)} | {"a": b"", "ümlaut/+x": b"u"}


def former(folder: Path) -> None:
    for key, content in FILES.items():
        path = folder / "batchrl-local" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "empty-bucket").mkdir()


def test_a_former_store_is_taken_over_at_the_first_start(tmp_path: Path) -> None:
    server = Embedded(tmp_path / "home")
    former(server.paths.former_store)
    (server.paths.former_store / "batchrl-local" / "link").symlink_to("/etc/passwd")
    command = [sys.executable, "-c", "import time; time.sleep(600)", str(server.paths.former_store)]
    rclone = subprocess.Popen(command)  # the process of before, which serves the folder that its command names
    known = ProcessId.of(rclone.pid)
    assert known is not None
    known.write(server.paths.store_process)
    try:
        server.start()
        rclone.wait(5)
        client = server.client()
        listed = client.list_objects_v2(Bucket="batchrl-local")["Contents"]
        assert {entry["Key"]: entry["Size"] for entry in listed} == {key: len(body) for key, body in FILES.items()}
        for key, content in FILES.items():
            assert client.get_object(Bucket="batchrl-local", Key=key)["Body"].read() == content
        assert {one["Name"] for one in client.list_buckets()["Buckets"]} == {"batchrl-local", "empty-bucket"}
        left = [path for path in server.paths.former_store.rglob("*") if not path.is_dir()]
        assert [path.name for path in left] == ["link"]
        assert (
            f"taken over from {server.paths.former_store}: {len(FILES)} objects" in server.paths.store_log.read_text()
        )
    finally:
        rclone.kill()
        server.stop()


def test_a_key_that_was_uploaded_in_parts_meanwhile_keeps_its_newer_object(tmp_path: Path) -> None:
    (tmp_path / "store" / "b").mkdir(parents=True)
    for name in ("a", "c"):
        (tmp_path / "store" / "b" / name).write_bytes(b"former")
    catalog = Catalog(tmp_path / "catalog.sqlite")
    contents = Contents(tmp_path / "contents", catalog.first_file)
    catalog.create_bucket("b")
    newer = Stored(0, 8, "e" * 32 + "-1", 0, parts=((contents.new(), 8),))
    catalog.put("b", b"a", newer)

    assert adopt(tmp_path / "store", catalog, contents) == 1
    bucket = catalog.bucket("b")
    assert catalog.find(bucket, b"a") == newer
    assert catalog.get(bucket, b"c").size == 6
    assert (tmp_path / "store" / "b" / "a").read_bytes() == b"former"


class Killed(BaseException):
    pass


@pytest.mark.parametrize("name", ["link", "unlink"])
@pytest.mark.parametrize("at", [0, 1, 7, 30, 63])
def test_killed_in_the_middle_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: int
) -> None:
    former(tmp_path / "store")
    monkeypatch.setattr(adoption, "BATCH", 20)
    calls = 0
    place = adoption.os if name == "link" else adoption.Path
    real = getattr(place, name)

    def killed(*arguments: object, **more: object) -> None:
        nonlocal calls
        calls += 1
        if calls > at:
            raise Killed
        real(*arguments, **more)

    monkeypatch.setattr(place, name, killed)
    catalog = Catalog(tmp_path / "catalog.sqlite")
    with pytest.raises(Killed):
        adopt(tmp_path / "store", catalog, Contents(tmp_path / "contents", catalog.first_file))
    monkeypatch.setattr(place, name, real)

    catalog = Catalog(tmp_path / "catalog.sqlite")
    contents = Contents(tmp_path / "contents", catalog.first_file)
    adopt(tmp_path / "store", catalog, contents)
    bucket = catalog.bucket("batchrl-local")
    for key, content in FILES.items():
        there = catalog.get(bucket, os.fsencode(key))
        assert Path(contents.path(there.file)).read_bytes() == content
    assert not (tmp_path / "store").exists()
