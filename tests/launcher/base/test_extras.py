"""What an installation lacks is named, with the command that installs it."""

from __future__ import annotations

from importlib import metadata

import pytest

from batchrl.contract.errors import InputError
from launcher.base import extras

LINES = [
    "boto3<2,>=1.44",
    "docker<8,>=7.1; extra == 'local'",
    "uvloop<1,>=0.21; extra == 'job'",
    "uvloop<1,>=0.21; extra == 'local'",
    'no-such.package>=1; extra == "job"',
    "never_made>=1; extra == 'plots'",
    "batchrl[job,local]; extra == 'all'",
]


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation whose metadata lists packages that are not there."""
    monkeypatch.setattr(metadata, "requires", lambda name: LINES)


def test_the_packages_of_an_extra_are_those_of_the_metadata(listed: None) -> None:
    assert extras.packages("local") == ["docker", "uvloop"]
    assert extras.missing("local") == []
    assert extras.missing("job") == ["no-such.package"]


def test_all_that_is_missing_is_named_at_once_with_one_command(listed: None) -> None:
    extras.require("it", extras.LOCAL)
    with pytest.raises(InputError) as no:
        extras.require("it", extras.LOCAL, extras.JOB, extras.PLOTS)
    assert no.value.message == "it needs packages that are not installed: never_made, no-such.package."
    assert no.value.hint == "Install with: pip install 'batchrl[job,plots]'"


def test_without_torch_its_small_build_comes_first(listed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_installed", lambda name: False)
    hint = extras.remedy(extras.JOB)
    assert hint.index("install-torch.sh") < hint.index("pip install 'batchrl[job]'")


@pytest.mark.parametrize(
    ("module", "extra"),
    [("docker.errors", "local"), ("uvloop", "local"), ("never_made", "plots"), ("nobody", None), ("batchrl", None)],
)
def test_a_module_is_found_in_the_lightest_extra(listed: None, module: str, extra: str | None) -> None:
    assert extras.of_module(module) == extra


def test_code_that_was_never_installed_is_taken_to_be_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", none)
    extras.require("it", extras.LOCAL, extras.JOB)
    assert extras.of_module("moto") is None
