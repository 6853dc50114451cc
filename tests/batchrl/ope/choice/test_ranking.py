"""The combination of members: ranks, ties, what is discarded and what is doubted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.choice.members import Member
from batchrl.ope.choice.ranking import Candidate, mean_correlation, rank_candidates, ranks_of
from batchrl.ope.choice.steps import Conduct, Fit
from batchrl.ope.report.ranking import Ranking
from batchrl.ope.study.possible import PossibleValues

RETURNS = np.array([0.0, 1.0, 2.0, 1.0, 1.0, 1.0])
STEPS = len(RETURNS)


def log(actions: int = 2) -> Dataset:
    """Six decisions that are worth 1 in the mean."""
    states = np.arange(STEPS, dtype=np.float32)[:, None]
    return Dataset(
        states=states,
        actions=np.arange(STEPS) % 2,
        rewards=RETURNS,
        next_states=states,
        terminal=np.ones(STEPS, np.bool_),
        behavior_policy=np.full((STEPS, actions), 1 / actions),
        offsets=np.arange(STEPS + 1),
        episode_ids=tuple(map(str, range(STEPS))),
        state_columns=("f",),
    )


def says(name: str, values: Sequence[float], logging: float = 1.0, growth: float | None = None) -> Member:
    """A member that has found such values of the candidates, and of the logging policy."""

    def fit(dataset: Dataset, policies: Sequence[Conduct], discount: float, seed: int) -> Fit:
        found = np.array([*values, logging])[: len(policies)] if len(policies) > 1 else np.array([logging])
        return Fit(found, None if growth is None else np.full(len(policies), growth))

    return Member(name, f"the values {values}", fit)


def ranked(*members: Member, count: int = 3, dataset: Dataset | None = None) -> Ranking:
    data = log() if dataset is None else dataset
    candidates = [
        Candidate(
            "abcdef"[number], "greedy", Conduct(np.eye(data.n_actions)[[number % 2] * STEPS], np.zeros((STEPS, 2)))
        )
        for number in range(count)
    ]
    possible = PossibleValues.of([data], 1.0)
    return rank_candidates(data, candidates, 1.0, 0, possible, "values", "all episodes", members)


def order(ranking: Ranking) -> str:
    return "".join(place.source for place in ranking.places)


def test_ranks_share_the_mean_of_what_ties_span() -> None:
    np.testing.assert_array_equal(ranks_of(np.array([3.0, 1.0, 2.0])), [3, 1, 2])
    np.testing.assert_array_equal(ranks_of(np.array([5.0, 1.0, 5.0, 5.0, 9.0])), [3, 1, 3, 3, 5])
    rng = np.random.default_rng(0)
    scores = rng.integers(5, size=40).astype(float)
    plain = [(scores < s).sum() + ((scores == s).sum() + 1) / 2 for s in scores]
    np.testing.assert_array_equal(ranks_of(scores), plain)


def test_agreement_is_spearmans_correlation() -> None:
    one, other = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
    assert mean_correlation([one, other]) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert mean_correlation([one, one, -one]) == pytest.approx(-1 / 3)
    assert np.isnan(mean_correlation([one]))
    assert np.isnan(mean_correlation([one, np.ones(5)]))


def test_candidates_stand_by_the_mean_of_their_ranks() -> None:
    found = ranked(
        says("network", [1.2, 1.1, 0.9]), says("knn", [1.3, 1.1, 1.0]), says("squares", [1.0, 1.1, 0.9], growth=0.5)
    )
    assert order(found) == "abc"
    assert [place.rank for place in found.places] == [1, 2, 3]
    assert found.places[0].mean_rank == pytest.approx(4 / 3)
    assert not found.doubts
    assert found.to_json()["reliable"]


def test_equal_candidates_share_a_rank_and_the_first_place_is_doubted() -> None:
    found = ranked(says("network", [1.2, 1.2, 0.9]), says("knn", [1.3, 1.3, 1.0]))
    assert [place.rank for place in found.places] == [1, 1, 3]
    assert "a and b share the first place" in found.doubts[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (says("squares", [9.0, 1.0, 1.1]), "beyond what the log allows"),
        (says("squares", [1.0, np.nan, 1.1]), "not finite"),
        (says("squares", [1.5, 1.0, 1.1], growth=1.35), "diverges: errors grow by a factor of 1.35"),
        (says("squares", [1.0, 1.05, 1.1], logging=0.0), "misses the logging policy's known value by 1"),
    ],
    ids=["range", "finite", "growth", "logging"],
)
def test_a_member_that_fails_a_check_does_not_count_and_is_told(wrong: Member, said: str) -> None:
    found = ranked(wrong, says("network", [1.2, 1.1, 0.9]), says("knn", [1.2, 1.1, 1.0]))
    assert order(found) == "abc"
    assert set(found.places[0].ranks) == {"network", "knn"}
    (discarded,) = (member for member in found.members if member.discarded is not None)
    assert discarded.name == "squares"
    assert said in (discarded.discarded or "")


def test_a_member_that_refuses_the_log_is_told() -> None:
    def refuses(dataset: Dataset, policies: Sequence[Conduct], discount: float, seed: int) -> Fit:
        raise InputError("too few updates.")

    found = ranked(Member("network", "", refuses), says("knn", [1.2, 1.1, 1.0]))
    assert found.members[0].discarded == "too few updates"
    assert "Only one method passed its checks (knn)" in found.doubts[0]


def test_no_member_no_ranking() -> None:
    found = ranked(says("knn", [np.inf, 1.0, 1.0]))
    assert not found.places
    assert "not ranked" in found.doubts[0]
    assert found.to_json()["policies"] == []


def test_members_that_disagree_are_told() -> None:
    found = ranked(says("network", [1.2, 1.1, 0.9]), says("knn", [0.9, 1.1, 1.2]))
    assert any("do not confirm each other: their mean rank correlation is -1.00" in doubt for doubt in found.doubts)
    assert found.to_json()["reliable"] is False


def test_a_first_place_that_half_of_the_members_deny_is_told() -> None:
    found = ranked(
        *(says(name, [1.4, 1.5, 1.1, 1.0, 0.9]) for name in ("network", "knn")),
        *(says(name, [1.5, 1.2, 1.3, 1.0, 0.9]) for name in ("squares", "cubics")),
        count=5,
    )
    assert order(found)[0] == "a"
    assert found.doubts == ["Half of the methods or more put b before a."]


def test_linear_members_alone_are_told() -> None:
    found = ranked(says("squares", [1.2, 1.1, 0.9]), says("cubics", [1.2, 1.1, 0.9]))
    assert any("Neither network nor knn" in doubt for doubt in found.doubts)


def test_actions_that_no_step_took_are_told() -> None:
    data = log(actions=3)
    never = Candidate("bold", "greedy", Conduct(np.eye(3)[[2] * STEPS], np.eye(3)[[2] * STEPS]))
    known = Candidate("careful", "greedy", Conduct(np.eye(3)[[1] * STEPS], np.eye(3)[[1] * STEPS]))
    members = (says("network", [1.2, 1.0]), says("knn", [1.2, 1.0]))
    possible = PossibleValues.of([data], 1.0)
    found = rank_candidates(data, [never, known], 1.0, 0, possible, "values", "all", members)
    assert found.doubts == ["bold takes actions that no step of the log took in 100% of the states."]


def test_no_value_is_shown() -> None:
    text = str(ranked(says("network", [1.234, 1.111, 0.987]), says("knn", [1.234, 1.111, 0.987])).to_json())
    assert "1.234" not in text.replace("the values [1.234", "")


def test_on_a_log_with_cut_episodes_the_logging_policy_is_valued_to_the_cut() -> None:
    data = log()
    cut = replace(data, terminal=np.zeros(STEPS, np.bool_))
    seen: list[bool] = []

    def fit(dataset: Dataset, policies: Sequence[Conduct], discount: float, seed: int) -> Fit:
        seen.append(bool(dataset.terminal.all()))
        values: Floats64 = np.linspace(1.0, 1.2, len(policies))
        return Fit(values)

    ranked(Member("knn", "", fit), dataset=cut)
    assert seen == [False, True]
