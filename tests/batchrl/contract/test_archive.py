from __future__ import annotations

import io
import os
import tarfile
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrl.contract import archive
from batchrl.contract.archive import extract
from batchrl.contract.errors import InputError


@dataclass(frozen=True)
class Hard:
    """A member that is a hard link."""

    target: str


def make(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            elif content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif isinstance(content, Hard):
                info.type, info.linkname = tarfile.LNKTYPE, content.target
                tar.addfile(info)
            else:
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
    return path


def test_extraction_replaces_what_an_earlier_one_left(tmp_path):
    folder = tmp_path / "out"
    extract(make(tmp_path / "1.tar.gz", ("a/b.txt", b"old"), ("link", "a/b.txt")), folder)
    extract(make(tmp_path / "2.tar.gz", ("a/b.txt", b"new"), ("link", b"a file now")), folder)
    assert (folder / "a" / "b.txt").read_bytes() == b"new"
    assert (folder / "link").read_bytes() == b"a file now"
    assert not (folder / "link").is_symlink()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_nothing_is_written_outside_of_the_folder(tmp_path, name):
    folder = tmp_path / "out"
    with pytest.raises(InputError, match="leads out"):
        extract(make(tmp_path / "bad.tar.gz", (name, b"x")), folder)
    assert not (tmp_path / "x").exists()


def test_a_link_that_leads_out_is_refused(tmp_path):
    with pytest.raises(InputError, match="leads out"):
        extract(make(tmp_path / "bad.tar.gz", ("link", "../../etc")), tmp_path / "out")


ESCAPES = {
    "a file below a chain of links": [("x/y", ".."), ("p", "x/y/.."), ("p/victim.txt", b"theirs")],
    "a link below a chain of links": [("x/y", ".."), ("p", "x/y/.."), ("p/victim.txt", "x")],
    "a hard link to what a link leads to": [("x/y", ".."), ("p", "x/y/.."), ("copy", Hard("p/victim.txt"))],
    "a chain of links alone": [("x/y", ".."), ("p", "x/y/..")],
    "the folder itself as a link": [(".", "x")],
    "the folder itself as a file": [("x/..", b"x")],
    "links in a circle": [("a", "b/c"), ("b", "a/../..")],
    "a chain of links before what is refused": [("x/y", ".."), ("p", "x/y/.."), ("d/e", b""), ("d", "x")],
}


@pytest.mark.parametrize("members", ESCAPES.values(), ids=ESCAPES)
def test_no_chain_of_links_leads_out(tmp_path, members):
    (tmp_path / "victim.txt").write_text("ours")
    with pytest.raises(InputError):
        extract(make(tmp_path / "bad.tar.gz", *members), tmp_path / "out")
    assert (tmp_path / "victim.txt").read_text() == "ours"
    assert not [path for path in (tmp_path / "out").rglob("*") if leads_out(path, tmp_path / "out")]


@pytest.mark.parametrize("kind", [b"new", None, "elsewhere"], ids=["file", "folder", "link"])
def test_a_link_that_was_there_before_is_not_followed(tmp_path, kind):
    outside, folder = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (outside / "a").write_text("ours")
    folder.mkdir()
    (folder / "below").symlink_to(outside)
    extract(make(tmp_path / "good.tar.gz", ("below/a", kind), ("elsewhere", b"x")), folder)
    assert not (folder / "below").is_symlink()
    assert [path.name for path in outside.iterdir()] == ["a"]
    assert (outside / "a").read_text() == "ours"


def test_links_that_stay_inside_are_kept(tmp_path):
    members = [
        ("a/b.txt", b"content"),
        ("a/near", "b.txt"),
        ("far", "a/../a/near"),
        ("gone", "a/none"),
        ("c", Hard("a/b.txt")),
    ]
    extract(make(tmp_path / "good.tar.gz", *members), tmp_path / "out")
    assert (tmp_path / "out" / "far").read_bytes() == (tmp_path / "out" / "c").read_bytes() == b"content"
    assert (tmp_path / "out" / "gone").is_symlink()


def test_what_would_fill_a_disk_is_refused(tmp_path, monkeypatch):
    bomb = make(tmp_path / "bomb.tar.gz", *((f"{number}", bytes(100_000)) for number in range(20)))
    monkeypatch.setattr(archive, "UNPACKED_ANYWAY", 1_000_000)
    with pytest.raises(InputError, match="larger than 1,000,000 bytes"):
        extract(bomb, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 1_000_000
    deep = make(tmp_path / "deep.tar.gz", ("/".join("d" * 2_000), b"x"))
    with pytest.raises(InputError, match="2000 folders deep, more than 100"):
        extract(deep, tmp_path / "deep")
    monkeypatch.setattr(archive, "MOST_MEMBERS", 10)
    with pytest.raises(InputError, match="more than 10 members"):
        extract(make(tmp_path / "many.tar.gz", *((f"{number}", b"") for number in range(11))), tmp_path / "many")


def leads_out(path: Path, folder: Path) -> bool:
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


NAMES = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=4).map("/".join)
CONTENTS = st.sampled_from([b"1", b"2", None]) | NAMES | NAMES.map(Hard)


@given(st.lists(st.tuples(NAMES, CONTENTS), min_size=1, max_size=8), st.lists(st.tuples(NAMES, CONTENTS), max_size=3))
@example([("x/y", ".."), ("p", "x/y/.."), ("p/victim.txt", "x")], [])
def test_whatever_an_archive_holds_nothing_outside_is_touched(first, second):
    """Two archives, one after the other, into one folder; the file system says where links lead."""
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        folder = top / "a" / "out"
        (top / "a").mkdir()
        for name in ("b", "c", "a/b", "a/c"):
            (top / name).write_text("ours")
        for number, members in enumerate((first, second)):
            with suppress(InputError):
                extract(make(top / f"{number}.tar.gz", *members), folder)
            assert not [path for path in folder.rglob("*") if leads_out(path, folder)]
        outside = sorted(
            path.relative_to(top).as_posix() for path in top.rglob("*") if folder not in (path, *path.parents)
        )
        assert outside == ["0.tar.gz", "1.tar.gz", "a", "a/b", "a/c", "b", "c"]
        assert {(top / name).read_text() for name in ("b", "c", "a/b", "a/c")} == {"ours"}
        assert not [path for path in folder.rglob("*") if path.is_file() and path.read_text() == "ours"]
