"""What the user allows to jobs beyond the rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrl.contract.errors import InputError
from launcher.local.host.jobrules import MAX_PROCESSES, JobRules, check_aliases, machine_memory


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


COACH = "520713654638.dkr.ecr.us-west-2.amazonaws.com/sagemaker-rl-tensorflow:coach0.11.0-cpu-py3"


@pytest.mark.parametrize(
    "image",
    [
        COACH,
        "422961961927.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-rl-mxnet:coach0.11-gpu-py3",
        "462105765813.dkr.ecr.us-east-1.amazonaws.com/sagemaker-rl-coach-container:coach-1.0.0-tf-cpu-py3",
    ],
)
def test_our_image_runs_in_place_of_coachs_unless_another_is_said(image: str) -> None:
    assert JobRules().image_for(image, "ours") == "ours"
    assert JobRules(image_aliases=("none",)).image_for(image, "ours") == image
    assert JobRules(image_aliases=("*coach*=theirs:1", "*=other")).image_for(image, "ours") == "theirs:1"
    assert JobRules(image_aliases=("mine=theirs:1",)).image_for(image, "ours") == "ours"


@pytest.mark.parametrize(
    "image",
    [
        "batchrl:0.1.0",
        "coach:1",
        "520713654638.dkr.ecr.us-east-1.amazonaws.com/sagemaker-rl-tensorflow:ray0.6.5-cpu-py3",
        "462105765813.dkr.ecr.us-east-1.amazonaws.com/sagemaker-rl-ray-container:ray-1.6.0-tf-cpu-py37",
    ],
)
def test_other_images_run_under_their_own_name(image: str) -> None:
    assert JobRules().image_for(image, "ours") == image


def test_aliases_are_kept_and_looked_up_once(tmp_path: Path) -> None:
    file = tmp_path / "job-rules.json"
    JobRules().with_changes(image_aliases=("a=b", "b=c")).write(file)
    JobRules.read(file).with_changes(processes=100).write(file)
    assert JobRules.read(file).image_for("a", "ours") == "b"
    JobRules.read(file).with_changes(image_aliases=()).write(file)
    assert JobRules.read(file) == JobRules(processes=100)


@pytest.mark.parametrize("alias", ["", "=", "a", "a=", "=b", "a b=c", "a=b c", "a=b*", "a=b=c", "none", "a=b\n"])
def test_what_is_no_alias_is_refused_by_name(alias: str) -> None:
    check_aliases(["none"])
    check_aliases(["*/pytorch-*=registry.example:5000/mine@sha256:0a"])
    with pytest.raises(InputError, match="is no alias of an image"):
        check_aliases(["x=y", alias])
