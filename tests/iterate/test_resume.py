"""A loop that is killed anywhere, and started again, ends as one that never was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_loops import Bench, FakeSteps
from killing import Killed, Killer

from launcher.iterate.state import SCRATCH_PREFIX

# A canary that promotes, a round that the log decides, and one that stays undecided.
OUTCOMES = {1: ["undecided", "promoted"], 2: ["kept out"], 3: ["undecided", "undecided"]}
ROUNDS = 3


class DyingSteps(FakeSteps):
    """Steps that may be killed before, half way through, and after what they do."""

    killer: Killer

    def collect(self, play, target):  # type: ignore[no-untyped-def]
        self.killer.chance()
        target.write_text("half an episode")
        self.killer.chance()
        super().collect(play, target)
        self.killer.chance()

    def divide(self, source, kept, held_out, cut):  # type: ignore[no-untyped-def]
        kept.write_text("half a file")
        self.killer.chance()
        return super().divide(source, kept, held_out, cut)

    def train(self, name, data, model, training):  # type: ignore[no-untyped-def]
        self.killer.chance()
        self.jobs[name] = self.jobs.get(name, 0) or 1
        self.killer.chance()
        trained = super().train(name, data, model, training)
        self.killer.chance()
        return trained

    def judge(self, look):  # type: ignore[no-untyped-def]
        self.killer.chance()
        return super().judge(look)

    def evaluate(self, name, trained):  # type: ignore[no-untyped-def]
        self.killer.chance()
        return super().evaluate(name, trained)


def attempt(bench: Bench, at: int) -> int:
    """A run that is killed at the n-th chance; returns how many chances it had."""
    steps = DyingSteps(OUTCOMES)
    steps.killer = Killer(at)
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.suppress(Killed):
        steps.killer.arm(monkeypatch)
        bench.run(steps, ROUNDS)
    return steps.killer.count


def finished(content: dict[str, str]) -> dict[str, str]:
    """Without what killed runs left unfinished in rounds that need no sweeping any more."""
    return {name: text for name, text in content.items() if SCRATCH_PREFIX not in name and ".tmp" not in name}


def chances(folder: Path) -> Iterator[int]:
    whole = Bench(folder / "count")
    yield from range(1, attempt(whole, at=0) + 1)


def test_killed_anywhere_a_loop_ends_with_the_same_files(tmp_path: Path) -> None:
    whole = Bench(tmp_path / "whole")
    whole.run(FakeSteps(OUTCOMES), ROUNDS)
    expected = whole.content()
    tried = 0
    for at in chances(tmp_path):
        bench = Bench(tmp_path / str(at))
        attempt(bench, at)
        steps = FakeSteps(OUTCOMES)
        records = bench.run(steps, ROUNDS)
        assert [record.in_place_after for record in records] == [1, 1, 1]
        # Paths of models differ with the folder, and nothing else does.
        assert finished(bench.content()) == expected, f"killed at chance {at}"
        tried += 1
    assert tried > 100


def test_killed_at_every_turn_a_loop_still_comes_to_its_end(tmp_path: Path) -> None:
    """Each run gets a little further than the one before, and nothing that was done is done again."""
    whole, bench = Bench(tmp_path / "whole"), Bench(tmp_path / "killed")
    whole.run(FakeSteps(OUTCOMES), ROUNDS)
    runs, jobs = 0, {}
    while len(bench.folder.records()) < ROUNDS:
        steps = DyingSteps(OUTCOMES, jobs=jobs)
        steps.killer = Killer(20)
        with pytest.MonkeyPatch.context() as monkeypatch, contextlib.suppress(Killed):
            steps.killer.arm(monkeypatch)
            bench.run(steps, ROUNDS)
        runs += 1
        assert runs < 100
    assert runs > 5
    assert finished(bench.content()) == whole.content()
    assert set(jobs.values()) == {1}


def test_a_round_begins_with_what_killed_runs_left_removed(bench: Bench) -> None:
    attempt(bench, at=5)
    folder = bench.folder.round(1).root
    assert list(folder.glob(f"{SCRATCH_PREFIX}*"))
    bench.run(FakeSteps(OUTCOMES), ROUNDS)
    assert not list(bench.folder.root.rglob(f"{SCRATCH_PREFIX}*"))


def test_what_was_deployed_to_collect_is_removed_by_the_next_run(bench: Bench) -> None:
    """Killed between the last episode and the removal of the endpoint, the next run only removes it."""

    class Dies(FakeSteps):
        def tidy(self, play: Any) -> None:
            raise Killed

    with pytest.raises(Killed):
        bench.run(Dies(OUTCOMES), 1)
    steps = FakeSteps(OUTCOMES)
    bench.run(steps, 1)
    assert steps.calls[:2] == ["tidy loop-01234567-r01-collect", "divide raw.parquet"]
