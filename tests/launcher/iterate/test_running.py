"""A loop begun and gone on with, by whoever does its work."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_loops import JOBS, FakeSteps
from killing import Killed, Killer

from batchrl.contract.errors import InputError
from launcher.api.joboptions import JobOptions
from launcher.base.pairs import parse_settings
from launcher.iterate import running
from launcher.iterate.state import LOCK, LoopFolder
from launcher.iterate.step_files import Round

OUTCOMES = {1: ["undecided", "promoted"], 2: ["kept out"]}


class FakeWork(FakeSteps):
    """Does the work of a loop that ``go_on`` runs."""

    def __init__(self, settings: object, folder: Path, say: object) -> None:
        super().__init__(OUTCOMES)

    def check(self, behavior: object) -> None:
        """Everything is right."""


@pytest.fixture(autouse=True)
def by_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "Work", FakeWork)
    monkeypatch.setattr("launcher.iterate.picture.draw", lambda name, rounds, path: None)


def go_on(folder: Path, *settings: str, rounds: int = 1, **more: Any) -> list[Round]:
    """Begin a loop in a folder, or go on with the one that is there."""
    jobs: JobOptions = replace(JOBS, hyperparameters=parse_settings(settings))
    given: dict[str, Any] = {"data": None, "name": None, "given": {"hyperparameters"} if settings else (), **more}
    return running.go_on(
        LoopFolder(folder), given.pop("jobs", jobs), rounds=rounds, default_rounds=1, say=lambda text: None, **given
    )


def jobs_of(folder: Path) -> set[str]:
    return {record.trained.job for record in LoopFolder(folder).records()}


def test_loops_of_one_name_take_none_of_each_others_jobs(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    go_on(first, name="foo")
    go_on(second, "train.epochs=3", name="foo")
    taken = jobs_of(first) | jobs_of(second)
    assert len(taken) == 2 and all(name.startswith("foo-") for name in taken)
    shutil.rmtree(first)
    go_on(first, "train.epochs=4", name="foo")
    assert jobs_of(first).isdisjoint(taken)


def test_a_copy_of_a_loop_does_not_run_beside_it(tmp_path: Path) -> None:
    go_on(tmp_path / "loop")
    shutil.copytree(tmp_path / "loop", tmp_path / "copy")
    with pytest.raises(InputError, match="is a copy of the one in"):
        go_on(tmp_path / "copy", rounds=2)
    assert len(go_on(tmp_path / "loop", rounds=2)) == 2
    shutil.rmtree(tmp_path / "loop")
    assert len(go_on(tmp_path / "copy", rounds=2)) == 2


def own_presets(folder: Path) -> tuple[str, ...]:
    """Settings of a loop whose presets are files of the user's own."""
    train, evaluate = folder / "t.yaml", folder / "e.yaml"
    train.write_text("kind: train\nepochs: 2\n")
    evaluate.write_text("kind: evaluate\n")
    return f"train.preset={train}", f"evaluate.preset={evaluate}"


def begin_killed(folder: Path, at: int, settings: tuple[str, ...], data: str | None = None) -> int:
    """Begin a loop and be killed at the n-th change of its folder; returns how many chances there were."""
    killer = Killer(at)
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.suppress(Killed):
        killer.arm(monkeypatch)
        monkeypatch.setattr("launcher.iterate.running.Loop.run", lambda self, rounds: [])
        go_on(folder, *settings, data=data)
    return killer.count


def test_killed_anywhere_while_it_begins_a_loop_begins_with_the_same_command(tmp_path: Path) -> None:
    settings = own_presets(tmp_path)
    points = begin_killed(tmp_path / "count", 0, settings)
    for at in range(1, points + 1):
        folder = tmp_path / str(at)
        assert begin_killed(folder, at, settings) == at
        assert len(go_on(folder, *settings)) == 1, f"killed at chance {at}"
        assert {path.name for path in folder.iterdir()} == {
            *(LOCK, "loop.json", "place.json", "plan.json", "train.yaml", "evaluate.yaml", "round_01")
        }
    # Before and after the name is given, and half way through the file: plan.json, loop.json, place.json, two presets.
    assert points == 5 * 3


@pytest.mark.parametrize("option", ["data", "behavior"])
def test_what_the_first_round_needs_may_not_change_before_it_is_collected(tmp_path: Path, option: str) -> None:
    given = tmp_path / "given"
    given.write_text("as it was")
    settings = (f"collect.behavior={given}",) if option == "behavior" else ()
    data = str(given) if option == "data" else None
    begin_killed(tmp_path / "loop", 7, settings, data=data)
    given.write_text("changed")
    with pytest.raises(InputError, match="of the first round was changed since the loop began"):
        go_on(tmp_path / "loop")
    given.write_text("as it was")
    assert len(go_on(tmp_path / "loop")) == 1
    # Nobody asks for it again once a round's own policy is in place.
    given.unlink()
    assert len(go_on(tmp_path / "loop", rounds=2)) == 2


def test_presets_of_the_users_own_and_data_that_was_divided_may_go_when_a_loop_has_begun(tmp_path: Path) -> None:
    own, data = own_presets(tmp_path), tmp_path / "data.csv"
    data.write_text("episodes")
    go_on(tmp_path / "loop", *own, data=str(data))
    for path in (data, tmp_path / "t.yaml", tmp_path / "e.yaml"):
        path.unlink()
    assert len(go_on(tmp_path / "loop", rounds=2, data=str(data), given={"data", "instance_type"})) == 2
    assert len(go_on(tmp_path / "loop", "train.epochs=2", rounds=2)) == 2
    with pytest.raises(InputError, match=r"train\.epochs is 5, there 2"):
        go_on(tmp_path / "loop", "train.epochs=5")
    with pytest.raises(InputError, match="there is no such file"):
        go_on(tmp_path / "loop", data=str(tmp_path / "other.csv"), given={"data"})


def test_only_what_a_command_line_says_is_compared_with_the_loop_that_is_there(tmp_path: Path) -> None:
    settings = ("env.id=Acrobot-v1", "train.epochs=3", "evaluate.seed=4")
    go_on(tmp_path / "loop", *settings)
    assert len(go_on(tmp_path / "loop", "train.epochs=3", rounds=2)) == 2
    with pytest.raises(InputError) as refused:
        go_on(tmp_path / "loop", "train.epochs=5")
    assert refused.value.message.endswith("was made with other settings:\n  train.epochs is 5, there 3")
    with pytest.raises(InputError, match=r"jobs\.instance_type is 'local', there 'local_process'"):
        go_on(tmp_path / "loop", jobs=replace(JOBS, instance_type="local"), given={"instance_type"})
    many = tuple(f"gate.{key}" for key in ("alpha=0.1", "holdout=0.4", "undecided=keep", "canary_episodes=60"))
    with pytest.raises(InputError, match="and 1 more") as refused:
        go_on(tmp_path / "loop", *many, "seed=8", "collect.episodes=77")
    assert len(refused.value.message.splitlines()) == 1 + running.DIFFERENCES_SHOWN + 1
