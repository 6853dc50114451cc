"""Loops whose work is done by a stand-in: every step writes small files that its arguments alone decide."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs import PROCESS_JOBS as JOBS

import presets
from batchrl.contract.divided import Divided, Returns
from batchrl.contract.files import file_sha256
from launcher.iterate.rounds import Loop
from launcher.iterate.settings import LoopSettings
from launcher.iterate.state import LoopFolder
from launcher.iterate.step_files import Evaluated, Round, Trained
from launcher.iterate.steps import Actor, Cut, Look, Play

BEHAVIOR = Actor("uniform", "uniform", softened=False)


def returns(text: str) -> Returns:
    """Figures that a text decides."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:2], "big")
    return Returns(episodes=100, transitions=2000, mean_return=number / 1000, standard_error=1.5)


@dataclass
class FakeSteps:
    """Does what it is told with text files; the jobs that it started outlive it in ``jobs``.

    Args:
        outcomes: what the gate says: of each look of the log, then of each canary, by round.
        jobs: names of all jobs and endpoints, each with how often it was started.
    """

    outcomes: Mapping[int, Sequence[str]]
    jobs: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    plays: list[Play] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    learnt: dict[str, list[str]] = field(default_factory=dict)

    def collect(self, play: Play, target: Path) -> None:
        self.calls.append(f"collect {play.name}")
        self.plays.append(play)
        target.write_text(f"{play.name} {play.actor.label} {play.episodes} {play.seed}\n")

    def tidy(self, play: Play) -> None:
        self.calls.append(f"tidy {play.name}")

    def divide(self, source: Path, kept: Path, held_out: Path | None, cut: Cut) -> Divided:
        self.calls.append(f"divide {source.name}")
        text = source.read_text()
        kept.write_text(f"kept of {text}{cut.prefix} {cut.seed}\n")
        if held_out is not None:
            held_out.write_text(f"held out of {text}{cut.share}\n")
        return Divided(returns(text), None if held_out is None else returns(text + "held out"), 4, 2)

    def train(self, name: str, data: Mapping[str, Path], model: Path, training: Path) -> Trained:
        self.calls.append(f"train {name}")
        self.learnt[name] = sorted(data)
        # A job of this name that exists is attached to.
        self.jobs.setdefault(name, 0)
        self.jobs[name] = max(self.jobs[name], 1)
        content = "".join(f"{file}: {path.read_text()}" for file, path in sorted(data.items()))
        model.mkdir()
        (model / "weights").write_text(content)
        training.mkdir()
        (training / "summary").write_text(name)
        return Trained(name, f"s3://b/{name}/model", f"s3://b/{name}/checkpoints", 3, 5, "the best score")

    def judge(self, look: Look) -> Mapping[str, Any]:
        self.calls.append(f"judge {'canary' if look.canary else 'log'}")
        self.looks.append(look)
        number = int(look.model.parent.name.removeprefix("round_"))
        said = self.outcomes[number][1 if look.canary else 0]
        doubted = said in ("doubtful", "alike")
        outcome = "undecided" if doubted else said
        assert (look.model / "weights").read_text()
        seen = [look.held_out, *([look.canary] if look.canary else [])]
        digest = hashlib.sha256("".join(path.read_text() for path in seen).encode()).hexdigest()
        return {
            "look": "canary" if look.canary else "log",
            "outcome": outcome,
            "reason": f"{outcome.capitalize()}: as it was told, {digest[:8]}.",
            "difference": {"value": 1.25, "lower": 0.5, "upper": 2.0, "standard_error": 0.4},
            "doubt": "too few" if doubted else None,
            "acts_alike": said == "alike",
            "alpha": look.alpha,
            "confidence": 1 - look.alpha,
            "seed": look.seed,
        }

    def evaluate(self, name: str, trained: Trained) -> Evaluated:
        self.calls.append(f"evaluate {name}")
        self.jobs[name] = 1
        return Evaluated(name, "", 100, 180.5, 2.5, 20.0, 200.0)


def settings_of(overrides: Mapping[str, object] | None = None, data: str | None = None) -> LoopSettings:
    """A loop named ``loop``, whose jobs' names begin with ``loop-01234567``."""
    preset = presets.resolve_iterate("cartpole-iterate", overrides or {})
    train = presets.resolve_train(preset.train.preset, preset.train.overrides)
    evaluate = None
    if preset.evaluate.preset is not None:
        evaluate = presets.resolve_evaluate(preset.evaluate.preset, preset.evaluate.overrides)
    digest = file_sha256(Path(data)) if data else None
    return LoopSettings("loop", "01234567", preset, train, evaluate, JOBS, data, digest)


@functools.cache
def plain_settings() -> LoopSettings:
    """Those of the preset, read once: some tests run a loop some hundred times."""
    return settings_of()


@dataclass
class Bench:
    """Loops in one folder.

    Args:
        root: the folder.
    """

    root: Path

    @property
    def folder(self) -> LoopFolder:
        return LoopFolder(self.root / "loop")

    def run(
        self,
        steps: FakeSteps,
        rounds: int,
        overrides: Mapping[str, object] | None = None,
        data: str | None = None,
        said: list[str] | None = None,
    ) -> list[Round]:
        """Run a loop, or go on with it."""
        told = [] if said is None else said
        settings = settings_of(overrides, data) if overrides or data else plain_settings()
        loop = Loop(self.folder, settings, steps, BEHAVIOR, told.append, lambda records: None)
        return loop.run(rounds)

    def content(self, below: Path | None = None) -> dict[str, str]:
        """Every file of the folder by its path; nothing unfinished may be among them."""
        root = below or self.folder.root
        return {
            path.relative_to(root).as_posix(): path.read_text()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.name != "lock"
        }
