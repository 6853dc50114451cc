"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from batchrl.contract.files import TEMPORARY_SUFFIX, whole_file, write_atomically
from batchrl.contract.nofollow import JobFolder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("fault", [OSError("full"), ValueError("bad"), KeyboardInterrupt()])
@pytest.mark.parametrize("shared", [False, True])
def test_a_fault_leaves_the_old_file_alone(tmp_path: Path, fault: BaseException, shared: bool) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(type(fault)), whole_file(tmp_path / "a", shared=shared) as temporary:
        temporary.write_text("half")
        assert (tmp_path / "a").read_text() == "old"
        assert list(JobFolder(tmp_path).list().files) == ["a"]
        raise fault
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_a_block_that_writes_nothing_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_processes_that_write_at_once_have_names_of_their_own(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as one, whole_file(tmp_path / "a", shared=True) as other:
        assert one.name == f"a{TEMPORARY_SUFFIX}" and other.name == f"a.{os.getpid()}{TEMPORARY_SUFFIX}"
        one.write_text("1")
        other.write_text("2")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "1")]


def test_a_private_file_is_so_whatever_was_there(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_atomically(tmp_path / "open", "x")
        (tmp_path / f"a{TEMPORARY_SUFFIX}").write_text("of a process that was killed")
        write_atomically(tmp_path / "a", "é", private=True)
    finally:
        os.umask(old)
    assert (mode(tmp_path / "open"), mode(tmp_path / "a")) == (0o666, 0o600)
    assert (tmp_path / "a").read_bytes() == "é".encode()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("synced", "events"), [(True, ["sync", "name"]), (False, ["name"])])
def test_content_is_on_disk_before_the_name_where_it_must_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: bool, events: list[str]
) -> None:
    found: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: found.append("sync"))
    monkeypatch.setattr(Path, "replace", lambda self, target: (found.append("name"), replace(self, target))[1])
    write_atomically(tmp_path / "a", b"x", synced=synced)
    assert found == events
