"""Rollouts as tables and files."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchrl.collect import EnvId, Rollouts, collect, make_simulator, to_frame, write_table
from batchrl.collect.summary import ReturnSummary
from batchrl.collect.table import ensure_writable, format_of, probability_texts
from batchrl.contract.errors import InputError
from batchrl.data.loader import load_dataset
from batchrl.policies import FixedPolicy, UniformPolicy
from presets.dataschema import DataSettings

SEED_COLUMNS = ["action", "all_action_probabilities", "episode_id", "reward", "cumulative_rewards"]
FEATURES = [f"state_feature_{feature}" for feature in range(4)]
ENDS = ["terminal", "truncated", *(f"next_state_feature_{feature}" for feature in range(4))]


@pytest.fixture(scope="module")
def rollouts() -> Rollouts:
    return collect(make_simulator(EnvId("CartPole-v0"), 8), UniformPolicy(2), episodes=3, seed=2)


def test_the_table_has_exactly_the_seeds_columns(rollouts: Rollouts) -> None:
    frame = to_frame(rollouts)
    assert list(frame.columns) == [*SEED_COLUMNS, *FEATURES]
    assert frame["action"].dtype == np.int64 and frame["episode_id"].dtype == np.int64
    assert list(to_frame(rollouts, with_ends=True).columns) == [*SEED_COLUMNS, *FEATURES, *ENDS]


def test_cumulative_rewards_stand_in_an_episodes_last_row_only(rollouts: Rollouts) -> None:
    frame = to_frame(rollouts)
    for _, episode in frame.groupby("episode_id"):
        assert (episode["cumulative_rewards"].iloc[:-1] == 0).all()
        assert episode["cumulative_rewards"].iloc[-1] == episode["reward"].sum() == len(episode)
    # The figure that the notebook prints.
    assert frame["cumulative_rewards"].sum() / 24 == pytest.approx(rollouts.returns.mean())


def test_probabilities_are_json_floats_that_coach_can_read_too(rollouts: Rollouts) -> None:
    texts = to_frame(rollouts)["all_action_probabilities"]
    assert set(texts) == {"[0.5, 0.5]"}
    varied = np.array([[1 / 3, 2 / 3], [0.1, 0.9], [1 / 3, 2 / 3], [1.0, 0.0]])
    texts = list(probability_texts(varied))
    assert texts[3] == "[1.0, 0.0]"
    for text, row in zip(texts, varied, strict=True):
        assert json.loads(text) == ast.literal_eval(text) == row.tolist()


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.parquet", "DATA.CSV"])
def test_a_file_holds_the_same_rows_in_every_format(rollouts: Rollouts, tmp_path: Path, name: str) -> None:
    frame = to_frame(rollouts, with_ends=True)
    path = tmp_path / "new" / name
    write_table(frame, path)
    read = pd.read_parquet(path) if name.endswith("parquet") else pd.read_csv(path)
    for column in frame.columns:
        expected = frame[column]
        if expected.dtype == np.float32:
            assert (read[column].astype(np.float32) == expected).all()
        else:
            assert read[column].tolist() == expected.tolist()
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_a_csv_written_in_pieces_is_the_same_file(
    rollouts: Rollouts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = to_frame(rollouts)
    write_table(frame, tmp_path / "whole.csv")
    monkeypatch.setattr("batchrl.collect.table.ROWS_AT_ONCE", 7)
    told: list[int] = []
    write_table(frame, tmp_path / "pieces.csv", progress=lambda done, _: told.append(done))
    assert (tmp_path / "pieces.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert told == sorted(told) and told[-1] == len(frame)


def test_the_same_rows_give_the_same_compressed_bytes(rollouts: Rollouts, tmp_path: Path) -> None:
    for name in ("one.csv.gz", "two.csv.gz"):
        write_table(to_frame(rollouts), tmp_path / name)
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    rollouts: Rollouts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.csv"
    path.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="No space"):
        write_table(to_frame(rollouts), path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_format_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    assert format_of(Path("x"), "parquet") == "parquet"
    with pytest.raises(InputError, match=r"End it with one of \.csv, \.csv\.gz, \.parquet"):
        format_of(tmp_path / "data.xlsx")
    with pytest.raises(InputError, match="is a folder"):
        ensure_writable(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        ensure_writable(Path("/proc/data.csv"))


def test_the_loader_of_training_reads_what_was_collected(rollouts: Rollouts, tmp_path: Path) -> None:
    write_table(to_frame(rollouts), tmp_path / "data.csv")
    dataset = load_dataset(tmp_path / "data.csv", DataSettings()).dataset
    assert (dataset.n_episodes, dataset.n_transitions) == (24, rollouts.steps)
    np.testing.assert_array_equal(dataset.states, rollouts.states)
    np.testing.assert_array_equal(dataset.terminal, rollouts.terminal)


def test_the_loader_bootstraps_at_a_cut_that_the_table_shows(tmp_path: Path) -> None:
    cut = collect(make_simulator(EnvId("CartPole-v0"), 4), FixedPolicy([0.5, 0.5]), steps=5)
    write_table(to_frame(cut, with_ends=True), tmp_path / "data.parquet")
    dataset = load_dataset(tmp_path / "data.parquet", DataSettings()).dataset
    assert not dataset.terminal.any()
    np.testing.assert_array_equal(dataset.next_states, cut.next_states)


def test_a_summary_leaves_out_episodes_that_the_collection_cut() -> None:
    rollouts = collect(make_simulator(EnvId("CartPole-v0"), 4), UniformPolicy(2), steps=60, seed=1)
    summary = ReturnSummary.of(rollouts)
    whole = rollouts.returns[~rollouts.truncated[rollouts.lasts]]
    assert summary.episodes == len(whole) and summary.steps == 240
    assert summary.mean_return == pytest.approx(whole.mean())
    assert summary.standard_error == pytest.approx(whole.std(ddof=1) / np.sqrt(len(whole)))
    nothing = ReturnSummary.of(collect(make_simulator(EnvId("CartPole-v0"), 2), UniformPolicy(2), steps=3))
    assert nothing.mean_return is None and str(nothing) == "6 steps, no whole episode"
