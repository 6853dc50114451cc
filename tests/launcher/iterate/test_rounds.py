"""The story of a loop: who collects, who learns from what, and what the gate's answer changes."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise, permutations
from pathlib import Path

import pytest
from fake_loops import BEHAVIOR, Bench, FakeSteps

from batchrl.contract.errors import DamagedContent, InputError
from launcher.iterate.gate import alpha_spent
from launcher.iterate.steps import Play

PROMOTED, KEPT_OUT, UNDECIDED = ["promoted"], ["kept out"], ["undecided", "undecided"]
CANARY = ["undecided", "promoted"]


def test_a_promoted_candidate_collects_the_next_round(bench: Bench) -> None:
    steps = FakeSteps({1: PROMOTED, 2: KEPT_OUT, 3: PROMOTED})
    records = bench.run(steps, 3)
    assert [record.in_place_after for record in records] == [1, 1, 3]
    assert [play.actor.label for play in steps.plays] == ["uniform", "round 1's policy", "round 1's policy"]
    first, second, _ = (play.actor for play in steps.plays)
    assert first == BEHAVIOR and not first.softened
    assert second.policy == str(bench.folder.round(1).model.absolute()) and second.softened
    assert second.model_uri == "s3://b/loop-01234567-r01-train/model"


def test_a_round_learns_from_everything_but_what_it_holds_out(bench: Bench) -> None:
    steps = FakeSteps({1: CANARY, 2: KEPT_OUT})
    bench.run(steps, 2)
    assert steps.learnt["loop-01234567-r01-train"] == ["round_01-episodes.parquet"]
    # Held out and canary episodes of earlier rounds join.
    assert steps.learnt["loop-01234567-r02-train"] == [
        "round_01-canary.parquet",
        "round_01-episodes.parquet",
        "round_01-held_out.parquet",
        "round_02-episodes.parquet",
    ]
    assert [look.held_out.parent.name for look in steps.looks] == ["round_01", "round_01", "round_02"]
    assert all("held_out" not in " ".join(look.learnt_from) for look in steps.looks if "round_01" in str(look.model))


@pytest.mark.parametrize("name", ["episodes.parquet", "held_out.parquet", "canary.parquet"])
def test_episodes_that_were_lost_are_named_and_not_done_without(bench: Bench, name: str) -> None:
    outcomes = {1: CANARY, 2: KEPT_OUT}
    bench.run(FakeSteps(outcomes), 1)
    folder = bench.folder.round(1).root
    content = (folder / name).read_text()
    (folder / name).unlink()
    steps = FakeSteps(outcomes)
    with pytest.raises(DamagedContent, match=f"{folder / name} is missing: episodes of round 1"):
        bench.run(steps, 2)
    assert steps.learnt == {}
    (folder / name).write_text(content)
    assert len(bench.run(steps, 2)) == 2


def test_episodes_of_no_two_rounds_or_canaries_have_the_same_id(bench: Bench) -> None:
    prefixes: list[str] = []

    class Watched(FakeSteps):
        def divide(self, source, kept, held_out, cut):  # type: ignore[no-untyped-def]
            prefixes.append(cut.prefix)
            return super().divide(source, kept, held_out, cut)

    bench.run(Watched(dict.fromkeys(range(1, 12), UNDECIDED)), 11)
    assert len(prefixes) == 22
    for one, other in permutations(prefixes, 2):
        # Whatever ids a file brings along, neither prefix goes on to become the other.
        assert not one.startswith(other)


@pytest.mark.parametrize(
    ("undecided", "outcomes", "looks", "promoted"),
    [
        ("keep", ["undecided"], ["log"], False),
        ("keep", ["promoted"], ["log"], True),
        ("canary", ["promoted"], ["log"], True),
        ("canary", ["kept out"], ["log"], False),
        ("canary", ["undecided", "promoted"], ["log", "canary"], True),
        ("canary", ["undecided", "kept out"], ["log", "canary"], False),
        ("canary", ["undecided", "undecided"], ["log", "canary"], False),
        ("canary", ["doubtful", "promoted"], ["log", "canary"], True),
        ("canary", ["alike"], ["log"], False),
        ("keep", ["alike"], ["log"], False),
    ],
)
def test_who_decides_an_undecided_round(
    bench: Bench, undecided: str, outcomes: list[str], looks: list[str], promoted: bool
) -> None:
    (record,) = bench.run(FakeSteps({1: outcomes}), 1, {"gate.undecided": undecided})
    assert [look["look"] for look in record.decision.looks] == looks
    assert record.decision.promoted is promoted
    assert record.in_place_after == (1 if promoted else 0)
    assert (record.decision.canary is not None) is (looks == ["log", "canary"])
    stays = "The incumbent policy stays: uniform." in record.decision.reason
    assert stays is (record.decision.outcome == "undecided")


def test_a_canary_is_played_by_the_candidate_and_judged_with_the_same_hold_out(bench: Bench) -> None:
    steps = FakeSteps({1: CANARY})
    bench.run(steps, 1, {"gate.canary_episodes": 77})
    collect, canary = steps.plays
    assert (canary.actor.label, canary.episodes, canary.name) == ("round 1's policy", 77, "loop-01234567-r01-canary")
    assert canary.seed != collect.seed
    assert [look.held_out for look in steps.looks] == [bench.folder.round(1).held_out] * 2
    assert steps.looks[1].canary == bench.folder.round(1).canary


@pytest.mark.parametrize(("undecided", "looks"), [("keep", 4), ("canary", 8)])
def test_alpha_is_shared_out_among_all_looks(bench: Bench, undecided: str, looks: int) -> None:
    steps = FakeSteps(dict.fromkeys(range(1, 5), UNDECIDED))
    records = bench.run(steps, 4, {"gate.undecided": undecided, "gate.alpha": 0.08})
    assert {look.alpha for look in steps.looks} == {0.08 / looks}
    assert {record.decision.looks_planned for record in records} == {looks}
    assert {record.decision.alpha_of_a_look for record in records} == {0.08 / looks}


def test_a_round_keeps_its_level_when_the_number_of_rounds_changes_inside_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between its looks, and gone on with for 20 rounds: the second look and the record have the first one's."""

    def killed(self: FakeSteps, play: Play, target: Path) -> None:
        raise KeyboardInterrupt

    steps = FakeSteps(dict.fromkeys(range(1, 21), UNDECIDED))
    collect = FakeSteps.collect
    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(FakeSteps, "collect", lambda *args: (killed if steps.looks else collect)(*args))
        bench.run(steps, 1)
    assert [look.alpha for look in steps.looks] == [0.05 / 2]
    records = bench.run(steps, 20)
    assert [look.alpha for look in steps.looks[:2]] == [0.05 / 2] * 2
    assert [look.alpha for look in steps.looks[2:]] == [0.05 / 40] * 38
    first, second = (record.decision for record in records[:2])
    assert (first.alpha_of_a_look, first.looks_planned) == (0.05 / 2, 2)
    assert (second.alpha_of_a_look, second.looks_planned) == (0.05 / 40, 40)
    assert alpha_spent(records, with_canary=True) == pytest.approx(sum(look.alpha for look in steps.looks))


def test_what_was_spent_is_what_the_looks_used_and_a_canary_that_was_not_needed(bench: Bench) -> None:
    (record,) = bench.run(FakeSteps({1: KEPT_OUT}), 1)
    assert alpha_spent([record], with_canary=True) == pytest.approx(0.05)
    (look,) = record.decision.looks
    decision = replace(record.decision, looks=({**look, "alpha": 0.001},), alpha_of_a_look=0.01)
    assert alpha_spent([replace(record, decision=decision)], with_canary=True) == pytest.approx(0.011)
    assert alpha_spent([replace(record, decision=decision)], with_canary=False) == pytest.approx(0.001)


def test_seeds_of_rounds_and_purposes_differ_and_follow_from_the_loops(bench: Bench, tmp_path: Path) -> None:
    steps, again, other = (FakeSteps({1: UNDECIDED, 2: UNDECIDED}) for _ in range(3))
    bench.run(steps, 2)
    Bench(tmp_path / "again").run(again, 2)
    Bench(tmp_path / "other").run(other, 2, {"seed": 1})
    seeds = [play.seed for play in steps.plays] + [look.seed for look in steps.looks]
    assert len(set(seeds)) == 8 and all(0 <= seed < 2**31 for seed in seeds)
    assert [play.seed for play in again.plays] == [play.seed for play in steps.plays]
    assert not {play.seed for play in other.plays} & set(seeds)


def test_a_file_is_the_first_round_and_must_be_of_the_policy_in_place(bench: Bench, tmp_path: Path) -> None:
    data = tmp_path / "logged.csv"
    data.write_text("logged\n")

    class Watched(FakeSteps):
        def divide(self, source, kept, held_out, cut):  # type: ignore[no-untyped-def]
            self.calls.append(f"logged by {cut.logged_by.label if cut.logged_by else None}")
            return super().divide(source, kept, held_out, cut)

    steps = Watched({1: PROMOTED, 2: KEPT_OUT})
    records = bench.run(steps, 2, data=str(data))
    assert [play.name for play in steps.plays] == ["loop-01234567-r02-collect"]
    assert [call for call in steps.calls if call.startswith("logged")] == ["logged by uniform", "logged by None"]
    assert (records[0].collected.source, records[0].collected.seed) == (str(data), None)
    assert (records[1].collected.source, records[1].collected.seed is None) == (None, False)
    assert data.read_text() == "logged\n"


def test_raw_episodes_are_not_kept_twice(bench: Bench) -> None:
    bench.run(FakeSteps({1: CANARY}), 1)
    names = set(bench.content(bench.folder.round(1).root))
    assert {"episodes.parquet", "held_out.parquet", "canary.parquet"} <= names
    assert not [name for name in names if name.startswith("raw")]


@pytest.mark.parametrize(
    ("overrides", "outcome", "evaluations", "note"),
    [
        ({}, PROMOTED, 1, ""),
        ({}, KEPT_OUT, 1, "it was not promoted"),
        ({"evaluate.candidates": "promoted"}, KEPT_OUT, 0, "not evaluated: it was not promoted"),
        ({"evaluate.candidates": "promoted"}, PROMOTED, 1, ""),
        ({"evaluate.preset": None}, PROMOTED, 0, "not evaluated: the loop names no simulator"),
    ],
)
def test_which_candidates_are_evaluated(
    bench: Bench, overrides: dict[str, object], outcome: list[str], evaluations: int, note: str
) -> None:
    steps = FakeSteps({1: outcome})
    (record,) = bench.run(steps, 1, overrides)
    assert len([call for call in steps.calls if call.startswith("evaluate")]) == evaluations
    assert record.evaluated.note == note
    assert (record.evaluated.mean_return is None) is (evaluations == 0)


def test_more_rounds_may_be_asked_for_and_not_fewer(bench: Bench) -> None:
    outcomes = dict.fromkeys(range(1, 4), UNDECIDED)
    first = bench.run(FakeSteps(outcomes), 2)
    steps = FakeSteps(outcomes)
    records = bench.run(steps, 3)
    assert records[:2] == first and [play.name for play in steps.plays] == [
        "loop-01234567-r03-collect",
        "loop-01234567-r03-canary",
    ]
    assert records[2].decision.alpha_of_a_look < records[1].decision.alpha_of_a_look
    assert bench.run(FakeSteps({}), 3) == records
    with pytest.raises(InputError, match="3 rounds are done already"):
        bench.run(FakeSteps({}), 2)
    assert bench.folder.planned_rounds() == 3


def test_what_is_told_has_at_most_80_columns_and_names_what_happened(bench: Bench) -> None:
    said: list[str] = []
    bench.run(FakeSteps({1: CANARY, 2: UNDECIDED}), 2, said=said)
    text = "\n".join(said)
    assert max(map(len, said)) <= 80
    assert (
        "Round 1 of 2: uniform is the incumbent policy" in text
        and "Round 2 of 2: round 1's policy is the incumbent policy" in text
    )
    for part in (
        "collected 100 episodes, 100 held out",
        "epoch 3 of 5",
        "Promoted:",
        "Undecided:",
        "evaluated, greedy",
    ):
        assert part in re.sub(r"\s+", " ", text)


def test_steps_come_in_their_order(bench: Bench) -> None:
    steps = FakeSteps({1: CANARY})
    bench.run(steps, 1)
    assert steps.calls == [
        "collect loop-01234567-r01-collect",
        "tidy loop-01234567-r01-collect",
        "divide raw.parquet",
        "train loop-01234567-r01-train",
        "judge log",
        "collect loop-01234567-r01-canary",
        "tidy loop-01234567-r01-canary",
        "divide raw_canary.parquet",
        "judge canary",
        "evaluate loop-01234567-r01-evaluate",
    ]


def test_records_are_read_back_as_they_were(bench: Bench) -> None:
    records = bench.run(FakeSteps({1: CANARY, 2: UNDECIDED, 3: KEPT_OUT}), 3)
    assert bench.folder.records() == records
    assert all(before.number + 1 == after.number for before, after in pairwise(records))
