"""The figures of a data set, against pandas and by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchrl.data import storage
from batchrl.data.describe import Description, describe
from batchrl.data.loader import load_dataset
from presets.dataschema import DataSettings

Frame = Callable[..., pd.DataFrame]


def described(path: Path, frame: pd.DataFrame, discount: float | None = None, kind: str = "memory") -> Description:
    frame.to_parquet(path / "log.parquet")
    return describe(load_dataset(path / "log.parquet", DataSettings(storage=kind)), discount)


@pytest.mark.parametrize("chunk", [5, 1 << 18])
@pytest.mark.parametrize("kind", ["memory", "mapped"])
def test_figures_are_those_of_pandas(
    tmp_path: Path, frame: Frame, kind: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", chunk)
    logged = frame(actions=3)
    found = described(tmp_path, logged, 0.9, kind)
    by_episode = logged.groupby("episode_id")
    lengths, returns = by_episode.size(), by_episode["reward"].sum()
    discounted = by_episode["reward"].agg(lambda rewards: (rewards.to_numpy() * 0.9 ** np.arange(len(rewards))).sum())
    assert (found.episodes, found.transitions, found.actions) == (40, len(logged), 3)
    assert found.discounted_returns is not None
    for spread, values in ((found.lengths, lengths), (found.returns, returns), (found.discounted_returns, discounted)):
        assert spread.mean == pytest.approx(values.mean())
        assert spread.standard_error == pytest.approx(values.sem())
        assert (spread.min, spread.median, spread.max) == pytest.approx((values.min(), values.median(), values.max()))
    policy = np.array(logged["all_action_probabilities"].map(json.loads).tolist())
    entropy = -(policy * np.log(policy)).sum(axis=1)
    assert found.behavior_entropy.mean == pytest.approx(entropy.mean())
    assert (found.behavior_entropy.min, found.behavior_entropy.max) == pytest.approx((entropy.min(), entropy.max()))
    assert found.behavior_entropy.highest == pytest.approx(math.log(3))
    for support in found.support:
        action = int(support.action)
        taken = logged["action"] == action
        assert support.share == pytest.approx(taken.mean())
        assert support.mean_probability == pytest.approx(policy[:, action].mean())
        assert support.smallest_taken == pytest.approx(policy[taken, action].min())
    for feature in found.features:
        values = logged[feature.name].to_numpy(dtype=np.float32).astype(np.float64)
        figures = (feature.mean, feature.std, feature.min, feature.max)
        assert figures == pytest.approx((values.mean(), values.std(), values.min(), values.max()))


def test_a_small_spread_beside_a_large_mean_is_not_lost(tmp_path: Path, frame: Frame) -> None:
    logged = frame()
    logged["state_feature_0"] = np.where(np.arange(len(logged)) % 2, 1e6 + 1, 1e6 - 1)
    feature = described(tmp_path, logged).features[0]
    assert feature.std == pytest.approx(1.0, rel=1e-2)


def test_a_certain_policy_has_no_entropy_and_an_unused_action_no_support(tmp_path: Path, frame: Frame) -> None:
    logged = frame().assign(action=0, all_action_probabilities="[1.0, 0.0]")
    found = described(tmp_path, logged)
    assert (found.behavior_entropy.mean, found.behavior_entropy.min, found.behavior_entropy.max) == (0, 0, 0)
    assert str(found.behavior_entropy.min) == "0.0"
    assert found.support[0].smallest_taken == 1.0
    assert (found.support[1].share, found.support[1].smallest_taken) == (0.0, None)


def test_ends_are_told_apart(tmp_path: Path) -> None:
    rows = {
        "action": [0, 0, 0, 0],
        "all_action_probabilities": ["[0.5, 0.5]"] * 4,
        "episode_id": [0, 1, 2, 3],
        "reward": [1.0, 2.0, 3.0, 4.0],
        "state_feature_0": [0.0] * 4,
        "next_state_feature_0": [None, 1.0, None, 1.0],
        "terminal": [1, 0, 0, 1],
        "truncated": [0, 1, 1, 0],
    }
    ends = described(tmp_path, pd.DataFrame(rows)).ends
    assert (ends.terminal, ends.truncated, ends.unknown) == (2, 1, 1)
    one = described(tmp_path, pd.DataFrame(rows).iloc[:1])
    assert one.returns.standard_error is None and one.discounted_returns is None
