from __future__ import annotations

import io
import tarfile

import pytest

from batchrl.contract.archive import extract
from batchrl.contract.errors import InputError


def make(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
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
