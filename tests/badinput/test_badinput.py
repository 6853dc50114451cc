"""A seeded part of the bad inputs; all of them: ``make badinput``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from badinput import runner
from badinput.case import KINDS, Case, kind

CASES = 500
SEED = 20261130


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_bad_input_is_refused_in_words_or_taken_and_never_a_fault_of_ours(name: str) -> None:
    share = sum(weight for weight, _ in KINDS.values())
    result = runner.run(SEED, max(5, CASES * KINDS[name][0] // share), name)
    assert result.found == []


@pytest.fixture
def bad_kind() -> Iterator[Any]:
    """A way to enter a kind that does what a test says."""

    def enter(what: Any, **fields: Any) -> tuple[str, str]:
        kind("a test", 1)(lambda chance, folder: Case("it", lambda: what(folder), (ValueError,), **fields))
        return runner.run_one("a test", 1)

    yield enter
    KINDS.pop("a test", None)


def test_the_judge_sees_a_traceback_a_wrong_success_a_write_outside_and_a_hang(
    bad_kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise ValueError("line 3: no number")

    def silent(folder: Path) -> None:
        raise ValueError

    def write(folder: Path) -> None:
        (folder.parent / "outside" / "decoy").write_text("changed")

    def wait(folder: Path) -> None:
        while True:
            pass

    assert bad_kind(refuse)[0] == "refused"
    assert bad_kind(lambda folder: None)[0] == "taken"
    assert bad_kind(silent)[0] == "traceback"
    assert bad_kind(lambda folder: [][1])[0] == "traceback"
    assert bad_kind(lambda folder: None, invalid=True)[0] == "wrong success"
    assert bad_kind(lambda folder: 5, judge=lambda result: "it is 5")[0] == "wrong success"
    assert bad_kind(write)[0] == "outside"
    monkeypatch.setattr(runner, "SECONDS", 0.2)
    assert bad_kind(wait)[0] == "hang"


def test_the_same_seed_gives_the_same_cases() -> None:
    assert list(runner.planned(7, 300)) == list(runner.planned(7, 300))
    assert {name for name, _ in runner.planned(7, 100)} == set(KINDS)
