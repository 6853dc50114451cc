"""Episodes divided into those that are learnt from and those that judge."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchrl.contract import columns
from batchrl.contract.divided import Divided
from batchrl.contract.errors import InputError
from batchrl.contract.records import from_json, to_json
from batchrl.data.divide import divide
from batchrl.data.loader import load_dataset
from batchrl.policies import Floats32, Floats64, UniformPolicy
from presets.dataschema import DataSettings

Frame = Callable[..., pd.DataFrame]


def divided(source: Path, folder: Path, share: float = 0.3, seed: int = 1, prefix: str = "r01-") -> Divided:
    return divide(source, folder / "kept.parquet", folder / "held_out.parquet", share=share, seed=seed, prefix=prefix)


def ids_of(path: Path) -> set[str]:
    return set(pd.read_parquet(path)[columns.EPISODE_ID])


def test_every_episode_goes_whole_into_one_of_two_files(data_file: Path, tmp_path: Path) -> None:
    found = divided(data_file, tmp_path)
    source = pd.read_csv(data_file)
    kept, held_out = (pd.read_parquet(tmp_path / name) for name in ("kept.parquet", "held_out.parquet"))
    assert held_out[columns.EPISODE_ID].nunique() == 12  # 30 % of 40
    assert ids_of(tmp_path / "kept.parquet").isdisjoint(ids_of(tmp_path / "held_out.parquet"))
    together = pd.concat([kept, held_out]).sort_values(columns.EPISODE_ID, kind="stable")
    source = source.assign(**{columns.EPISODE_ID: [f"r01-{number}" for number in source[columns.EPISODE_ID]]})
    source = source.sort_values(columns.EPISODE_ID, kind="stable")
    for name in (columns.EPISODE_ID, columns.ACTION, columns.REWARD):
        assert together[name].tolist() == source[name].tolist()
    returns = source.groupby(columns.EPISODE_ID)[columns.REWARD].sum()
    assert found.everything.mean_return == pytest.approx(returns.mean())
    assert found.everything.standard_error == pytest.approx(returns.std() / np.sqrt(40))
    assert found.held_out is not None
    assert found.held_out.mean_return == pytest.approx(returns[sorted(ids_of(tmp_path / "held_out.parquet"))].mean())
    assert (found.everything.transitions, found.features, found.actions) == (len(source), 3, 2)


def test_the_draw_is_the_seeds(data_file: Path, tmp_path: Path) -> None:
    divided(data_file, tmp_path / "a")
    divided(data_file, tmp_path / "b")
    divided(data_file, tmp_path / "c", seed=2)
    first, again, other = (ids_of(tmp_path / name / "held_out.parquet") for name in "abc")
    assert first == again != other


def test_files_of_several_rounds_are_one_data_set(data_file: Path, tmp_path: Path) -> None:
    """The same ids come in every round's file, and a folder of files refuses an id that stands in two."""
    for number in (1, 2):
        target = tmp_path / f"round_{number}.parquet"
        divide(data_file, target, None, share=0.0, seed=0, prefix=f"r{number}-")
    assert load_dataset(tmp_path, DataSettings()).dataset.n_episodes == 80


def test_ends_survive_whatever_the_schema_was(frame: Frame, tmp_path: Path) -> None:
    """Schema A's closing row becomes the next state of the last step; a cut episode stays one."""
    rows = frame(10)
    closing = rows.groupby(columns.EPISODE_ID).tail(1).copy()
    closing[[columns.ACTION, columns.ALL_ACTION_PROBABILITIES, columns.REWARD]] = None
    closing[f"{columns.STATE_FEATURE_PREFIX}0"] = 9.0
    closing[columns.TRUNCATED] = (closing[columns.EPISODE_ID] % 2).astype(int)
    both = pd.concat([rows.assign(**{columns.TRUNCATED: 0}), closing]).sort_values(columns.EPISODE_ID, kind="stable")
    both.to_csv(tmp_path / "a.csv", index=False)
    assert load_dataset(tmp_path / "a.csv", DataSettings()).schema == "A"

    divided(tmp_path / "a.csv", tmp_path)
    data = pd.concat([pd.read_parquet(tmp_path / name) for name in ("kept.parquet", "held_out.parquet")])
    lasts = data.groupby(columns.EPISODE_ID).tail(1)
    assert (lasts[f"{columns.NEXT_STATE_FEATURE_PREFIX}0"] == 9.0).all()
    odd = lasts[columns.EPISODE_ID].str.removeprefix("r01-").astype(int) % 2
    assert (lasts[columns.TRUNCATED] == odd).all() and (lasts[columns.TERMINAL] == 1 - odd).all()


def test_at_least_two_episodes_are_held_out_and_two_are_left(frame: Frame, tmp_path: Path) -> None:
    frame(4).to_csv(tmp_path / "four.csv", index=False)
    found = divided(tmp_path / "four.csv", tmp_path, share=0.01)
    assert found.held_out is not None and found.held_out.episodes == 2
    with pytest.raises(InputError, match="4 episodes: 3 held out leave 1"):
        divided(tmp_path / "four.csv", tmp_path, share=0.7)


def test_data_that_another_policy_logged_is_refused_with_the_row(data_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"log\.csv, line 2, episode 0: logged with probabilities .* takes \[0\.5, 0"):
        divide(
            *(data_file, tmp_path / "kept.parquet", None),
            share=0.0,
            seed=0,
            prefix="",
            logged_by=lambda actions: UniformPolicy(actions).action_probabilities,
        )
    assert not list(tmp_path.iterdir())


def test_the_policy_that_logged_it_may_round(data_file: Path, tmp_path: Path) -> None:
    def rounded(states: Floats32) -> Floats64:
        scores = np.exp(0.3 * states[:, :1].astype(np.float64) * np.arange(2))
        return np.round(scores / scores.sum(axis=1, keepdims=True), 4)

    found = divide(
        *(data_file, tmp_path / "kept.parquet", None),
        share=0.0,
        seed=0,
        prefix="",
        logged_by=lambda actions: rounded,
    )
    assert found.held_out is None and found.everything.episodes == 40


def test_the_command_answers_in_json(data_file: Path, tmp_path: Path) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        arguments = ["divide", str(data_file), str(tmp_path / "kept.csv"), "--seed", "1", "--prefix", "x-", *options]
        return subprocess.run(
            [sys.executable, "-m", "batchrl.commandline.data", *arguments], capture_output=True, text=True
        )

    done = run("--held-out", str(tmp_path / "held_out.csv"), "--share", "0.5")
    assert done.returncode == 0, done.stderr
    told = from_json(Divided, json.loads(done.stdout))
    assert told.held_out is not None and told.held_out.episodes == 20
    assert (told.everything.episodes, told.actions) == (40, 2) and to_json(told) == json.loads(done.stdout)
    refused = run("--logged-by", "[0.9, 0.1]")
    assert refused.returncode == 2 and "takes [0.9, 0.1]" in json.loads(refused.stdout)["message"]


def test_an_episode_that_was_cut_short_stays_so_where_the_state_after_it_is_not_known(tmp_path: Path) -> None:
    table = pd.DataFrame({"action": [0, 1, 0, 1] * 10, "episode_id": np.arange(40) // 2, "reward": 1.0})
    table["all_action_probabilities"] = "[0.5, 0.5]"
    table["state_feature_0"] = np.arange(40.0)
    table["truncated"] = (np.arange(40) % 4 == 3).astype(int)
    table.to_csv(tmp_path / "log.csv", index=False)
    before = load_dataset(tmp_path / "log.csv", DataSettings())
    assert before.unknown_ends == 10
    divide(tmp_path / "log.csv", tmp_path / "kept.parquet", None, share=0.0, seed=0, prefix="")
    kept = pd.read_parquet(tmp_path / "kept.parquet")
    assert kept["terminal"].tolist() == [0, 1, 0, 0] * 10
    assert kept["truncated"].tolist() == [0, 0, 0, 1] * 10
    assert kept["next_state_feature_0"].isna().tolist() == [False, False, False, True] * 10
    after = load_dataset(tmp_path / "kept.parquet", DataSettings())
    assert after.unknown_ends == 10
    assert after.dataset.sha256() == before.dataset.sha256()
