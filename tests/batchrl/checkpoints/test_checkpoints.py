from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from batchrl.checkpoints.files import publish, publish_state, read_state
from batchrl.checkpoints.folder import CheckpointFolder, PointerDetails
from batchrl.checkpoints.policy import load_policy
from batchrl.contract.errors import DamagedContent, InputError

Train = Callable[..., Path]
STATES = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path / "a", b"old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="gone"):
        publish(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_state_is_read_back_without_executing_anything(tmp_path: Path) -> None:
    state = {"tensor": torch.randn(3), "text": "x", "rows": [{"a": "1"}], "none": None}
    publish_state(tmp_path / "a.pt", state)
    found = read_state(tmp_path / "a.pt")
    assert found["tensor"].equal(state["tensor"])
    assert found["rows"] == state["rows"]
    torch.save({"path": Path("/")}, tmp_path / "b.pt")
    with pytest.raises(DamagedContent, match=r"b\.pt"):
        read_state(tmp_path / "b.pt")


def test_every_damage_to_the_content_is_noticed(tmp_path: Path) -> None:
    state = {"tensor": torch.arange(4000.0)}
    published = publish_state(tmp_path / "a.pt", state)
    content = published.path.read_bytes()
    start = content.index(torch.arange(1.0, 4000.0).numpy().tobytes())
    rng = random.Random(0)
    for _ in range(20):
        damaged = bytearray(content)
        damaged[start + rng.randrange(15_000)] ^= 1 << rng.randrange(8)
        published.path.write_bytes(damaged)
        with pytest.raises(DamagedContent):
            read_state(published.path)
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        published.path.write_bytes(content[:length])
        with pytest.raises(DamagedContent):
            read_state(published.path)


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    for epoch in range(1, 7):
        folder.publish(epoch, {"epoch": epoch})
        folder.point(PointerDetails(epoch, "Epoch", epoch, ""), PointerDetails(min(epoch, 2), "x", None, "because"))
    assert folder.epochs() == [2, 5, 6]
    assert json.loads((tmp_path / "best.json").read_text())["reason"] == "because"


def test_damaged_checkpoints_are_passed_over_with_a_warning_that_names_them(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=5)
    for epoch in (1, 2, 3):
        folder.publish(epoch, {"epoch": epoch})
    for epoch in (1, 3):
        folder.file(epoch).write_bytes(folder.file(epoch).read_bytes()[:-10])
    warnings: list[str] = []
    state = folder.newest(warnings.append)
    assert state == {"epoch": 2}
    assert [name for name in ("epoch_0001.pt", "epoch_0003.pt") for text in warnings if name in text] == [
        "epoch_0001.pt",
        "epoch_0003.pt",
    ]
    assert folder.epochs() == [2]
    folder.publish(3, {"epoch": 3})
    assert folder.epochs() == [2, 3]


def test_all_ways_to_load_a_policy_agree(trained: Path) -> None:
    checkpoints = trained / "checkpoints"
    best = json.loads((checkpoints / "best.json").read_text())
    policies = [
        load_policy(checkpoints),
        load_policy(checkpoints / best["checkpoint"]),
        load_policy(str(trained / "model")),
    ]
    for policy in policies:
        np.testing.assert_array_equal(policy.q_values(STATES), policies[0].q_values(STATES))
        assert policy.describe()["epoch"] == best["epoch"]
        assert policy.describe()["preset"] == "cartpole-ddqn-bcq"
        json.dumps(policy.describe())
    latest = load_policy(checkpoints, which="latest")
    assert latest.describe()["epoch"] == 5


@pytest.mark.parametrize("kind", ["greedy", "softmax"])
def test_probabilities_are_those_of_the_target_policy(trained: Path, train: Train, tmp_path: Path, kind: str) -> None:
    output = trained if kind == "greedy" else train(tmp_path, ope__target_policy=kind, epochs="1")
    policy = load_policy(output / "model")
    values = policy.q_values(STATES).astype(np.float64)
    expected = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    if kind == "greedy":
        expected = np.eye(values.shape[1])[values.argmax(axis=1)]
    found = policy.action_probabilities(STATES)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    said = {"greedy": "greedy", "softmax": "softmax of values at temperature 1"}
    assert policy.describe()["target_policy"] == said[kind]


@pytest.mark.parametrize("mode", ["coach_knn", "discrete_bcq"])
def test_a_policy_that_acts_under_a_mask_carries_it(train: Train, tmp_path: Path, mode: str) -> None:
    settings = {"bcq__imitation_epochs": "20", "bcq__relative_threshold": "0.95", "epochs": "1"}
    train(tmp_path, bcq__mode=mode, bcq__mask_at_action_time="true", **settings)
    exported, checkpoint = load_policy(tmp_path / "model"), load_policy(tmp_path / "checkpoints")
    found = exported.action_probabilities(STATES)
    np.testing.assert_array_equal(found, checkpoint.action_probabilities(STATES))
    assert exported.describe()["acts_under_mask"]
    assert (found == 0).any()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_folder_without_pointers_gives_its_newest_checkpoint(trained: Path, tmp_path: Path) -> None:
    for name in ("epoch_0004.pt", "epoch_0005.pt"):
        (tmp_path / name).write_bytes((trained / "checkpoints" / name).read_bytes())
    assert load_policy(tmp_path).describe()["epoch"] == 5


@pytest.mark.parametrize("fault", ["missing", "damaged", "unreadable"])
@pytest.mark.parametrize("which", ["best", "latest"])
def test_a_pointer_at_nothing_whole_gives_the_newest_whole_checkpoint_and_says_so(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str, which: Literal["best", "latest"]
) -> None:
    for file in (trained / "checkpoints").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    pointer = tmp_path / f"{which}.json"
    named = tmp_path / "epoch_0009.pt"
    pointer.write_text(json.dumps({"checkpoint": named.name}) if fault != "unreadable" else "{")
    if fault == "damaged":
        named.write_bytes((tmp_path / "epoch_0005.pt").read_bytes()[:-10])
    (tmp_path / "epoch_0008.pt").write_bytes(b"half")
    described = load_policy(tmp_path, which).describe()
    assert described["epoch"] == 5
    told = capsys.readouterr().err
    assert told.startswith("warning: ") and "The newest whole checkpoint is taken instead: epoch_0005.pt." in told
    assert (pointer.name if fault != "damaged" else named.name) in described["instead_of"]
    for file in tmp_path.glob("epoch_*.pt"):
        file.unlink()
    with pytest.raises(DamagedContent):
        load_policy(tmp_path, which)


def test_what_is_no_policy_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no policy here"):
        load_policy(tmp_path)
    with pytest.raises(InputError, match="there is no policy here"):
        load_policy(tmp_path / "missing")
    (tmp_path / "a.pt").write_bytes(b"no checkpoint")
    with pytest.raises(DamagedContent, match=r"a\.pt"):
        load_policy(tmp_path / "a.pt")
    with pytest.raises(InputError, match="3 features"):
        load_policy(trained / "model").q_values(np.zeros((2, 4), dtype=np.float32))
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(DamagedContent, match="cannot be read"):
        load_policy(tmp_path)
