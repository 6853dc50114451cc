"""Outcomes on logs are kept, and measured again where anything that decides them has changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The module, with a cache of its own. The scripts of ``bench`` find each other beside themselves."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCH))
    import methods  # type: ignore[import-not-found]

    monkeypatch.setattr(methods, "CACHE", tmp_path)
    yield methods
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCH)):
            del sys.modules[name]


class Counted:
    """A method that counts how often it was asked."""

    name = "counted"

    def __init__(self, methods: ModuleType, settings: dict[str, Any], code: str) -> None:
        self.methods, self.settings, self.code, self.runs = methods, settings, code, 0

    def run(self, log: Any) -> Any:
        self.runs += 1
        return self.methods.Outcome(float(self.runs), 0.0, 1.0, {}, {}, self.code)


def test_an_outcome_is_measured_once(methods: ModuleType) -> None:
    log = methods.Log("CartPole-v0", 7)
    method = Counted(methods, {"rate": 1}, "a")
    first = methods.kept(method, log, run=True)
    assert methods.kept(method, methods.Log("CartPole-v0", 7), run=True) == first
    assert method.runs == 1


@pytest.mark.parametrize("changed", ["log", "settings", "code"])
def test_what_decides_an_outcome_has_changed(methods: ModuleType, changed: str) -> None:
    log, method = methods.Log("CartPole-v0", 7), Counted(methods, {"rate": 1}, "a")
    methods.kept(method, log, run=True)
    if changed == "log":
        log = methods.Log("CartPole-v0", 8)
    elif changed == "settings":
        method.settings = {"rate": 2}
    else:
        method.code = "b"
    assert methods.kept(method, log, run=True).mean_return == 2.0


def test_only_what_was_kept_is_shown_without_running(methods: ModuleType) -> None:
    log, method = methods.Log("CartPole-v0", 7), Counted(methods, {"rate": 1}, "a")
    assert methods.kept(method, log, run=False) is None
    methods.kept(method, log, run=True)
    method.code = "b"
    shown = methods.kept(method, log, run=False)
    assert method.runs == 1
    assert shown.code == "a"


def test_logs_differ_by_their_seeds_alone(methods: ModuleType) -> None:
    log = methods.Log("CartPole-v0", 7)
    assert log.digest == methods.Log("CartPole-v0", 7).digest != methods.Log("CartPole-v0", 8).digest
    assert len(log.rollouts.returns) == methods.EPISODES


def test_policies_meet_the_same_start_states(methods: ModuleType) -> None:
    class Watched:
        def __init__(self) -> None:
            self.first: Any = None

        def action_probabilities(self, states: Any) -> Any:
            if self.first is None:
                self.first = states.copy()
            return states[:, :2] * 0 + [1.0, 0.0]

    one, other = Watched(), Watched()
    methods.evaluated(one, "CartPole-v0")
    methods.evaluated(other, "CartPole-v0")
    assert len(one.first) == methods.EVALUATION_EPISODES
    assert (one.first == other.first).all()


def test_the_code_that_trains_decides_a_presets_outcome(
    methods: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    method = methods.PresetMethod("cartpole-ddqn-bcq")
    code = tmp_path / "entrypoints"
    agents = code / "batchrl" / "agents"
    agents.mkdir(parents=True)
    monkeypatch.setattr(methods, "ROOT", tmp_path)
    monkeypatch.setattr(methods, "ENTRYPOINTS", code)
    (agents / "dqn.py").write_text("a = 1\n")
    before = method.code
    (code / "batchrl" / "boot.py").write_text("b = 1\n")
    assert method.code == before
    (agents / "dqn.py").write_text("a = 2\n")
    assert method.code != before


def test_a_peer_that_cannot_be_installed_says_why_and_is_tried_again(
    methods: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = sys.modules["peers.environment"]
    monkeypatch.setattr(environment, "CACHE", tmp_path)
    tried = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        tried.append(command)
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no such index")

    monkeypatch.setattr(environment.subprocess, "run", run)
    for attempts in (1, 2):
        with pytest.raises(environment.PeerMissing, match=r"d3rlpy [\d.]+ cannot be installed: ERROR: no such index"):
            environment.peer_python()
        assert len(tried) == attempts
