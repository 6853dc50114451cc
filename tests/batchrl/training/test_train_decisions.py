"""A small run on a log of single decisions: what it chooses by, and in which words."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchrl.contract import columns
from batchrl.contract import estimators as names

Train = Callable[..., Path]
N = 400
OF_EPISODES = ("window", "horizon", "discount", "step ", "steps", "episode", "transition", "mean return")


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A uniform log of three actions, of which the last pays most, in one decision of 25."""
    rng = np.random.default_rng(3)
    actions = rng.integers(0, 3, N)
    path = tmp_path_factory.mktemp("clicks") / "log.csv"
    pd.DataFrame(
        {
            "action": actions,
            "all_action_probabilities": [json.dumps([1 / 3] * 3)] * N,
            "episode_id": [f"user {i}" for i in range(N)],
            "reward": rng.binomial(1, np.array([0.01, 0.02, 0.06])[actions]),
            "state_feature_0": rng.normal(size=N),
        }
    ).to_csv(path, index=False)
    return path


def test_a_run_on_single_decisions_speaks_of_nothing_that_follows(
    train: Train, clicks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, clicks, data__test_ratio="0.3", epochs="2", bcq__mode="none")
    said = capsys.readouterr().out

    assert [word for word in OF_EPISODES if word in said.lower().replace(str(clicks).lower(), "")] == []
    assert f"data: {N} decisions, 3 actions, mean reward {pd.read_csv(clicks)['reward'].mean():.3f}," in said
    assert "expected reward of a decision of the policy that acts" in " ".join(said.split())
    assert "test decisions\n" in said

    summary = json.loads((tmp_path / "output" / "data" / "training_summary.json").read_text())
    assert summary["estimates"]["score"]["metric"] == columns.PAIRED
    for policy in summary["estimates"]["policies"]:
        assert set(policy["estimates"]) == set(names.OF_DECISIONS)
        assert policy["window"] is None
    with (tmp_path / "output" / "intermediate" / columns.INTERMEDIATE_CSV).open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == (*columns.COACH_COLUMNS, *columns.OWN_COLUMNS)
    assert all(row[columns.PAIRED] for row in rows)


def test_where_epochs_cannot_be_compared_the_reason_speaks_of_decisions(
    train: Train, clicks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = pd.read_csv(clicks).head(12).assign(reward=[0, 1] * 6)
    few.to_csv(tmp_path / "few.csv", index=False)
    train(tmp_path, tmp_path / "few.csv", epochs="1", bcq__mode="none")

    assert "too few effective decisions to compare epochs" in " ".join(capsys.readouterr().out.split())
