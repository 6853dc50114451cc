from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import botocore.exceptions
import pytest

from batchrl.contract import sync
from batchrl.contract.download import download_prefix, relative_path
from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import MANIFEST_NAME, Manifest, sha256_of
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.published import load_manifest, read_published
from batchrl.contract.sync import FolderUploader

PREFIX = S3Url("bucket", "job/output/intermediate")


@pytest.fixture
def errors() -> list[tuple[str, Exception]]:
    return []


@pytest.fixture
def uploader(s3, tmp_path, errors):
    return FolderUploader(
        s3, tmp_path, PREFIX, with_manifest=True, on_error=lambda path, error: errors.append((path, error))
    )


def key(path: str) -> str:
    return (PREFIX / path).key


def test_A107_keys_keep_the_relative_path(s3, tmp_path, uploader):
    (tmp_path / "gifs").mkdir()
    (tmp_path / "gifs" / "a b.gif").write_bytes(b"gif")
    (tmp_path / "ope.csv").write_bytes(b"1")
    assert uploader.drain(5)
    assert s3.objects[key("gifs/a b.gif")] == b"gif"
    assert s3.objects[key("ope.csv")] == b"1"


def test_payload_first_manifest_last(s3, tmp_path, uploader):
    (tmp_path / "ope.csv").write_bytes(b"1")
    uploader.drain(5)
    assert s3.puts == [key("ope.csv"), key(MANIFEST_NAME)]
    assert load_manifest(s3, PREFIX).files["ope.csv"].sha256 == sha256_of(b"1")


def test_a_manifest_that_cannot_be_read_now_lists_every_file_in_the_end(s3, tmp_path, uploader, monkeypatch):
    """The first read of the manifest fails: the file that was sent just before was never listed."""
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    failures = [OSError("the store is away")]

    def load(client, folder):
        if failures:
            raise failures.pop()
        return load_manifest(client, folder)

    monkeypatch.setattr("batchrl.contract.sync.load_manifest", load)
    assert uploader.drain(5)
    assert not failures
    assert set(load_manifest(s3, PREFIX).files) == {"a", "b"}


def point(folder: Path, name: str, checkpoint: str) -> None:
    """Write a pointer as a job does: beside it, then in its place."""
    whole = folder / f"{name}.tmp"
    whole.write_text(json.dumps({"checkpoint": checkpoint}))
    whole.replace(folder / name)


@pytest.fixture
def held(s3) -> tuple[threading.Event, threading.Event]:
    """Checkpoints are not taken before the second event; the first says that one is on its way."""
    sent, go = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name.endswith(".pt"):
            sent.set()
            assert go.wait(10)

    s3.before_put = hold
    return sent, go


@pytest.mark.parametrize("name", ["latest.json", "best.json"])
def test_a_pointer_goes_up_after_the_checkpoint_that_it_names(s3, tmp_path, uploader, held, name):
    sent, go = held
    (tmp_path / "epoch_0001.pt").write_bytes(b"weights " * 100)
    point(tmp_path, name, "epoch_0001.pt")
    uploader.step()
    assert sent.wait(10)
    for _ in range(5):
        assert not uploader.step()
    assert key(name) not in s3.objects
    go.set()
    assert uploader.drain(10)
    assert [each for each in s3.puts if each != key(MANIFEST_NAME)] == [key("epoch_0001.pt"), key(name)]


def test_a_pointer_that_is_replaced_while_it_is_looked_at_never_names_what_never_went_up(
    s3, tmp_path, uploader, monkeypatch
):
    """Its writer replaces it, then removes the checkpoint that it named, which no pass has uploaded yet."""
    point(tmp_path, "best.json", "epoch_0003.pt")
    (tmp_path / "epoch_0008.pt").write_bytes(b"8")
    look, put, bodies = JobFolder.stat, s3.put_object, []

    def looks_late(folder, path):
        if path == "epoch_0003.pt":
            point(tmp_path, "best.json", "epoch_0008.pt")
        return look(folder, path)

    def remembers(**arguments):
        bodies.append((arguments["Key"], bytes(arguments["Body"])))
        put(**arguments)

    monkeypatch.setattr(JobFolder, "stat", looks_late)
    monkeypatch.setattr(s3, "put_object", remembers)
    uploader.step()
    assert uploader.drain(5)
    assert [body for name, body in bodies if name == key("best.json")] == [b'{"checkpoint": "epoch_0008.pt"}']


def test_a_pointer_waits_for_the_checkpoint_as_it_is_now(s3, tmp_path, uploader, held):
    sent, go = held
    (tmp_path / "epoch_0001.pt").write_bytes(b"restored")
    uploader.assume_uploaded()
    (tmp_path / "epoch_0001.pt").write_bytes(b"another " * 100)
    point(tmp_path, "latest.json", "epoch_0001.pt")
    uploader.step()
    assert sent.wait(10)
    assert not uploader.step()
    assert key("latest.json") not in s3.objects
    go.set()
    assert uploader.drain(10)
    assert s3.objects[key("epoch_0001.pt")] == b"another " * 100
    assert key("latest.json") in s3.objects


@pytest.mark.parametrize(
    "content", [b'{"checkpoint": "epoch_0009.pt"}', b"{}", b"not JSON", b'{"checkpoint": 3}', b"[1]"]
)
def test_a_pointer_to_nothing_that_is_here_goes_up_at_once(s3, tmp_path, uploader, content):
    (tmp_path / "latest.json").write_bytes(content)
    assert uploader.drain(5)
    assert s3.objects[key("latest.json")] == content


def test_nothing_is_sent_twice(s3, tmp_path, uploader):
    (tmp_path / "ope.csv").write_bytes(b"1")
    while not uploader.step():
        pass
    sent = list(s3.puts)
    assert uploader.drain(5)
    assert s3.puts == sent


def test_A108_files_renamed_into_place_are_seen(s3, tmp_path, uploader):
    (tmp_path / "ope.csv.tmp").write_bytes(b"half")
    assert uploader.step()
    assert not s3.puts
    (tmp_path / "ope.csv.tmp").rename(tmp_path / "ope.csv")
    assert uploader.drain(5)
    assert s3.objects[key("ope.csv")] == b"half"


def test_A61_deleted_files_stay_in_the_store(s3, tmp_path, uploader):
    (tmp_path / "a").write_bytes(b"1")
    while not uploader.step():
        pass
    (tmp_path / "a").unlink()
    assert uploader.drain(5)
    assert key("a") in s3.objects


def test_a_failed_upload_is_told_and_tried_again(s3, tmp_path, uploader, errors):
    failures = iter([True, True, False])

    def fail(_: str) -> None:
        if next(failures, False):
            raise botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    s3.before_put = fail
    (tmp_path / "a").write_bytes(b"1")
    assert uploader.drain(10)
    assert [path for path, _ in errors] == ["a", "a"]
    assert s3.objects[key("a")] == b"1"
    assert "a" in load_manifest(s3, PREFIX).files


def test_drain_gives_up_at_its_deadline(s3, tmp_path, uploader):
    def fail(_: str) -> None:
        raise OSError("down")

    s3.before_put = fail
    (tmp_path / "a").write_bytes(b"1")
    assert not uploader.drain(0.1)


def test_a_file_that_changes_while_it_is_sent_is_sent_again(s3, tmp_path, uploader):
    file = tmp_path / "a"
    file.write_bytes(b"first")
    changed = threading.Event()

    def change(sent: str) -> None:
        if sent == key("a") and not changed.is_set():
            changed.set()
            file.write_bytes(b"second, longer")

    s3.before_put = change
    assert uploader.drain(5)
    assert s3.objects[key("a")] == b"second, longer"
    assert load_manifest(s3, PREFIX).files["a"].sha256 == sha256_of(b"second, longer")


def test_a_large_file_is_streamed_and_listed(s3, tmp_path, uploader, monkeypatch):
    monkeypatch.setattr(sync, "WHOLE_READ_BYTES", 10)
    (tmp_path / "model").write_bytes(b"x" * 1000)
    assert uploader.drain(5)
    assert load_manifest(s3, PREFIX).files["model"].sha256 == sha256_of(b"x" * 1000)


def test_a_large_file_that_is_written_to_while_it_is_sent_makes_no_object(s3, tmp_path, uploader, monkeypatch):
    monkeypatch.setattr(sync, "WHOLE_READ_BYTES", 10)
    file = tmp_path / "model"
    file.write_bytes(b"first, and long")
    changed = threading.Event()

    def change(sent: str) -> None:
        if sent == key("model") and not changed.is_set():
            changed.set()
            file.write_bytes(b"second, and longer")

    s3.before_put = change
    assert uploader.drain(5)
    assert s3.puts.count(key("model")) == 1
    assert s3.objects[key("model")] == b"second, and longer"
    assert len(s3.begun) == 2
    assert not s3.parts


def test_a_large_file_that_is_removed_while_it_is_sent_stands_in_the_store(s3, tmp_path, uploader, monkeypatch):
    """As a script does that keeps its last few checkpoints."""
    monkeypatch.setattr(sync, "WHOLE_READ_BYTES", 10)
    (tmp_path / "epoch_0001.pt").write_bytes(b"weights " * 10)
    s3.before_put = lambda sent: (tmp_path / "epoch_0001.pt").unlink(missing_ok=True)
    uploader.step()
    assert uploader.drain(5)
    assert s3.objects[key("epoch_0001.pt")] == b"weights " * 10
    assert load_manifest(s3, PREFIX).files["epoch_0001.pt"].sha256 == sha256_of(b"weights " * 10)


def test_a_large_file_is_hashed_only_where_a_manifest_lists_it(s3, tmp_path, monkeypatch):
    monkeypatch.setattr(sync, "WHOLE_READ_BYTES", 10)
    hashed: list[bool] = []
    put_file = sync.put_file
    monkeypatch.setattr(sync, "put_file", lambda *a, **more: hashed.append(more["hashed"]) or put_file(*a, **more))
    (tmp_path / "model").write_bytes(b"x" * 1000)
    for with_manifest in (False, True):
        FolderUploader(s3, tmp_path, PREFIX, with_manifest=with_manifest, on_error=lambda path, error: None).drain(5)
    assert hashed == [False, True]


def test_files_are_held_by_the_few(s3, tmp_path, uploader, monkeypatch):
    """While the store takes nothing, the larger files, the fewer of them are held."""
    monkeypatch.setattr(sync, "SMALL_BYTES", 10)
    for number in range(10):
        (tmp_path / f"small {number}").write_bytes(b"1")
        (tmp_path / f"medium {number}").write_bytes(b"1" * 11)
    go, began = threading.Event(), []
    s3.before_put = lambda name: began.append(name) or (go.wait(10) and None)
    uploader.step()
    deadline = time.monotonic() + 10
    while len(began) < 10 + sync.MEDIUM_AT_ONCE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sum("medium" in name for name in began) == sync.MEDIUM_AT_ONCE
    assert sum("small" in name for name in began) == 10
    go.set()
    assert uploader.drain(10)


def test_many_small_files_cost_few_manifests_and_the_last_lists_them_all(s3, tmp_path, uploader):
    for number in range(200):
        (tmp_path / f"{number}").write_bytes(b"1")
    s3.before_put = lambda name: time.sleep(0.02) if name.endswith(MANIFEST_NAME) else None
    assert uploader.drain(30)
    assert s3.puts.count(key(MANIFEST_NAME)) < 50
    assert s3.puts[-1] == key(MANIFEST_NAME)
    assert len(load_manifest(s3, PREFIX).files) == 200


def test_a_second_attempt_keeps_what_the_first_published(s3, tmp_path, uploader, errors):
    (tmp_path / "a").write_bytes(b"1")
    uploader.drain(5)
    other = tmp_path.parent / f"{tmp_path.name}-second"
    other.mkdir()
    (other / "b").write_bytes(b"2")
    second = FolderUploader(s3, other, PREFIX, with_manifest=True, on_error=lambda path, error: None)
    second.drain(5)
    assert set(load_manifest(s3, PREFIX).files) == {"a", "b"}


def test_restored_files_are_not_sent_back(s3, tmp_path, uploader):
    (tmp_path / "epoch_0001.pt").write_bytes(b"1")
    uploader.assume_uploaded()
    assert uploader.drain(5)
    assert not s3.puts


def test_a_torn_body_is_never_returned(s3, tmp_path, uploader):
    (tmp_path / "ope.csv").write_bytes(b"0123456789")
    uploader.drain(5)
    torn = iter([3, 0, 7])
    s3.on_get = lambda name, body: body[: next(torn, len(body))] if name == key("ope.csv") else body
    assert read_published(s3, PREFIX, "ope.csv", pause=0) == b"0123456789"


def test_a_torn_manifest_is_read_again(s3, tmp_path, uploader):
    (tmp_path / "ope.csv").write_bytes(b"0123456789")
    uploader.drain(5)
    torn = iter([5, 40])
    s3.on_get = lambda name, body: body[: next(torn, len(body))] if name == key(MANIFEST_NAME) else body
    assert read_published(s3, PREFIX, "ope.csv", pause=0) == b"0123456789"


def test_a_body_that_stays_torn_is_an_error(s3, tmp_path, uploader):
    (tmp_path / "ope.csv").write_bytes(b"0123456789")
    uploader.drain(5)
    s3.on_get = lambda name, body: body[:-1] if name == key("ope.csv") else body
    with pytest.raises(DamagedContent, match=r"ope\.csv"):
        read_published(s3, PREFIX, "ope.csv", attempts=3, pause=0)


def test_without_a_manifest_two_reads_must_agree(s3):
    s3.objects[key("ope.csv")] = b"0123456789"
    torn = iter([3])
    s3.on_get = lambda name, body: body[: next(torn, len(body))]
    assert read_published(s3, PREFIX, "ope.csv", pause=0) == b"0123456789"


def test_a_missing_object_is_told_at_once(s3):
    with pytest.raises(botocore.exceptions.ClientError):
        read_published(s3, PREFIX, "ope.csv")


@pytest.mark.parametrize("cut", [0, 1, 10, -1, -2])
def test_a_cut_manifest_is_refused(cut):
    manifest = Manifest()
    manifest.publish("a", 1, sha256_of(b"1"))
    with pytest.raises(DamagedContent):
        Manifest.from_bytes(manifest.to_bytes()[:cut])


def test_a_changed_manifest_is_refused():
    manifest = Manifest()
    manifest.publish("a", 1, sha256_of(b"1"))
    with pytest.raises(DamagedContent, match="digest"):
        Manifest.from_bytes(manifest.to_bytes().replace(b'"size": 1', b'"size": 2'))


@pytest.mark.parametrize(
    ("name", "prefix", "expected"),
    [
        ("train/a/b.csv", "train", "a/b.csv"),
        ("train.csv", "train", "train.csv"),
        ("train/train/b.csv", "train", "train/b.csv"),
        ("a/b.csv", "", "a/b.csv"),
        ("train/a/b.csv", "train/", "a/b.csv"),
        ("x/train/a.csv", "x/train", "a.csv"),
        ("x/train-2/a.csv", "x/train", "train-2/a.csv"),
        ("train-2/x", "train", "train-2/x"),
        ("x/data.csv", "x/data.csv", "data.csv"),
        ("x/folder/", "x/", None),
        ("x/folder/", "x/folder", None),
    ],
)
def test_A48_A49_path_is_the_key_without_the_prefix_and_a_slash_or_without_its_folder(name, prefix, expected):
    assert relative_path(name, prefix) == expected


def test_two_keys_are_never_one_file(s3, tmp_path):
    s3.objects = {"d/train/train-2": b"1", "d/train-2": b"2"}
    with pytest.raises(InputError, match=r"'d/train-2' and 'd/train/train-2' would both be the file 'train-2'"):
        download_prefix(s3, S3Url("bucket", "d/train"), tmp_path)


@pytest.mark.parametrize("name", ["a/../../etc/passwd", "a//etc/passwd", "a/..", "a/b//c"])
def test_a_key_never_leaves_its_folder(name):
    with pytest.raises(InputError, match="cannot be a file"):
        relative_path(name, "a/")


def test_a_prefix_is_downloaded_whole(s3, tmp_path):
    s3.objects = {f"d/part-{i}/x.csv": bytes([i]) * i for i in range(5)} | {"d/empty/": b""}
    download_prefix(s3, S3Url("bucket", "d/"), tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {f"part-{i}/x.csv" for i in range(5)}
    assert (tmp_path / "part-4" / "x.csv").read_bytes() == bytes([4]) * 4


def test_a_key_that_is_file_and_folder_is_refused(s3, tmp_path):
    s3.objects = {"d/a": b"1", "d/a/b": b"2"}
    with pytest.raises(InputError, match="is an object itself"):
        download_prefix(s3, S3Url("bucket", "d/"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_download_cut_short_is_tried_again(s3, tmp_path):
    s3.objects = {"d/a": b"0123456789"}
    torn = iter([3, 5])
    s3.on_get = lambda name, body: body[: next(torn, len(body))]
    download_prefix(s3, S3Url("bucket", "d/"), tmp_path)
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_download_that_stays_short_leaves_no_file(s3, tmp_path):
    s3.objects = {"d/a": b"0123456789"}
    s3.on_get = lambda name, body: body[:3]
    with pytest.raises(DamagedContent, match="d/a"):
        download_prefix(s3, S3Url("bucket", "d/"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_links_that_leave_are_not_followed_and_named(s3, tmp_path, uploader):
    (tmp_path / "secret").symlink_to("/etc/passwd")
    (tmp_path / "up").symlink_to("..")
    os.mkfifo(tmp_path / "pipe")
    assert uploader.drain(5)
    assert not s3.puts
    assert uploader.left_out == {
        "secret": "a link that leaves its folder",
        "up": "a link that leaves its folder",
        "pipe": "neither a file nor a folder",
    }


def test_links_that_stay_are_uploaded_as_what_they_lead_to(s3, tmp_path, uploader):
    (tmp_path / "epoch3").mkdir()
    (tmp_path / "epoch3" / "state.ckpt").write_bytes(b"3")
    (tmp_path / "epoch4.ckpt").write_bytes(b"4")
    (tmp_path / "last.ckpt").symlink_to("epoch4.ckpt")
    (tmp_path / "last").symlink_to(tmp_path / "epoch3")
    assert uploader.drain(5)
    assert s3.objects[key("last.ckpt")] == b"4"
    assert s3.objects[key("last/state.ckpt")] == b"3"
    assert load_manifest(s3, PREFIX).files["last.ckpt"].sha256 == sha256_of(b"4")


def test_a_link_that_leads_elsewhere_now_is_uploaded_again(s3, tmp_path, uploader):
    for number in (1, 2):
        (tmp_path / f"{number}.ckpt").write_bytes(b"%d" % number)
        (tmp_path / "next").symlink_to(f"{number}.ckpt")
        (tmp_path / "next").replace(tmp_path / "last.ckpt")
        while not uploader.step():
            time.sleep(0.01)
        assert s3.objects[key("last.ckpt")] == b"%d" % number


@pytest.mark.parametrize("size", [10, sync.WHOLE_READ_BYTES + 1])
def test_a_file_that_becomes_a_link_out_while_it_is_sent_is_not_followed(s3, tmp_path, uploader, size):
    (tmp_path / "outside").mkdir()
    folder = tmp_path / "job"
    folder.mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"s" * size)
    watched = FolderUploader(s3, JobFolder(tmp_path, "job"), PREFIX, with_manifest=False, on_error=lambda *_: None)
    (folder / "file").write_bytes(b"x" * size)

    def replace_all(put: str) -> None:
        (folder / "file").unlink(missing_ok=True)
        (folder / "file").symlink_to(tmp_path / "outside" / "secret")

    s3.before_put = replace_all
    watched.step()
    assert watched.drain(5)
    assert s3.objects == {key("file"): b"x" * size}


def test_a_name_that_no_key_can_have_is_told_at_once_and_the_others_go_up(s3, tmp_path, uploader, errors):
    (tmp_path / os.fsdecode(b"bad\xff")).write_text("x")
    deep = tmp_path.joinpath(*["d" * 200] * 6)
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    (tmp_path / "good").write_text("x")
    started = time.monotonic()
    assert not uploader.drain(60)
    assert time.monotonic() - started < 10
    assert s3.objects[key("good")] == b"x"
    assert len(uploader.unpublished()) == len(errors) == 2
    told = sorted(str(error) for _, error in errors)
    assert "bad\\xff is no key: the name is not UTF-8" in told[0] and "S3 takes 1,024" in told[1]


def test_a_pass_that_fails_does_not_end_the_sync(s3, tmp_path, errors, monkeypatch):
    uploader = FolderUploader(
        s3, tmp_path, PREFIX, with_manifest=False, on_error=lambda path, error: errors.append((path, error))
    )
    (tmp_path / "a").write_text("a")
    step, stop = uploader.step, threading.Event()
    monkeypatch.setattr(uploader, "step", lambda: step() if errors else (_ for _ in ()).throw(MemoryError("now")))
    thread = threading.Thread(target=uploader.run, args=(stop, 0.01))
    thread.start()
    deadline = time.monotonic() + 10
    while key("a") not in s3.objects and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    thread.join()
    assert s3.objects[key("a")] == b"a"


def test_a_folder_that_does_not_exist_yet_is_no_error(s3, errors):
    waiting = FolderUploader(
        s3, Path("/nonexistent/folder"), PREFIX, with_manifest=False, on_error=lambda path, error: errors.append(error)
    )
    assert waiting.drain(1)
    assert not errors


def test_a_drain_gives_up_soon_where_the_store_refuses_everything(s3, tmp_path, monkeypatch):
    monkeypatch.setattr(sync, "REFUSED_SECONDS", 0.1)
    answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def refuse(key):
        raise botocore.exceptions.ClientError(answer, "PutObject")

    s3.before_put = refuse
    (tmp_path / "a").write_text("a")
    uploader = FolderUploader(s3, tmp_path, S3Url("b", "p"), with_manifest=True, on_error=lambda path, error: None)
    started = time.monotonic()
    assert not uploader.drain(60)
    assert time.monotonic() - started < 10
    assert uploader.unpublished() == ["a"]


@pytest.mark.parametrize(("took", "pause"), [(0.0001, 0.2), (0.01, 1.0), (60.0, sync.LONGEST_PAUSE)])
def test_the_longer_a_look_takes_the_rarer_it_is(s3, uploader, monkeypatch, took, pause):
    """Thousands of files that stand there cost a training no more than a few."""
    clock = iter(range(1000))
    monkeypatch.setattr(sync.time, "thread_time", lambda: took * next(clock))

    class Stop(threading.Event):
        def __init__(self) -> None:
            super().__init__()
            self.waited: list[float] = []

        def wait(self, timeout: float | None = None) -> bool:
            self.waited.append(timeout)
            return len(self.waited) == 3

    stop = Stop()
    uploader.run(stop, 0.2)
    assert stop.waited == [0.2, pytest.approx(pause), pytest.approx(pause)]
