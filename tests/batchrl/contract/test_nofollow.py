"""What a job wrote is read without a way out of its folder."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from batchrl.contract import nofollow
from batchrl.contract.errors import InputError
from batchrl.contract.nofollow import MOST_LEVELS, JobFolder, LeftOut


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "top" / "ml" / "model"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    return folder


def folder_of(job: Path, *known_as: str) -> JobFolder:
    return JobFolder(job.parent.parent, "ml/model", known_as)


@pytest.mark.parametrize("level", ["ml", "model"])
def test_a_folder_that_is_a_link_is_a_fault_that_names_it(job: Path, tmp_path: Path, level: str) -> None:
    place = job if level == "model" else job.parent
    place.rename(tmp_path / "moved")
    place.symlink_to(tmp_path)
    folder = folder_of(job)
    with pytest.raises(InputError, match=f"'{level}' is a link to .*, which is not followed"):
        folder.list()
    with pytest.raises(InputError):
        folder.read("secret")


def test_a_folder_that_is_a_file_is_a_fault_and_one_that_is_gone_is_empty(job: Path) -> None:
    job.rmdir()
    assert not folder_of(job).list().files
    job.write_text("x")
    with pytest.raises(InputError, match="'model' is no folder"):
        folder_of(job).list()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../../../secret", "leaves its folder"),
        ("/etc/passwd", "leaves its folder"),
        ("..", "leaves its folder"),
        ("/opt/ml/modelled/x", "leaves its folder"),
        ("/opt/ml/model/../x", "leaves its folder"),
        ("missing", "leads nowhere"),
        ("link", "leads in a circle"),
        ("file/more", "leads nowhere"),
        (".", "leads in a circle"),
    ],
)
def test_a_link_that_is_not_followed_is_named(job: Path, target: str, reason: str) -> None:
    (job / "file").write_text("x")
    (job / "link").symlink_to(target)
    folder = folder_of(job, "/opt/ml/model")
    listing = folder.list()
    assert list(listing.files) == ["file"]
    assert reason in listing.left_out["link"]
    if target != ".":
        with pytest.raises(LeftOut, match=reason):
            folder.read("link")


def test_links_that_stay_are_what_they_lead_to(job: Path) -> None:
    (job / "deep" / "er").mkdir(parents=True)
    (job / "deep" / "er" / "file").write_text("content")
    (job / "one").symlink_to("deep/er/file")
    (job / "two").symlink_to("/opt/ml/model/one")
    (job / "three").symlink_to(job / "deep" / "er" / ".." / "er" / "file")
    (job / "folder").symlink_to("deep")
    folder = folder_of(job, "/opt/ml/model")
    listing = folder.list()
    assert not listing.left_out and not listing.faults
    assert set(listing.files) == {"deep/er/file", "one", "two", "three", "folder/er/file"}
    assert {folder.read(path) for path in listing.files} == {b"content"}
    assert len({info.st_ino for info in listing.files.values()}) == 1


def test_folders_behind_links_behind_links_do_not_multiply(job: Path) -> None:
    for number in range(12):
        (job / str(number)).mkdir()
        for name in "ab":
            (job / str(number) / name).symlink_to(f"../{number + 1}")
    (job / "12").mkdir()
    (job / "12" / "file").write_text("x")
    listing = folder_of(job).list()
    assert set(listing.files) == {"12/file", "11/a/file", "11/b/file"}
    assert "a link to a folder, below another link" in listing.left_out["0/a/b"]


def test_many_links_to_one_folder_do_not_fill_the_memory(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nofollow, "MOST_LINKED", 100)
    (job / "all").mkdir()
    for number in range(40):
        (job / "all" / str(number)).touch()
        (job / f"link{number:02}").symlink_to("all")
    found = folder_of(job).list()
    assert len(found.files) <= 100 + 40
    assert {f"all/{number}" for number in range(40)} <= found.files.keys(), "what lies there itself is listed"
    assert found.left_out.keys() <= {f"link{number:02}" for number in range(40)}
    assert len(found.left_out) >= 37


def test_pipes_and_sockets_are_never_opened(job: Path) -> None:
    os.mkfifo(job / "pipe")
    (job / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(job, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        folder = folder_of(job)
        assert set(folder.list().left_out) == {"pipe", "link", "socket"}
        for name in ("pipe", "link", "socket"):
            with pytest.raises(LeftOut, match="neither a file nor a folder"):
                folder.read(name)


def test_what_is_half_written_is_listed_only_as_it_lies(job: Path) -> None:
    (job / "a.tmp").write_text("x")
    (job / "loop").symlink_to(".")
    assert not folder_of(job).list().files
    listing = folder_of(job).list(as_it_lies=True)
    assert list(listing.files) == ["a.tmp"] and listing.links == {"loop": "."}


def test_folders_beyond_all_depth_are_named(job: Path) -> None:
    here = os.open(job, os.O_RDONLY)
    for _ in range(150):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (job / "file").write_text("x")
    listing = folder_of(job).list()
    names = list(listing.left_out)
    assert [name.count("/") for name in names] == [MOST_LEVELS - 1]
    assert list(listing.files) == ["file"]


def test_a_folder_that_is_swapped_with_a_link_all_the_time_never_leads_out(job: Path, tmp_path: Path) -> None:
    """The race that a lexical check loses: the folder is looked at, then replaced, then opened."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("secret")
    (job / "a").mkdir()
    (job / "a" / "file").write_text("own")
    (job / "b").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (job / "a").rename(job / "c")
            (job / "b").rename(job / "a")
            (job / "a").rename(job / "b")
            (job / "c").rename(job / "a")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                seen.add(folder_of(job).read("a/file"))
            except (LeftOut, FileNotFoundError, NotADirectoryError, OSError):
                continue
    finally:
        stop.set()
        thread.join()
    assert seen <= {b"own"} and seen
