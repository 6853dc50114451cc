"""The fault harness itself: what a seed means, and that the page of its table is its own."""

from __future__ import annotations

import itertools

from faults import registry, report
from faults.plan import Planned, plan
from faults.runner import Result

KINDS = registry.load()


def first(seed: int, count: int) -> list[Planned]:
    return list(itertools.islice(plan(seed, KINDS), count))


def test_a_seed_makes_the_same_faults_again() -> None:
    assert first(7, 100) == first(7, 100) != first(8, 100)
    one = first(7, 100)[41]
    assert one.random().random() == one.random().random()
    assert len({each.random().random() for each in first(7, 100)}) == 100


def test_every_kind_comes_once_in_a_deck() -> None:
    faults = first(3, 3 * len(KINDS))
    for begin in range(0, len(faults), len(KINDS)):
        assert {one.kind for one in faults[begin : begin + len(KINDS)]} == set(KINDS)


def test_the_command_of_a_fault_names_it_alone() -> None:
    assert Planned(7, 12, "kill-shim").command() == 'make faults ARGS="--seed 7 --only kill-shim --number 12"'


def test_the_page_has_a_row_for_every_kind_and_no_other() -> None:
    assert report.kinds_in(report.DOCUMENT.read_text()) == list(KINDS)


def test_the_page_shows_what_was_found() -> None:
    one, other = first(7, 2)
    page = report.document([Result(one, [("lost", "a checkpoint")]), Result(other)], KINDS, seed=7)
    assert "2 faults, 0 too late, 1 with findings" in page
    assert f"- `{one.kind}` (lost). Again: `{one.command()}`" in page
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{one.kind}`"))
    assert row.endswith("| 1 | 0 | 1 | 0 | 0 | 0 | 0 |")


def test_results_come_back_from_their_file() -> None:
    one, other = first(7, 2)
    for result in (Result(one, [("lost", "a checkpoint")], ["note"], seconds=1.5), Result(other, too_late=True)):
        again = Result.from_json(result.to_json())
        assert (again.planned, list(again.found), list(again.notes)) == (
            result.planned,
            list(result.found),
            list(result.notes),
        )
        assert (again.too_late, again.seconds, again.lack) == (result.too_late, result.seconds, result.lack)
