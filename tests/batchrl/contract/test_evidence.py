"""When a log says enough of a policy: one threshold at a time, and nothing said of numbers that are not known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from batchrl.contract import columns
from batchrl.contract.evidence import Evidence, doubt_of_carrying

ENOUGH = Evidence(40_000, 1238, largest=0.001, tail=0.3, informative=420, logged_informative=9000, carrying=700)


def test_enough_is_no_share_of_the_episodes() -> None:
    assert ENOUGH.doubt is None
    assert (
        Evidence(40_000, 30, largest=0.04, tail=0.7, informative=10, logged_informative=10, carrying=20).doubt is None
    )
    assert Evidence(60, 60).doubt is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("effective", 0.0, "all 40000 weights are 0"),
        ("effective", 29.9, "the effective sample size is 29.9 of 40000 episodes, below 30"),
        ("largest", 0.01, "the heaviest of 40000 episodes is 12% of the sum of squared weights, more than 5%"),
        ("tail", 0.71, "heavy tail (Pareto shape 0.71"),
        ("informative", 9.9, "only 9.9 effective ones have a return other than the most common one"),
        ("logged_informative", 9, "only 9 of 40000 returns differ from the most common one"),
        ("carrying", 19.9, "known from 19.9 effective episodes, fewer than 20"),
    ],
)
def test_each_number_is_doubted_for_itself(name: str, value: float, said: str) -> None:
    doubt = replace(ENOUGH, **{name: value}).doubt
    assert doubt is not None and said in doubt
    if name != "effective":
        assert replace(ENOUGH, **{name: math.nan}).doubt is None


def test_the_words_are_those_of_the_log() -> None:
    of_decisions = replace(ENOUGH, unit="decision", outcome="reward")
    for change in ({"effective": 2.0}, {"largest": 0.5}, {"tail": 0.9}, {"informative": 1}, {"carrying": 3.0}):
        assert "decisions" in (replace(of_decisions, **change).doubt or "")
    assert "9 of 40000 rewards" in (replace(of_decisions, logged_informative=9).doubt or "")


def test_an_error_that_nothing_tells_of_is_not_doubted() -> None:
    assert doubt_of_carrying(math.nan) is None


def test_a_row_of_the_csv_says_the_same() -> None:
    cells = {
        columns.OPE_EPISODES: 40_000,
        columns.PAIRED_ESS: 1238,
        columns.PAIRED_MAX_WEIGHT: 0.001,
        columns.PAIRED_TAIL_SHAPE: 0.3,
        columns.PAIRED_INFORMATIVE: 420,
        columns.LOGGED_INFORMATIVE: 9000,
        columns.PAIRED_CARRYING: 700,
    }
    assert Evidence.of_paired_score(cells) == ENOUGH
    assert Evidence.of_paired_score({}).doubt is not None
