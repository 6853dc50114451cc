"""What a choice among candidates comes to, in words."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.reporting.tuned import verdict
from launcher.reports.deciding import episodes_needed, would_decide


def choice(**changes: Any) -> dict[str, Any]:
    look = {
        "alpha": 0.05,
        "confidence": 0.95,
        "difference": {"value": 0.5, "lower": -0.2, "upper": 1.2, "standard_error": 0.4},
        "doubt": None,
        "episodes": 50,
        "logged_return": {"value": 3.0},
    }
    found = {
        "alpha": 0.05,
        "betting_bound": None,
        "episodes": {"all": 500, "ranked_on": 450, "unseen": 50},
        "logged": {"mean": 3.0, "deviation": 2.0, "episodes": 500},
        "look": look,
        "pick": "a",
        "promoted": None,
        "reason": "Undecided: a gain or a loss.",
    }
    if changes.get("look", {}) is not None:
        look.update(changes.pop("look", {}))
    return {**found, **changes}


def test_the_episodes_that_would_show_the_gain_follow_from_its_error() -> None:
    log, canary = would_decide(choice())
    # 50 (2.4865 0.4 / 0.5)^2 = 197.8
    assert "198 unseen episodes" in log and "1,980 in all" in log
    assert f"{episodes_needed(0.5, 2.0)} episodes of the pick" in canary and canary.startswith("Or a canary")


@pytest.mark.parametrize("look", [{"doubt": "all weights are 0"}, {"difference": {"value": -0.5, "standard_error": 1}}])
def test_a_canary_decides_where_the_log_says_nothing_or_no_gain(look: dict[str, Any]) -> None:
    (canary,) = would_decide(choice(look=look))
    assert canary.startswith("A canary would decide: 310 episodes") and "a gain of 0.4" in canary


def test_nothing_is_left_to_decide_where_one_is_promoted() -> None:
    assert would_decide(choice(promoted="a")) == []


def test_the_pick_stands_beside_the_logging_policy() -> None:
    lines = verdict(choice(betting_bound=-0.7))
    assert lines[0] == "Pick: a"
    assert "+0.50 [-0.20, 1.20] over the logging policy's 3, on 50 episodes" in lines[1]
    assert "at least -0.7" in lines[2]
    assert lines[3:] == ["Keep what you have.", "Undecided: a gain or a loss."]
    none = verdict(choice(look={"difference": {"value": None, "lower": None, "upper": None, "standard_error": None}}))
    assert none[1].startswith("What it gains over the logging policy's 3 cannot be estimated")
    assert "Promote a." in verdict(choice(promoted="a"))


def test_candidates_that_no_method_ranks_leave_what_there_is() -> None:
    unranked = choice(pick=None, look=None, reason="No method could rank the candidates.")
    assert verdict(unranked) == ["Keep what you have.", "No method could rank the candidates."]
    assert "methods that fit this log" in would_decide(unranked)[0]
