"""Killed, overwritten while read, left with rubbish: nothing acknowledged is lost, nothing is read in part."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from embedded import Embedded, eventually

from batchrl.contract.errors import InputError
from launcher.local.host.address import Identity
from launcher.local.host.home import HomePaths
from launcher.local.store import copying, durability, process
from launcher.local.store.catalog import Catalog, Stored, connect, milliseconds, named_files
from launcher.local.store.contents import Contents
from launcher.local.store.durability import Durability
from launcher.local.store.wire import Slices

PART = 5 * 1024 * 1024


def body(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def test_kill_9_under_writes_loses_nothing_that_was_acknowledged(own: Embedded) -> None:
    client = own.client()
    client.create_bucket(Bucket="kept")
    # What each key may hold: what was acknowledged last (None for nothing yet), and what is under way.
    allowed: dict[str, list[str | None]] = {}
    acknowledged = [0]
    lock, stop = threading.Lock(), threading.Event()

    def write(worker: int) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            key, size = f"{worker}/{n % 7}", random.Random(n).choice([0, 10, 70_000, 300_000])
            content = random.randbytes(size)
            digest = hashlib.md5(content).hexdigest()
            with lock:
                allowed.setdefault(key, [None]).append(digest)
            try:
                client.put_object(Bucket="kept", Key=key, Body=content)
            except Exception:
                return
            with lock:
                allowed[key] = [digest]
                acknowledged[0] += 1

    for _ in range(4):
        stop.clear()
        wanted = acknowledged[0] + 60
        with ThreadPoolExecutor(6) as pool:
            for worker in range(6):
                pool.submit(write, worker)
            eventually(lambda wanted=wanted: acknowledged[0] > wanted)
            own.kill()
            stop.set()
        own.start()
        for key in allowed:
            try:
                there = hashlib.md5(client.get_object(Bucket="kept", Key=key)["Body"].read()).hexdigest()
            except client.exceptions.NoSuchKey:
                there = None
            assert there in allowed[key], f"{key} is {there}, acknowledged was {allowed[key][0]}"
            allowed[key] = [there]


def test_an_upload_in_parts_goes_on_after_a_kill(own: Embedded) -> None:
    client = own.client()
    client.create_bucket(Bucket="kept")
    names = {"Bucket": "kept", "Key": "big"}
    upload = client.create_multipart_upload(**names, Metadata={"a": "b"})["UploadId"]
    first = client.upload_part(**names, UploadId=upload, PartNumber=1, Body=body(1, PART))["ETag"]
    own.kill()
    own.start()
    second = client.upload_part(**names, UploadId=upload, PartNumber=2, Body=b"end")["ETag"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    done = client.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": parts})
    own.kill()
    own.start()

    # The client whose answer was lost asks again.
    again = client.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": parts})
    there = client.get_object(**names)
    assert again["ETag"] == done["ETag"] == there["ETag"]
    assert (there["Body"].read(), there["Metadata"]) == (body(1, PART) + b"end", {"a": "b"})


@pytest.mark.parametrize("size", [3_000, 700_000])
def test_no_read_is_torn_under_overwrites(store: Embedded, bucket: str, size: int) -> None:
    writing, wrong, reads = threading.Event(), [], [0] * 4
    store.client().put_object(Bucket=bucket, Key="table", Body=body(0, size))

    def write() -> None:
        client = store.client()
        for n in range(1, 120):
            client.put_object(Bucket=bucket, Key="table", Body=body(n, size + n * 10))
        writing.set()

    def read(worker: int) -> None:
        client = store.client()
        while not writing.is_set():
            answer = client.get_object(Bucket=bucket, Key="table")
            content = answer["Body"].read()
            if len(content) != answer["ContentLength"] or f'"{hashlib.md5(content).hexdigest()}"' != answer["ETag"]:
                wrong.append(len(content))
            reads[worker] += 1

    threads = [threading.Thread(target=write), *(threading.Thread(target=read, args=(n,)) for n in range(4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert min(reads) > 5


def test_sixteen_writers_that_want_to_be_first_have_one_winner(store: Embedded, bucket: str) -> None:
    client = store.client()
    for n in range(10):
        start = threading.Barrier(16)

        def write(worker: int, key: str = f"lock{n}", start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                client.put_object(Bucket=bucket, Key=key, Body=b"%d" % worker * 50_000, IfNoneMatch="*")
            except client.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] == "PreconditionFailed"
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(write, range(16)))
        assert won.count(True) == 1
        assert client.get_object(Bucket=bucket, Key=f"lock{n}")["Body"].read() == b"%d" % won.index(True) * 50_000


class Machine:
    """Catalog, contents and what keeps them, in one folder, without a process."""

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog(folder / "catalog.sqlite")
        self.contents = Contents(folder / "contents", self.catalog.first_file)
        self.durability = Durability(folder / "catalog.sqlite", self.catalog, self.contents, folder)
        self.catalog.create_bucket("b")

    def put(self, key: bytes, content: bytes) -> int:
        number = self.contents.new()
        handle = self.contents.create(number)
        os.write(handle, content)
        os.close(handle)
        self.contents.forget(self.catalog.put("b", key, Stored(number, len(content), "etag", milliseconds())))
        return number

    def bring_to_disk(self, later_ms: int = 0) -> None:
        written = self.durability.begin()
        self.durability.sync()
        self.durability.end(replace(written, at=written.at + later_ms))

    def restarted(self, folder: Path) -> Machine:
        """The store of a machine that was started anew."""
        self.catalog.note("boot", 12345)
        return Machine(folder)


def test_files_without_a_row_are_swept_at_the_next_start_and_no_others(tmp_path: Path) -> None:
    before = Machine(tmp_path)
    kept, replaced = before.put(b"kept", b"x"), before.put(b"a", b"old")
    before.put(b"a", b"new")
    stray = before.contents.new()
    os.close(before.contents.create(stray))

    now = Machine(tmp_path)
    fresh = now.contents.new()  # being written while the sweep goes on
    os.close(now.contents.create(fresh))

    assert now.durability.sweep() == 2
    assert not any(Path(now.contents.path(gone)).exists() for gone in (stray, replaced))
    assert all(Path(now.contents.path(there)).exists() for there in (kept, fresh))


def test_a_replaced_file_goes_only_once_its_successor_is_on_the_disk_and_nobody_reads_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    first = machine.put(b"a", b"first")
    slices = machine.catalog.get(1, b"a").slices(0, 5)
    with machine.contents.reading(slices):
        machine.put(b"a", b"second")
        assert Path(machine.contents.path(first)).exists()
        machine.bring_to_disk()
        assert Path(machine.contents.path(first)).exists()
        assert not machine.durability.due()
    assert not Path(machine.contents.path(first)).exists()


def test_after_a_power_failure_what_is_not_whole_is_dropped(tmp_path: Path) -> None:
    before = Machine(tmp_path)
    before.durability.drop_what_is_not_whole()
    for key in (b"whole", b"cut", b"gone"):
        before.put(key, b"12345")
    os.truncate(before.contents.path(before.catalog.get(1, b"cut").file), 2)
    Path(before.contents.path(before.catalog.get(1, b"gone").file)).unlink()

    assert before.durability.drop_what_is_not_whole() == []  # the machine still runs: nothing is looked at
    now = before.restarted(tmp_path)

    assert sorted(now.durability.drop_what_is_not_whole()) == [b"cut", b"gone"]
    assert now.catalog.find(1, b"whole") is not None
    assert now.catalog.find(1, b"cut") is None


def test_after_a_power_failure_a_key_falls_back_to_what_was_replaced(tmp_path: Path) -> None:
    before = Machine(tmp_path)
    before.durability.drop_what_is_not_whole()
    before.put(b"a", b"earliest")
    before.bring_to_disk()
    assert before.catalog.last_replaced() == 0
    earlier = {key: before.put(key, b"first") for key in (b"a", b"b")}
    before.bring_to_disk()
    assert before.catalog.last_replaced() == 0  # what replaced it is on the disk
    cut = [before.put(b"a", b"second"), before.put(b"b", b"second"), before.put(b"b", b"third"), before.put(b"c", b"x")]
    for number in cut:
        os.truncate(before.contents.path(number), 0)

    now = before.restarted(tmp_path)

    assert sorted(now.durability.drop_what_is_not_whole()) == [b"a", b"b", b"c"]
    assert {key: now.catalog.get(1, key).file for key in (b"a", b"b")} == earlier
    assert now.catalog.find(1, b"c") is None
    now.bring_to_disk()
    now.durability.sweep()
    assert all(Path(now.contents.path(number)).read_bytes() == b"first" for number in earlier.values())


def test_what_had_reached_the_disk_is_never_dropped(tmp_path: Path) -> None:
    before = Machine(tmp_path)
    before.durability.drop_what_is_not_whole()
    files = {key: before.put(key, b"12345") for key in (b"whole", b"taken")}
    before.bring_to_disk(later_ms=120_000)
    before.catalog.note("synced_before", before.contents.new())
    files[b"taken over"] = before.contents.new()  # not brought to the disk, though its time is earlier
    before.catalog.put("b", b"taken over", Stored(files[b"taken over"], 5, "etag", 0))
    Path(before.contents.path(files[b"taken"])).unlink()

    now = before.restarted(tmp_path)

    assert now.durability.drop_what_is_not_whole() == [b"taken over"]
    assert now.catalog.find(1, b"taken") is not None


def test_nothing_is_dropped_while_the_disk_of_the_contents_is_not_there(tmp_path: Path) -> None:
    before = Machine(tmp_path)
    before.durability.drop_what_is_not_whole()
    number = before.put(b"old", b"12345")
    before.bring_to_disk(later_ms=120_000)
    before.put(b"new", b"12345")
    (tmp_path / "contents").rename(tmp_path / "elsewhere")

    now = before.restarted(tmp_path)
    for _ in range(2):
        with pytest.raises(InputError, match="none of the 1 objects is there"):
            now.durability.drop_what_is_not_whole()
    shard = Path(now.contents.path(number)).parent
    shard.rmdir()
    shard.write_text("no folder")
    with pytest.raises(InputError, match=r"cannot be looked at: \[Errno 20\]"):
        now.durability.drop_what_is_not_whole()

    (tmp_path / "contents").rename(tmp_path / "empty")
    (tmp_path / "elsewhere").rename(tmp_path / "contents")
    now = Machine(tmp_path)
    assert now.durability.drop_what_is_not_whole() == []
    assert now.durability.sweep() == 0
    assert now.catalog.find(1, b"old") and now.catalog.find(1, b"new")


def test_files_of_an_upload_that_is_completed_meanwhile_are_named(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put(b"a", b"first")
    part = machine.contents.new()
    machine.catalog.connection.execute("INSERT INTO parts VALUES ('id', 1, ?, 5, 'etag', 0, '')", (part,))

    with closing(connect(tmp_path / "catalog.sqlite")) as connection:
        named = named_files(connection)
        found = [next(named)]
        with machine.catalog.transaction() as writing:
            machine.catalog.insert(1, b"b", Stored(0, 5, "etag", 0, parts=((part, 5),)))
            writing.execute("DELETE FROM parts")
        found += named
        assert part in found
        assert part in set(named_files(connection))


def test_the_sweep_leaves_what_a_row_on_the_disk_may_name_and_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Machine(tmp_path)
    numbers = [before.put(key, b"12345") for key in (b"replaced before", b"replaced meanwhile", b"replaced while read")]
    now = Machine(tmp_path)
    read = now.catalog.get(1, b"replaced while read").slices(0, 5)
    synced: list[int] = []
    monkeypatch.setattr(durability, "_syncfs", lambda _: synced.append(now.put(b"replaced meanwhile", b"new")))
    with now.contents.reading(read):
        now.put(b"replaced before", b"new")
        now.put(b"replaced while read", b"new")
        now.durability.sweep()
        assert len(synced) == 1
        assert [Path(now.contents.path(number)).exists() for number in numbers] == [False, True, True]


def test_a_failed_checkpoint_fails_no_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    machine = Machine(tmp_path)
    first = machine.put(b"a", b"first")
    machine.put(b"a", b"second")
    monkeypatch.setattr(durability, "CHECKPOINT_BYTES", 0)
    monkeypatch.setattr(durability, "connect", full)

    machine.bring_to_disk()

    assert not Path(machine.contents.path(first)).exists()
    assert "database or disk is full" in caplog.text


def test_files_to_be_removed_are_kept_in_mind_when_a_sync_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = HomePaths.of(tmp_path)
    paths.create()
    Identity.create().write(paths.cloud_file)
    monkeypatch.setattr(process, "SECONDS", 0.01)
    store = process.StoreProcess(paths)
    gone = store._contents.new()
    os.close(store._contents.create(gone))
    store._contents.forget([gone])
    calls = iter([OSError(errno.EIO, "syncfs"), None, None, None])

    def sync(_: int) -> None:
        if error := next(calls, None):
            raise error

    async def keep() -> None:
        task = asyncio.create_task(store._keep_on_disk())
        deadline = time.monotonic() + 20
        while Path(store._contents.path(gone)).exists() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    monkeypatch.setattr(durability, "_syncfs", sync)
    asyncio.run(keep())
    for one in store._sockets:
        one.close()
    assert not Path(store._contents.path(gone)).exists()


def test_a_reader_holds_up_no_checkpoint_and_no_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    machine.put(b"a", b"first")
    monkeypatch.setattr(durability, "CHECKPOINT_BYTES", 0)
    with closing(connect(tmp_path / "catalog.sqlite")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM objects").fetchone()
        machine.put(b"b", b"second")
        started = time.monotonic()
        machine.durability.sync()
        machine.put(b"c", b"third")
        assert time.monotonic() - started < 15  # a reader is waited for for 30 s


def test_a_disk_that_takes_a_piece_in_part_cuts_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, write = Machine(tmp_path), os.write
    source, copy = machine.put(b"a", body(1, 200_000)), machine.contents.new()
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data[:98_304])))

    digest = copying._copy(machine.contents, Slices(((source, 0, 200_000),)), copy)

    assert digest == hashlib.md5(Path(machine.contents.path(copy)).read_bytes()).hexdigest()


def test_numbers_of_files_are_never_given_twice(tmp_path: Path) -> None:
    first = Machine(tmp_path).contents.new()

    assert Machine(tmp_path).contents.new() >= first + 2**32


def test_a_cut_file_is_an_error_and_no_short_body(own: Embedded) -> None:
    client = own.client()
    client.create_bucket(Bucket="kept")
    client.put_object(Bucket="kept", Key="a", Body=b"12345")
    with sqlite3.connect(own.paths.store_catalog) as connection:
        (number,) = connection.execute("SELECT file FROM objects WHERE key = ?", (b"a",)).fetchone()
    os.truncate(own.paths.store_contents / f"{number % 256:02x}" / f"{number:x}", 2)

    with pytest.raises(client.exceptions.ClientError, match="InternalError"):
        client.get_object(Bucket="kept", Key="a")


def test_memory_stays_small_whatever_the_size_of_an_object(own: Embedded, tmp_path: Path) -> None:
    client, file = own.client(), tmp_path / "big"
    client.create_bucket(Bucket="kept")
    with file.open("wb") as out:
        for n in range(30):
            out.write(body(n, 10_000_000))
    client.upload_file(str(file), "kept", "big")
    client.put_object(Bucket="kept", Key="whole", Body=file.open("rb"))
    client.download_file("kept", "whole", str(tmp_path / "again"))

    assert (tmp_path / "again").stat().st_size == file.stat().st_size
    assert own.memory_kib() < 150_000
