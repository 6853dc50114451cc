"""A loop that is killed anywhere, and started again, ends as one that never was."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_loops import Bench, FakeSteps, plain_settings
from killing import Killed, Killer

from batchrl.contract.paths import TRAINING_CHANNEL, TRAINING_SUMMARY_NAME
from launcher.api.joboptions import JobOptions
from launcher.iterate import attempts
from launcher.iterate.state import SCRATCH_PREFIX
from launcher.iterate.work import Work
from launcher.jobs.status import JobStatus

# A canary that promotes, and a round that the log decides.
OUTCOMES = {1: ["undecided", "promoted"], 2: ["kept out"]}
ROUNDS = 2


class TrainedJob:
    """A training job that is waited for and pulled, a file at a time."""

    def __init__(self, name: str, content: str, killer: Killer) -> None:
        self.name, self.content, self.killer = name, content, killer
        self.model_uri, self.checkpoint_uri = f"s3://b/{name}/model", f"s3://b/{name}/checkpoints"

    def status(self) -> JobStatus:
        self.killer.chance()
        return JobStatus("Completed", "Completed")

    def wait(self, timeout: float | None = None, logs: object = False, check: bool = True) -> JobStatus:
        return self.status()

    def stop(self) -> bool:
        return False

    def pull(self, folder: Path, what: str, unpack: bool) -> None:
        place = folder / "output" / {"model": "model", "output": "data"}[what]
        place.mkdir(parents=True)
        summary = {"epochs": 5, "best": {"epoch": 3, "reason": "the best score"}}
        for name, text in (("weights", self.content), (TRAINING_SUMMARY_NAME, json.dumps(summary))):
            self.killer.chance()
            (place / name).write_text(text)
        self.killer.chance()


class PullingWork(Work):
    """The work of a training, with jobs that the steps remember."""

    def __init__(self, steps: PullingSteps) -> None:
        super().__init__(plain_settings(), Path(), lambda text: None)
        self.steps = steps

    def _run(self, name: str, options: JobOptions, script: str, channels: Mapping[str, str]) -> Any:
        jobs, killer = self.steps.jobs, self.steps.killer
        files = sorted(Path(channels[TRAINING_CHANNEL]).iterdir())
        content = "".join(f"{path.name}: {path.read_text()}" for path in files)

        def find(attempt: str) -> TrainedJob | None:
            killer.chance()
            return TrainedJob(attempt, content, killer) if attempt in jobs else None

        def start(attempt: str, before: TrainedJob | None) -> TrainedJob:
            killer.chance()
            jobs[attempt] = jobs.get(attempt, 0) + 1
            killer.chance()
            return TrainedJob(attempt, content, killer)

        return attempts.run(name, find, start, lambda text: None)


class PullingSteps(FakeSteps):
    """Steps that train as ``Work`` does: a job is found or started, waited for and pulled."""

    killer = Killer(0)

    def train(self, name, data, model, training):  # type: ignore[no-untyped-def]
        return PullingWork(self).train(name, data, model, training)


class DyingSteps(PullingSteps):
    """Steps that may be killed before, half way through, and after what they do."""

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
    whole.run(PullingSteps(OUTCOMES), ROUNDS)
    expected = whole.content()
    tried = 0
    for at in chances(tmp_path):
        bench = Bench(tmp_path / str(at))
        attempt(bench, at)
        records = bench.run(PullingSteps(OUTCOMES), ROUNDS)
        assert [record.in_place_after for record in records] == [1, 1]
        # Paths of models differ with the folder, and nothing else does.
        assert finished(bench.content()) == expected, f"killed at chance {at}"
        tried += 1
    assert tried > 100


def test_killed_at_every_turn_a_loop_still_comes_to_its_end(tmp_path: Path) -> None:
    """Each run gets a little further than the one before, and nothing that was done is done again."""
    whole, bench = Bench(tmp_path / "whole"), Bench(tmp_path / "killed")
    whole.run(PullingSteps(OUTCOMES), ROUNDS)
    runs, jobs = 0, {}
    while len(bench.folder.records()) < ROUNDS:
        steps = DyingSteps(OUTCOMES, jobs=jobs)
        steps.killer = Killer(40)
        with pytest.MonkeyPatch.context() as monkeypatch, contextlib.suppress(Killed):
            steps.killer.arm(monkeypatch)
            bench.run(steps, ROUNDS)
        runs += 1
        assert runs < 100
    assert runs > 3
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
