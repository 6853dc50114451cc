"""Dataclasses as JSON and back."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from batchrl.contract.records import from_json, to_json


@dataclass(frozen=True)
class Part:
    sizes: tuple[int, ...]
    name: str | None = None


@dataclass(frozen=True)
class Whole:
    part: Part
    other: Part | None = None


@pytest.mark.parametrize("whole", [Whole(Part((1, 2), "a")), Whole(Part(()), Part((3,)))])
def test_a_record_comes_back_from_json(whole: Whole) -> None:
    assert from_json(Whole, json.loads(json.dumps(to_json(whole)))) == whole


def test_json_has_a_key_for_each_field() -> None:
    assert to_json(Whole(Part((1, 2)))) == {"part": {"sizes": [1, 2], "name": None}, "other": None}


@pytest.mark.parametrize("values", [{}, {"part": {}}, {"part": {"sizes": []}, "more": 1}])
def test_what_is_missing_or_unknown_is_a_fault(values: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        from_json(Whole, values)


def test_a_key_that_is_missing_has_its_default() -> None:
    assert from_json(Whole, {"part": {"sizes": [1]}}) == Whole(Part((1,)))
