"""A job's folder is removed, whatever the job made of it."""

from __future__ import annotations

import os
from pathlib import Path

from launcher.local.host.trees import remove_tree


def test_a_tree_too_deep_for_descriptors_and_calls_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    here = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert remove_tree(tmp_path / "tree") is None
    assert not list(tmp_path.iterdir())


def test_a_link_is_removed_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("../other")
    (tmp_path / "top").symlink_to("other")
    assert remove_tree(tmp_path / "tree") is None and remove_tree(tmp_path / "top") is None
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert (tmp_path / "other" / "file").exists()


def test_nothing_is_left_of_nothing(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "absent") is None
