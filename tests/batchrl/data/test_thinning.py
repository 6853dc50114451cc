"""A log that was down-sampled at several rates: drawn by its weights, it is a sample of what was to be logged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from batchrl.contract.errors import InputError
from batchrl.data import storage
from batchrl.data.loader import LoadedData, load_dataset
from batchrl.data.proposing import proposed
from presets.dataschema import DataSettings

COLUMNS = {"weight": "w"}


def log_of(n: int, rng: np.random.Generator, steps: int = 1) -> pd.DataFrame:
    """Episodes of two actions; the second pays with probability 0.3 in each step, the first with 0.1."""
    action = (rng.random(n * steps) < 0.4).astype(np.int64)
    return pd.DataFrame(
        {
            "episode_id": np.repeat(np.arange(n), steps),
            "action": action,
            "propensity": np.where(action == 1, 0.4, 0.6),
            "reward": (rng.random(n * steps) < np.where(action == 1, 0.3, 0.1)).astype(np.float64),
            "state_feature_0": rng.normal(size=n * steps).round(3),
        }
    )


def down_sampled(frame: pd.DataFrame, rng: np.random.Generator, rate: float = 0.25) -> pd.DataFrame:
    """Every episode that paid, and a share of the others; with weights, in a unit of their own."""
    paid = frame.groupby("episode_id")["reward"].transform("sum") > 0
    kept = paid | frame["episode_id"].map(dict(enumerate(rng.random(frame["episode_id"].nunique()) < rate)))
    return frame.assign(w=np.where(paid, 1.0, 1 / rate) * 7)[kept]


def read(path: Path, frame: pd.DataFrame, **settings: object) -> LoadedData:
    """Write the frame and load it."""
    frame.to_csv(path / "log.csv", index=False)
    return load_dataset(path / "log.csv", DataSettings.model_validate({"columns": COLUMNS, **settings}))


def refusal(path: Path, frame: pd.DataFrame) -> str:
    """Why the frame is refused, with the hint."""
    with pytest.raises(InputError) as caught:
        read(path, frame)
    return f"{caught.value.message} {caught.value.hint}"


def test_what_is_left_is_a_sample_of_what_was_to_be_logged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = log_of(20_000, rng)
    frame = down_sampled(whole, rng)
    loaded = read(tmp_path, frame)
    data = loaded.dataset
    for action, pays in ((0, 0.1), (1, 0.3)):
        rewards = data.rewards[data.actions == action]
        assert abs(rewards.mean() - pays) < 4 * np.sqrt(pays * (1 - pays) / len(rewards))
        logged = frame.loc[frame["action"] == action, "reward"].mean()
        assert logged > 2 * pays
    share = (data.actions == 1).mean()
    assert abs(share - 0.4) < 4 * np.sqrt(0.24 / data.n_episodes)
    # All of the largest weight stay, and of the others the quarter that they are worth.
    assert (data.rewards == 0).sum() == (frame["reward"] == 0).sum()
    paid = int((frame["reward"] == 1).sum())
    assert abs((data.rewards == 1).sum() - paid / 4) < 4 * np.sqrt(paid * 0.25 * 0.75)
    (note,) = loaded.notes
    assert f"{data.n_episodes:,} of {len(frame):,} were drawn, each with its weight over the largest, 28" in note
    assert loaded.left_out == 0


def test_without_the_weights_the_actions_contradict_their_probabilities(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = down_sampled(log_of(20_000, rng), rng)
    assert any("chance does not explain that" in note for note in read(tmp_path, frame, columns={}).notes)
    assert not any("chance does not explain that" in note for note in read(tmp_path, frame).notes)


@pytest.mark.parametrize("closes", [False, True])
def test_episodes_are_kept_or_left_out_as_a_whole(
    tmp_path: Path, closes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", 7)
    rng = np.random.default_rng(2)
    frame = log_of(200, rng, steps=4).assign(w=1.0)
    frame.loc[frame["episode_id"] % 3 > 0, "w"] = 5.0
    if closes:
        last = frame.index % 4 == 3
        frame["action"] = frame["action"].astype(object)
        frame.loc[last, ["action", "reward", "propensity", "w"]] = None
    side_by_side = frame.iloc[np.argsort(frame.index % 4, kind="stable")]
    data = read(tmp_path, side_by_side).dataset
    again = read(tmp_path, frame).dataset
    assert data.episode_ids == again.episode_ids
    assert (again.lengths == (3 if closes else 4)).all()
    heavy = [name for name in data.episode_ids if int(name) % 3 > 0]
    assert len(heavy) == 133 and 4 <= data.n_episodes - len(heavy) <= 24
    for number, name in enumerate(again.episode_ids):
        rewards = frame.loc[(frame["episode_id"] == int(name)) & frame["reward"].notna(), "reward"]
        assert again.rewards[again.offsets[number] : again.offsets[number + 1]].tolist() == rewards.tolist()


def test_equal_weights_leave_everything(tmp_path: Path) -> None:
    frame = log_of(50, np.random.default_rng(3)).assign(w=3.5)
    loaded = read(tmp_path, frame)
    assert loaded.dataset.n_episodes == 50 and loaded.notes == ()
    assert loaded.dataset.sha256() == read(tmp_path, frame, columns={}).dataset.sha256()


def test_the_same_log_is_always_thinned_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    frame = down_sampled(log_of(500, rng), rng)
    first, second = (read(tmp_path, frame).dataset for _ in range(2))
    assert first.sha256() == second.sha256() and first.episode_ids == second.episode_ids


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    frame = log_of(50, np.random.default_rng(5)).assign(w=1.0)
    for wrong in (0.0, -2.0, float("inf"), None):
        frame.loc[7, "w"] = wrong
        said = refusal(tmp_path, frame)
        assert "line 9, episode 7, column 'w'" in said and "a number above 0" in said
    assert "'heavy' is not a number" in refusal(tmp_path, frame.assign(w="heavy"))


def test_an_episode_of_two_weights_is_refused(tmp_path: Path) -> None:
    frame = log_of(50, np.random.default_rng(6), steps=3).assign(w=1.0)
    frame.loc[10, "w"] = 2.0
    said = refusal(tmp_path, frame)
    assert "1 of 50 episodes have more than one weight in column 'w'; 1 rows" in said
    assert "line 12, episode 3" in said and "write the same one in all of its rows" in said


def test_a_column_of_weights_is_proposed_and_asked_about(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    frame = down_sampled(log_of(300, rng), rng).rename(columns={"w": "sample_weight"}).assign(weight=rng.random())
    frame.to_csv(tmp_path / "log.csv", index=False)
    text = proposed(tmp_path / "log.csv")
    assert yaml.safe_load(text)["columns"]["weight"] == "sample_weight"
    assert "# Does 'sample_weight' say how many episodes" in text
