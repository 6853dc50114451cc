"""A small run on a log of single decisions: what it chooses by, and in which words."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchrl.checkpoints.policy import load_policy
from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.contract.errors import InputError

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
    # A dozen clicks: an epoch's score is marked as the final one is.
    scored = [line for line in said.splitlines() if line.startswith("epoch=")]
    assert len(scored) == 2
    assert all("(Paired Score: do not rely on it)" in line for line in scored)

    assert [word for word in OF_EPISODES if word in said.lower().replace(str(clicks).lower(), "")] == []
    assert f"data: {N} decisions, 3 actions, mean reward {pd.read_csv(clicks)['reward'].mean():.3f}," in said
    assert "expected reward of a decision of the target policy (greedy)" in " ".join(said.split())
    assert "test decisions\n" in said

    summary = json.loads((tmp_path / "output" / "data" / "training_summary.json").read_text())
    assert summary["estimates"]["score"]["metric"] == columns.PAIRED
    *learnt, constant = summary["estimates"]["policies"]
    for policy in (*learnt, constant):
        # A constant action has no values of its own.
        own = set() if policy is constant else {names.DM_VALUE}
        assert set(policy["estimates"]) == set(names.OF_DECISIONS) - {names.DM_VALUE} | own
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
    train(tmp_path, tmp_path / "few.csv", epochs="1", bcq__mode="none", agent__algorithm="bc")

    assert "too few effective decisions to compare epochs" in " ".join(capsys.readouterr().out.split())


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three actions, the best of which depends on the context; the logging policy prefers the worst one there."""
    rng = np.random.default_rng(5)
    n = 1500
    states = rng.normal(size=(n, 2))
    best = np.digitize(states[:, 0], [-0.5, 0.5])
    logging = np.full((n, 3), 0.2)
    logging[np.arange(n), (best + 1) % 3] = 0.6
    actions = (logging.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    path = tmp_path_factory.mktemp("contexts") / "log.csv"
    pd.DataFrame(
        {
            "action": actions,
            "all_action_probabilities": [json.dumps(row) for row in logging.tolist()],
            "episode_id": range(n),
            "reward": rng.binomial(1, np.where(actions == best, 0.8, 0.2)),
            "state_feature_0": states[:, 0],
            "state_feature_1": states[:, 1],
        }
    ).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("preset", ["regression", "ips", "dr", "cost-sensitive"])
def test_agents_of_decisions_learn_the_best_action_of_a_context_and_are_chosen_like_any_other(
    train: Train, contexts: Path, tmp_path: Path, preset: str
) -> None:
    learning = {"agent__updates_per_epoch": "120", "agent__batch_size": "128", "agent__learning_rate": "0.005"}
    train(tmp_path, contexts, preset=f"decisions-{preset}", epochs="3", **learning)

    states = np.random.default_rng(6).normal(size=(2000, 2)).astype(np.float32)
    preferences = load_policy(tmp_path / "model").model.preferences(states)
    right = preferences.argmax(axis=1) == np.digitize(states[:, 0], [-0.5, 0.5])
    # The logging policy is right in one of five.
    assert right.mean() > 0.8

    summary = json.loads((tmp_path / "output" / "data" / "training_summary.json").read_text())
    score = summary["estimates"]["score"]
    assert (score["metric"], summary["best"]["metric"]) == (columns.PAIRED, columns.PAIRED)
    assert score["lower"] > 0.2 and score["evidence"] == "improves on the logging policy"


@pytest.mark.parametrize("algorithm", ["ips-policy", "dr-policy", "cost-sensitive"])
def test_agents_of_decisions_refuse_episodes_of_several_steps(train: Train, tmp_path: Path, algorithm: str) -> None:
    with pytest.raises(InputError, match=rf"{algorithm} learns from single decisions.*up to 11 steps"):
        train(tmp_path, agent__algorithm=algorithm)
    assert not (tmp_path / "checkpoints").exists() or not list((tmp_path / "checkpoints").iterdir())
