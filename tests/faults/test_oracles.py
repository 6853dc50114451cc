"""What judges faults can find them: each oracle is shown a damage of its kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from memory_s3 import MemoryS3

from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import sha256_of
from faults import content, targets
from faults.clouds import Cloud
from faults.findings import LOST, UNJUDGED, Findings, Given, eventually
from faults.runner import Result, make

PREFIX = S3Url("b", "checkpoints")


@pytest.fixture
def client() -> MemoryS3:
    """A store with two epochs, the second announced."""
    client = MemoryS3()
    for epoch in (1, 2):
        client.put_object(Bucket="b", Key=f"checkpoints/epoch_000{epoch}.pt", Body=b"state %d" % epoch)
    for name in ("latest.json", "best.json"):
        told = {"checkpoint": "epoch_0002.pt", "epoch": 2, "sha256": sha256_of(b"state 2"), "size": 7}
        client.put_object(Bucket="b", Key=f"checkpoints/{name}", Body=json.dumps(told).encode())
    return client


def test_what_is_announced_must_be_there_and_whole(client) -> None:
    assert content.announced(client, PREFIX) == 2
    client.put_object(Bucket="b", Key="checkpoints/epoch_0002.pt", Body=b"state 3")
    with pytest.raises(content.Damaged, match="sha256"):
        content.announced(client, PREFIX)
    client.delete_object(Bucket="b", Key="checkpoints/epoch_0002.pt")
    with pytest.raises(content.Damaged, match="not in the store"):
        content.announced(client, PREFIX)


def test_one_changed_weight_changes_the_digest() -> None:
    state = {"agent": {"w": torch.zeros(3, 2)}, "rng": [1, 2], "name": "x"}
    same = {"name": "x", "rng": [1, 2], "agent": {"w": torch.zeros(3, 2)}}
    assert content.digest(state) == content.digest(same)
    changed = [
        state | {"agent": {"w": torch.zeros(3, 2).index_fill(0, torch.tensor([1]), 1e-30)}},
        state | {"agent": {"w": torch.zeros(2, 3)}},
        state | {"rng": [2, 1]},
        state | {"rng": [[1], 2]},
    ]
    assert len({content.digest(each) for each in (state, *changed)}) == 5
    assert content.Outcome(1, "a", "b", "c").differences(content.Outcome(1, "x", "b", "y")) == ["state", "model"]


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """A cloud's folder, without the cloud."""
    folder = tmp_path / "home"
    (folder / "jobs").mkdir(parents=True)
    made = Cloud.__new__(Cloud)
    made.paths = targets.HomePaths.of(folder)
    made.paths.create()
    return made


def test_whatever_is_left_behind_is_named(cloud) -> None:
    assert cloud._leftovers() == []
    (cloud.paths.root / ".records.tmp").write_text("")
    (cloud.paths.runtime / "serve-job.sock").write_text("")
    environ = os.environ | {"BATCHRL_ML_ROOT": str(cloud.paths.jobs / "job" / "ml")}
    process = subprocess.Popen([sys.executable, "-c", "input()"], env=environ, stdin=subprocess.PIPE)
    try:
        assert eventually(lambda: len(cloud._leftovers()) == 3, 10)
        found = " ".join(cloud._leftovers())
        assert ".records.tmp" in found and "serve-job.sock" in found and f"process {process.pid}" in found
    finally:
        process.kill()
        process.communicate()
        (cloud.paths.runtime / "serve-job.sock").unlink()
        cloud.paths.runtime.rmdir()


class QuietLane:
    """A lane without clouds."""

    findings = Findings()

    def clouds(self) -> list[Cloud]:
        return []


def test_what_a_kind_finds_is_its_result() -> None:
    from faults.plan import Planned
    from faults.registry import Kind

    def loses(fault) -> None:
        fault.findings.check(False, LOST, "a checkpoint")
        raise Given

    def breaks(fault) -> None:
        raise ValueError("oh")

    def result(work, *needs: str) -> Result:
        return make(Planned(1, 1, "x"), Kind("x", "disk", "", work, needs), QuietLane(), lambda name: f"no {name}")

    assert list(result(loses).found) == [(LOST, "a checkpoint")]
    ((category, text),) = result(breaks).found
    assert category == UNJUDGED and "ValueError: oh" in text
    assert result(loses, "engine").lack == "engine: no engine"
