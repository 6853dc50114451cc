"""The document of an estimate against the numbers that it is made of."""

from __future__ import annotations

from typing import Any

import pytest

from batchrl.contract.errors import DamagedContent
from launcher.documents import html, jsonform, markdown
from launcher.documents.model import Intervals, Table
from launcher.reporting.scored import scored_document


def figure(value: float | None, doubt: str | None = None) -> dict[str, Any]:
    ends = [None, None] if value is None else [value - 1, value + 1]
    difference = {"value": value, "lower": ends[0], "upper": ends[1], "standard_error": None}
    return {
        "value": value,
        "interval": ends,
        "lower_bound": ends[0],
        "doubt": doubt,
        "difference_doubt": None,
        "difference": difference,
        "estimand": {"horizon": "to the end of the episode"},
    }


def policy(name: str, outcome: str | None, speaking: str | None, **estimates: dict[str, Any]) -> dict[str, Any]:
    verdict = None if outcome is None else {"outcome": outcome, "estimate": speaking, "words": f"{outcome} words"}
    return {
        "policy": name,
        "source": "",
        "facts": {"epoch": 3, "masked": False},
        "episodes": 40,
        "window": None,
        "weights": {"effective_episodes": 12.5},
        "doubt": "too few",
        "verdict": verdict,
        "estimates": estimates,
    }


def values(*policies: dict[str, Any]) -> dict[str, Any]:
    logged = {"value": 2.0, "lower": 1.0, "upper": 3.0, "standard_error": 0.5}
    return {
        "format": 1,
        "baseline": "the logging policy",
        "policies": list(policies),
        "remarks": ["a remark"],
        "data": {"source": "log.csv", "sha256": "ab" * 32, "episodes": 400, "transitions": 9000},
        "scored": {"episodes": 40, "transitions": 900, "which": "the test episodes"},
        "settings": {"discount": 0.99, "confidence": 0.95, "clip": None},
        "logged": {"mean_return": 2.5, "discounted_return": logged, "estimand": {"policy": "the logging policy"}},
    }


def test_each_policy_is_drawn_by_the_estimate_that_speaks_for_it() -> None:
    better = policy("new", "better", "WIS", WIS=figure(5.0), IS=figure(None, "undefined"))
    doubted = policy("other", "unreliable", "WIS", WIS=figure(4.0, "few episodes"))
    silent = policy("third", "unreliable", None)
    document = scored_document(values(better, doubted, silent), "scored.json")
    assert document.verdict.tone == "good" and document.verdict.text == "New: better words."
    (chart,) = (one for one in document.sections[0].blocks if isinstance(one, Intervals))
    assert [(bar.value, bar.lower, bar.upper, bar.reliable) for bar in chart.bars] == [
        (5.0, 4.0, 6.0, True),
        (4.0, 3.0, 5.0, False),
        (None, None, None, False),
        (2.0, 1.0, 3.0, True),
    ]
    assert chart.reference == 2.0
    (table,) = (one for one in document.sections[1].blocks if isinstance(one, Table))
    assert [row[0] for row in table.rows] == ["WIS", "IS"] and table.rows[0][1] == "5.00 [4.00, 6.00]"
    assert table.rows[1][1] == "-" and table.rows[1][5] == "Undefined."
    for form in (html, markdown, jsonform):
        assert form.render(document)


@pytest.mark.parametrize("wrong", [None, [], "x", {}, {"format": 2}, {"format": 1}, {"format": 1, "policies": 3}])
def test_what_is_no_estimate_is_refused(wrong: object) -> None:
    with pytest.raises(DamagedContent, match=r"scored\.json is no"):
        scored_document(wrong, "scored.json")
