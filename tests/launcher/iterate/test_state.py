"""The folder of a loop."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from fake_loops import BEHAVIOR, Bench, FakeSteps, returns

from batchrl.contract.errors import DamagedContent, InputError
from launcher.iterate import state
from launcher.iterate.state import LOCK, LOOP, PLACE, PLAN, SCRATCH_PREFIX, LoopFolder, RoundFolder, move, publish_json
from launcher.iterate.step_files import Collected

COLLECTED = Collected(BEHAVIOR.label, 3, None, returns("a"), returns("b"), 4, 2)


def test_a_record_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RoundFolder(tmp_path / "round_01", 1)
    assert folder.read(state.COLLECTED, Collected) is None
    folder.publish(state.COLLECTED, COLLECTED)
    assert folder.read(state.COLLECTED, Collected) == COLLECTED
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        folder.publish(state.COLLECTED, {"something": "else"})
    assert folder.read(state.COLLECTED, Collected) == COLLECTED
    assert [path.name for path in folder.root.iterdir()] == [state.COLLECTED]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"policy": 1}', "\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    folder = RoundFolder(tmp_path, 1)
    (tmp_path / state.COLLECTED).write_bytes(content.encode("latin-1"))
    with pytest.raises(DamagedContent, match=state.COLLECTED):
        folder.read(state.COLLECTED, Collected)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"features": "many"}, "features: Input should be a valid integer"),
        ({"everything": {"episodes": 1}}, r"everything\.transitions: Field required"),
        ({"held_out": {**vars(returns("b")), "speed": 3}}, r"held_out\.speed: Unexpected"),
        ({"speed": 3}, "speed: Unexpected"),
    ],
)
def test_a_record_with_a_wrong_value_is_named_with_its_key(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    folder = RoundFolder(tmp_path, 1)
    folder.publish(state.COLLECTED, {**asdict(COLLECTED), **change})
    with pytest.raises(DamagedContent, match=f"{tmp_path / state.COLLECTED} is no file of this version .*: {says}"):
        folder.read(state.COLLECTED, Collected)


@pytest.mark.parametrize("content", [{}, {"rounds": "many"}])
def test_a_plan_that_is_none_is_named(tmp_path: Path, content: dict[str, object]) -> None:
    publish_json(tmp_path / PLAN, content)
    with pytest.raises(DamagedContent, match=f"{PLAN} cannot be read: .*rounds"):
        LoopFolder(tmp_path).planned_rounds()


@pytest.mark.parametrize("name", [state.GATE_LOG, state.GATE_CANARY])
def test_what_a_look_must_say_is_missed_when_it_is_read(bench: Bench, name: str) -> None:
    outcomes = {1: ["undecided", "promoted"]}
    bench.run(FakeSteps(outcomes), 1)
    folder = bench.folder.round(1)
    for done in (state.ROUND, state.DECISION):
        (folder.root / done).unlink()
    folder.publish(name, {})
    with pytest.raises(DamagedContent, match=f"{name} cannot be read: it has no look, outcome, reason"):
        bench.run(FakeSteps(outcomes), 1)


def test_everything_is_on_disk_before_the_file_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power loss would leave: the files that were synced, under the names of the folders that were."""
    events: list[str] = []
    replace = Path.replace

    def synced(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        (path,) = [path for path in (tmp_path, *tmp_path.rglob("*")) if path.stat().st_ino == inode]
        events.append(f"sync {path.name.replace(str(os.getpid()), 'PID')}")

    def replaced(path: Path, target: Path) -> Path:
        events.append(f"name {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    folder = LoopFolder(tmp_path).round(1)
    with folder.scratch() as scratch:
        (scratch / "model").mkdir()
        (scratch / "model" / "weights").write_text("w")
        (scratch / "episodes.parquet").write_text("e")
        move(scratch / "model", folder.model)
        move(scratch / "episodes.parquet", folder.episodes)
    folder.publish(state.COLLECTED, COLLECTED)
    assert events == [
        f"sync {tmp_path.name}",
        *("sync weights", "sync model", "name model", "sync round_01"),
        *("sync episodes.parquet", "name episodes.parquet", "sync round_01"),
        *("sync collected.json.PID.tmp", f"name {state.COLLECTED}", "sync round_01"),
    ]


def test_a_moved_folder_replaces_an_older_one(tmp_path: Path) -> None:
    for name, text in (("old", "1"), ("new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / text).write_text(text)
    move(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["2"]


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"holds no loop: thesis\.tex"):
        LoopFolder(tmp_path).check_free()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be used"):
        LoopFolder(tmp_path / "file").check_free()


def test_a_new_folder_and_a_loops_folder_are_free(tmp_path: Path) -> None:
    folder = LoopFolder(tmp_path / "a" / "b")
    folder.check_free()
    (folder.root / LOCK).touch()
    (folder.root / "loop.json.123.tmp").touch()
    folder.check_free()
    folder.sweep()
    assert [path.name for path in folder.root.iterdir()] == [LOCK]
    publish_json(folder.root / LOOP, {})
    (folder.root / "notes.txt").touch()
    folder.check_free()


def test_a_loop_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = LoopFolder(tmp_path)
    with pytest.raises(InputError, match="there is no loop"):
        folder.read_loop()
    for version in (1, 99):
        publish_json(tmp_path / LOOP, {"format": version})
        with pytest.raises(InputError, match="another version"):
            folder.read_loop()


def laid(root: Path, identity: str = "0a") -> LoopFolder:
    """A loop that has run there."""
    publish_json(root / LOOP, {"identity": identity})
    folder = LoopFolder(root)
    folder.settle(identity)
    return folder


def test_a_copy_of_a_loop_is_refused_while_the_loop_is_where_it_was(tmp_path: Path) -> None:
    folder = laid(tmp_path / "a")
    folder.settle("0a")
    shutil.copytree(folder.root, tmp_path / "b")
    copy = LoopFolder(tmp_path / "b")
    with pytest.raises(InputError, match=f"is a copy of the one in {folder.root}"):
        copy.settle("0a")
    folder.settle("0a")
    # Another loop in its old place does not count, nor one whose file cannot be read.
    (folder.root / LOOP).write_text("{")
    LoopFolder(Path(shutil.copytree(copy.root, tmp_path / "c"))).settle("0a")
    publish_json(folder.root / LOOP, {"identity": "0b"})
    copy.settle("0a")


def test_a_loop_that_was_moved_goes_on_by_any_path_to_it(tmp_path: Path) -> None:
    laid(tmp_path / "a").root.rename(tmp_path / "b")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    for path in ("b", "link"):
        LoopFolder(tmp_path / path).settle("0a")
    assert json.loads((tmp_path / "b" / PLACE).read_text()) == {"folder": str((tmp_path / "b").resolve())}


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    folder, other = LoopFolder(tmp_path), LoopFolder(tmp_path)
    refused = pytest.raises(InputError, match=rf"is running \(process {os.getpid()}\)")
    with folder.locked(), refused, other.locked():
        pass
    with other.locked():
        pass


def test_the_lock_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from launcher.iterate.state import LoopFolder\n"
        "with LoopFolder(Path(sys.argv[1])).locked():\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)])
    assert ended.returncode == -9
    with LoopFolder(tmp_path).locked():
        assert (tmp_path / LOCK).read_text().strip() == str(os.getpid())


def test_rounds_that_are_done_end_where_one_is_missing(bench: Bench) -> None:
    bench.run(FakeSteps(dict.fromkeys(range(1, 4), ("kept out",))), 3)
    bench.folder.round(2).root.joinpath(state.ROUND).unlink()
    assert [record.number for record in bench.folder.records()] == [1]


def test_every_file_of_a_round_is_json_with_every_number(bench: Bench) -> None:
    bench.run(FakeSteps({1: ["undecided", "promoted"]}), 1)
    decision = json.loads((bench.folder.round(1).root / state.DECISION).read_text())
    assert {"outcome", "reason", "alpha", "alpha_of_a_look", "looks_planned", "looks", "canary"} <= set(decision)
    for look in decision["looks"]:
        assert {"difference", "alpha", "confidence", "doubt", "outcome", "reason"} <= set(look)


def test_what_a_killed_run_left_in_a_round_that_is_done_goes_too(tmp_path: Path) -> None:
    loop = LoopFolder(tmp_path / "loop")
    left = loop.round(1).root / f"{SCRATCH_PREFIX}abc"
    left.mkdir(parents=True)
    (left / "raw_canary.parquet").write_text("half")
    (loop.round(1).root / "decision.json").write_text("{}")
    loop.sweep()
    assert [path.name for path in loop.round(1).root.iterdir()] == ["decision.json"]
