"""A loop as people see it: table, sentences, picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_loops import Bench, FakeSteps, settings_of

from batchrl.contract.divided import Returns
from launcher.cli.commands.iterate import COLUMNS
from launcher.cli.output import table
from launcher.iterate import picture, state
from launcher.iterate.gate import Level, alpha_spent
from launcher.iterate.report import LoopReport, interval, notes, with_error
from launcher.iterate.step_files import Round

OUTCOMES = {1: ("undecided", "promoted"), 2: ("kept out",), 3: ("undecided", "doubtful"), 4: ("promoted",)}


def reported(bench: Bench, rounds: int = 4, planned: int = 4) -> LoopReport:
    """A loop of which some rounds are done."""
    bench.run(FakeSteps(OUTCOMES), rounds)
    state.publish_json(bench.folder.root / state.LOOP, settings_of().to_json())
    bench.folder.plan(planned)
    return LoopReport.of(bench.folder)


def test_the_table_and_what_stands_below_fit_80_columns(bench: Bench) -> None:
    report = reported(bench)
    lines = [*table(report.rows(), COLUMNS, 80), *report.lines()]
    text = "\n".join(lines)
    paths = [line for line in lines if line.startswith(("job", "model", "serve", "picture"))]
    assert max(len(line) for line in lines if line not in paths) <= 80 and len(paths) == 4
    assert lines[0].split() == ["ROUND", "INCUMBENT", "RETURN", "+-", "S.E.", "DIFFERENCE", "DECISION", "EVALUATED"]
    assert "promoted*" in lines[1] and "kept out" in lines[2] and "undecided*" in lines[3]
    assert "cannot tell" in lines[3] and "1.25" not in lines[3]
    assert "180.5 +- 2.5" in lines[1] and "+1.25 [0.5, 2]" in lines[1]
    assert all(f"Round {number}. " in text for number in range(1, 5))
    assert "Incumbent policy: round 4's policy." in text and "is held to 0.05, over all rounds" in text.replace(
        "\n  ", " "
    )
    assert [note.split()[:3] for note in notes(report.rounds)] == [["DIFFERENCE", "is", "of"], ["*", "by", "a"]]
    assert all(len(note) <= 80 for note in notes(report.rounds))
    (note,) = notes(report.rounds[1:2])
    assert "discounted returns" in note and list(notes([])) == []


def test_figures_of_any_size_keep_the_table_within_80_columns(bench: Bench) -> None:
    report = reported(bench, rounds=1)
    (record,) = report.rounds
    for mean in (-12345.678, -0.012345, 0.0, 198.7654):
        wide = replace(record.collected, everything=Returns(500, 100_000, mean, abs(mean) / 100))
        rows = replace(report, rounds=[replace(record, collected=wide)]).rows()
        assert max(map(len, table(rows, COLUMNS, 80))) <= 80


def test_as_json_a_loop_has_everything(bench: Bench) -> None:
    report = reported(bench)
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert (values["name"], values["rounds_planned"], values["in_place"]) == ("loop", 4, 4)
    assert values["model"].endswith("round_04/model") and values["picture"].endswith("rounds.png")
    assert [record["decision"]["outcome"] for record in values["rounds"]] == [
        "promoted",
        "kept out",
        "undecided",
        "promoted",
    ]
    assert values["alpha_spent"] == pytest.approx(values["alpha"])


@pytest.mark.parametrize(
    ("done", "step"),
    [
        ((), "collecting"),
        ((state.COLLECTED,), "training"),
        ((state.COLLECTED, state.TRAINED, state.GATE_LOG), "the gate"),
        ((state.COLLECTED, state.TRAINED, state.DECISION), "evaluating"),
    ],
)
def test_a_loop_that_is_not_done_says_where_it_is(bench: Bench, done: tuple[str, ...], step: str) -> None:
    report = reported(bench, rounds=2)
    folder = bench.folder.round(3)
    folder.root.mkdir()
    for name in done:
        folder.publish(name, {})
    assert f"2 of 4 rounds are done, round 3 is at {step}." in list(report.lines())


def test_a_loop_without_a_round_has_no_picture_and_its_first_policy_in_place(bench: Bench) -> None:
    bench.folder.root.mkdir()
    state.publish_json(bench.folder.root / state.LOOP, settings_of().to_json())
    bench.folder.plan(3)
    report = LoopReport.of(bench.folder)
    assert list(report.lines()) == ["Incumbent policy: uniform.", "0 of 3 rounds are done."]
    assert report.to_json()["picture"] is None and report.to_json()["model"] is None


def test_rounds_that_are_added_cost_confidence_and_the_report_says_so(bench: Bench) -> None:
    bench.run(FakeSteps(OUTCOMES), 2)
    report = reported(bench, rounds=4)
    # Two rounds at 0.05 / 4 a look, two at 0.05 / 8.
    assert alpha_spent(report.rounds, with_canary=True) == pytest.approx(0.075)
    text = " ".join(" ".join(report.lines()).split())
    assert "is held to 0.075: above the 0.05 that was asked for, since rounds were added" in text


@pytest.mark.parametrize(("with_canary", "looks"), [(True, 10), (False, 5)])
def test_every_look_has_an_equal_share_of_alpha(with_canary: bool, looks: int) -> None:
    level = Level(0.05, 5, with_canary)
    assert level.looks == looks and level.alpha_of_a_look == pytest.approx(0.05 / looks)


def test_numbers_that_are_not_there_are_dashes() -> None:
    nothing = {"value": None, "lower": None, "upper": None}
    assert (interval(nothing), with_error(None, None), with_error(2.5, None)) == ("-", "-", "2.5")
    assert interval({"value": 2.0, "lower": None, "upper": None}) == "+2"
    assert interval({"value": 2.0, "lower": 1.0, "upper": None}) == "+2 [1, inf]"
    assert interval({"value": 2.0, "lower": None, "upper": 3.0}) == "+2 [-inf, 3]"


def doubted(record: Round) -> Round:
    """The round with a last look that could tell nothing, far from all others."""
    look = {**record.decision.looks[-1], "doubt": "too few", "outcome": "undecided"}
    look["difference"] = {"value": 1e9, "lower": None, "upper": None, "standard_error": None}
    open_above = {**record.decision.looks[-1], "difference": {"value": 0.5, "lower": 0.2, "upper": None}}
    return replace(record, decision=replace(record.decision, looks=(look, open_above)))


@pytest.mark.parametrize("rounds", [1, 4])
def test_the_picture_shows_any_number_of_rounds(bench: Bench, tmp_path: Path, rounds: int) -> None:
    records = list(reported(bench).rounds)[:rounds]
    for number, shown in enumerate((records, [*records[:-1], doubted(records[-1])])):
        drawn = picture.draw("loop", shown, tmp_path / f"{number}.png")
        content = drawn.read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 10_000
    bare = [replace(record, evaluated=replace(record.evaluated, mean_return=None)) for record in records]
    assert picture.draw("loop", bare, tmp_path / "bare.svg").read_text().startswith("<?xml")
