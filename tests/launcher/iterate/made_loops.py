"""Loops whose rounds are done, made without their work."""

from __future__ import annotations

from pathlib import Path

from fake_loops import Bench, FakeSteps, settings_of

from launcher.iterate import state
from launcher.iterate.report import LoopReport

OUTCOMES = {1: ("undecided", "promoted"), 2: ("kept out",), 3: ("undecided", "doubtful"), 4: ("promoted",)}


def reported(folder: Path, rounds: int, planned: int = 4) -> LoopReport:
    bench = Bench(folder)
    if rounds:
        bench.run(FakeSteps(OUTCOMES), rounds)
    else:
        folder.mkdir(exist_ok=True)
    bench.folder.root.mkdir(parents=True, exist_ok=True)
    state.publish_json(bench.folder.root / state.LOOP, settings_of().to_json())
    bench.folder.plan(planned)
    return LoopReport.of(bench.folder)
