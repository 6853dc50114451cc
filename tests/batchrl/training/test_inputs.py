"""What a run tells of its log, its code and its programs, against the files themselves."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import presets
from batchrl.contract.paths import JobPaths
from batchrl.data.loader import load_dataset
from batchrl.training.inputs import training_inputs

EPISODES = 60


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 2 * EPISODES
    moments = pd.date_range("2026-03-01T08:00:00", periods=n, freq="h")
    plan = np.array(["gold", "basic"])[np.arange(n) // 2 % 2]
    return pd.DataFrame(
        {
            "episode_id": np.arange(n) // 2,
            "time": moments.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "age": rng.integers(18, 80, n),
            "plan": plan,
            "action": np.where((plan == "gold") | (np.arange(n) % 4 == 2), "mail", "none"),
            "propensity": 0.5,
            "reward": rng.integers(0, 3, n),
        }
    )


def inputs_of(folder: Path, frame: pd.DataFrame, **data: object) -> dict[str, object]:
    frame.to_csv(folder / "log.csv", index=False)
    preset = presets.resolve_train(
        "cartpole-bc",
        {
            "data.state_columns": ["age", "plan"],
            **({"data.columns.time": "time"} if "time" in frame else {}),
            **{f"data.{k}": v for k, v in data.items()},
        },
    )
    loaded = load_dataset(folder / "log.csv", preset.data)
    found = training_inputs(loaded, preset, JobPaths(folder), "train.py")
    return json.loads(json.dumps(found, allow_nan=False))


def test_the_log_is_told_as_it_is(tmp_path: Path, frame: pd.DataFrame) -> None:
    data = inputs_of(tmp_path, frame)["data"]
    returns = frame.groupby("episode_id")["reward"].sum()
    assert (data["episodes"], data["transitions"]) == (EPISODES, len(frame))
    assert data["returns"]["mean"] == pytest.approx(returns.mean())
    assert data["returns"]["standard_error"] == pytest.approx(returns.sem())
    shares = {row["action"]: row["share"] for row in data["support"]}
    assert shares == pytest.approx(frame["action"].value_counts(normalize=True).to_dict())
    assert data["recorded"] == {"first": frame["time"].min(), "last": frame["time"].max()}


def test_step_numbers_are_no_time_span(tmp_path: Path, frame: pd.DataFrame) -> None:
    for steps in (frame.index % 2, (frame.index % 2).astype(str)):
        assert inputs_of(tmp_path, frame.assign(time=steps))["data"]["recorded"] is None
    assert inputs_of(tmp_path, frame.drop(columns="time"))["data"]["recorded"] is None


def test_a_part_of_the_log_that_lacks_an_action_is_named(tmp_path: Path, frame: pd.DataFrame) -> None:
    gold = frame["plan"] == "gold"
    assert not (frame["action"][gold] == "none").any()
    thin = [place for place in inputs_of(tmp_path, frame)["thin"] if place["column"] == "plan"]
    assert [(place["values"], place["action"], place["taken"], place["rows"]) for place in thin] == [
        ("gold", "none", 0, int(gold.sum()))
    ]


def test_doubts_are_told_and_those_that_are_accepted_are_named(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame["reward"] = 0
    assert [doubt["kind"] for doubt in inputs_of(tmp_path, frame)["doubts"]] == ["no_rewards"]
    found = inputs_of(tmp_path, frame, accept=["no_rewards"])
    assert (found["doubts"], found["accepted"]) == ([], ["no_rewards"])


def test_code_and_programs_are_named(tmp_path: Path, frame: pd.DataFrame) -> None:
    assert inputs_of(tmp_path, frame)["code"] == {"entry_point": "train.py", "sha256": None}
    archive = JobPaths(tmp_path).code_archive
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"an archive")
    found = inputs_of(tmp_path, frame)
    assert found["code"]["sha256"] == hashlib.sha256(b"an archive").hexdigest()
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["numpy"] == np.__version__
