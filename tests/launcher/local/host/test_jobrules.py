"""What the user allows to jobs beyond the rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrl.contract.errors import InputError
from launcher.local.host.jobrules import MAX_PROCESSES, JobRules, machine_memory


def test_the_rule_allows_nothing(tmp_path: Path) -> None:
    rules = JobRules.read(tmp_path / "job-rules.json")
    assert rules == JobRules() and not rules.calling_roles and not rules.allows_root("any")
    assert 0 < rules.memory < machine_memory()
    assert rules.max_processes == MAX_PROCESSES


def test_what_was_said_is_kept_beside_what_is_said_later(tmp_path: Path) -> None:
    file = tmp_path / "job-rules.json"
    JobRules().with_changes(calling_roles=("a", "b"), memory_bytes=5).write(file)
    JobRules.read(file).with_changes(root_images=("x/*",)).write(file)
    assert JobRules.read(file) == JobRules(("a", "b"), ("x/*",), memory_bytes=5)
    assert file.stat().st_mode & 0o777 == 0o600
    assert JobRules.read(file).allows_root("x/y:1") and not JobRules.read(file).allows_root("y/x")
    JobRules.read(file).with_changes(calling_roles=()).write(file)
    assert JobRules.read(file).calling_roles == ()


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"'])
def test_a_damaged_file_is_named_and_allows_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "job-rules.json"
    file.write_text(text)
    with pytest.raises(InputError, match="is damaged"):
        JobRules.read(file)
