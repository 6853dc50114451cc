"""Data written again: other formats, the other schema."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data import storage
from batchrl.data.convert import convert
from batchrl.data.convert_schema import convert_described, convert_schema
from batchrl.data.dataset import Dataset
from batchrl.data.loader import LoadedData, load_dataset
from presets.dataschema import DataSettings

Frame = Callable[..., pd.DataFrame]

SCHEMA_A = """action,all_action_probabilities,episode_id,reward,state_feature_0,truncated,target_q_values
0,"[0.5, 0.5]",0,1.0,0.125,,"[1.0, 2.0]"
1,"[0.5, 0.5]",0,2.0,0.25,,"[3.0, 4.0]"
,,0,,0.375,,
1,"[0.25, 0.75]",1,3.0,0.5,,"[5.0, 6.0]"
,,1,,0.625,1,
"""


def load(path: Path) -> LoadedData:
    return load_dataset(path, DataSettings(), with_targets=True)


def data_of(path: Path) -> Dataset:
    return load(path).dataset


@pytest.mark.parametrize(
    "through", [["b.csv.gz"], ["b.parquet"], ["b.parquet", "c.csv"], ["b.pq", "c.csv.gz", "d.csv"]]
)
def test_every_format_holds_the_same_data(tmp_path: Path, frame: Frame, through: list[str]) -> None:
    logged = frame(actions=3)
    logged.to_csv(tmp_path / "a.csv", index=False)
    source = tmp_path / "a.csv"
    for name in through:
        assert convert(source, tmp_path / name) == len(logged)
        source = tmp_path / name
    assert data_of(source).sha256() == data_of(tmp_path / "a.csv").sha256()


def test_a_csv_is_packed_byte_for_byte_and_always_alike(tmp_path: Path, frame: Frame) -> None:
    frame().to_csv(tmp_path / "a.csv", index=False)
    text = (tmp_path / "a.csv").read_text().replace("\n", "\r\n") + "\n"
    (tmp_path / "a.csv").write_text(text, newline="")
    convert(tmp_path / "a.csv", tmp_path / "one" / "b.csv.gz")
    convert(tmp_path / "a.csv", tmp_path / "two" / "c.csv.gz")
    packed = (tmp_path / "one" / "b.csv.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "a.csv").read_bytes()
    assert packed == (tmp_path / "two" / "c.csv.gz").read_bytes()
    convert(tmp_path / "one" / "b.csv.gz", tmp_path / "d.csv")
    assert (tmp_path / "d.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()


def test_rows_keep_their_order_and_unknown_columns_stay(tmp_path: Path, frame: Frame) -> None:
    logged = frame().sample(frac=1, random_state=0).assign(note=lambda rows: [f"row, {i}" for i in range(len(rows))])
    logged.to_csv(tmp_path / "a.csv", index=False)
    convert(tmp_path / "a.csv", tmp_path / "b.parquet")
    written = pd.read_parquet(tmp_path / "b.parquet")
    assert written["note"].tolist() == logged["note"].tolist()
    np.testing.assert_array_equal(written["reward"], logged["reward"])
    schema = pq.read_schema(tmp_path / "b.parquet")
    types = {name: str(schema.field(name).type) for name in (columns.ACTION, columns.ALL_ACTION_PROBABILITIES, "note")}
    assert types[columns.ACTION] == "int64" and types["note"] == "string"
    assert types[columns.ALL_ACTION_PROBABILITIES].startswith("list<")


def test_a_folder_becomes_one_file(tmp_path: Path, frame: Frame) -> None:
    logged = frame()
    folder = tmp_path / "logs"
    folder.mkdir()
    half = logged["episode_id"] < 20
    logged[half].to_csv(folder / "a.csv", index=False)
    logged[~half][logged.columns[::-1]].to_csv(folder / "b.csv.gz", index=False)
    for name in ("all.csv", "all.parquet"):
        assert convert(folder, tmp_path / name) == len(logged)
        assert data_of(tmp_path / name).sha256() == data_of(folder).sha256()


@pytest.mark.parametrize("names", [("b.csv", "a.csv"), ("b.parquet", "a.parquet"), ("b.csv.gz", "a.parquet")])
def test_the_other_schema_holds_the_same_transitions(tmp_path: Path, names: tuple[str, str]) -> None:
    (tmp_path / "source.csv").write_text(SCHEMA_A)
    b, a = (tmp_path / name for name in names)
    assert convert_schema(tmp_path / "source.csv", b, "B") == 3
    assert convert_schema(b, a, "A") == 5
    first = load(tmp_path / "source.csv")
    for path, schema in ((b, "B"), (a, "A")):
        other = load(path)
        assert other.schema == schema
        assert other.dataset.sha256() == first.dataset.sha256()
        assert other.dataset.terminal.tolist() == [False, True, False]
        assert other.dataset.next_states[2].tolist() == [0.625]
        assert other.target_q is not None and other.target_q.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_the_terminal_observation_survives_both_ways(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(SCHEMA_A)
    convert_schema(tmp_path / "a.csv", tmp_path / "b.parquet", "B")
    convert_schema(tmp_path / "b.parquet", tmp_path / "c.parquet", "A")
    written = pd.read_parquet(tmp_path / "c.parquet")
    assert written["state_feature_0"].tolist() == [0.125, 0.25, 0.375, 0.5, 0.625]
    assert written["action"].isna().tolist() == [False, False, True, False, True]


def test_episodes_may_reach_across_pieces(tmp_path: Path, frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    logged = frame(episodes=30)
    for name in [name for name in logged if name.startswith("state")]:
        following = logged.groupby("episode_id", sort=False)[name].shift(-1)
        logged[f"next_{name}"] = following.fillna(logged[name] + 1)
    logged.to_parquet(tmp_path / "b.parquet")
    monkeypatch.setattr(storage, "CHUNK_ROWS", 4)
    assert convert_schema(tmp_path / "b.parquet", tmp_path / "a.parquet", "A") == len(logged) + 30
    assert load(tmp_path / "a.parquet").schema == "A"
    np.testing.assert_array_equal(data_of(tmp_path / "a.parquet").rewards, data_of(tmp_path / "b.parquet").rewards)


def test_schema_A_is_not_made_up(tmp_path: Path, frame: Frame) -> None:
    frame().to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(InputError, match=r"b\.csv, line \d+, episode 0.*schema A holds it \(39 more rows"):
        convert_schema(tmp_path / "b.csv", tmp_path / "a.csv", "A")
    assert not (tmp_path / "a.csv").exists()


def test_the_schema_that_it_has_is_a_plain_conversion(tmp_path: Path, frame: Frame) -> None:
    frame().assign(note="kept").to_csv(tmp_path / "b.csv", index=False)
    convert_schema(tmp_path / "b.csv", tmp_path / "c.parquet", "B")
    assert "note" in pd.read_parquet(tmp_path / "c.parquet")


def test_a_file_is_replaced_only_when_told_so_and_only_by_a_whole_one(tmp_path: Path, frame: Frame) -> None:
    frame().to_csv(tmp_path / "a.csv", index=False)
    target = tmp_path / "b.parquet"
    target.write_text("precious")
    with pytest.raises(InputError, match=r"b\.parquet exists"):
        convert(tmp_path / "a.csv", target)
    broken = (tmp_path / "a.csv").read_text() + '0,"[0.5",99,1.0,1,1,1\n'
    (tmp_path / "broken.csv").write_text(broken)
    with pytest.raises(InputError, match=r"broken\.csv, line \d+, episode 99, column 'all_action_probabilities'"):
        convert(tmp_path / "broken.csv", target, overwrite=True)
    assert target.read_text() == "precious"
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
    convert(tmp_path / "a.csv", target, overwrite=True)
    assert data_of(target).n_episodes == 40


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("reward", "x", ["line 4", "column 'reward'", "'x' is not a number"]),
        ("action", "0.5", ["line 4", "column 'action'", "0.5 is not an integer"]),
        ("all_action_probabilities", "?", ["line 4", "not a list of numbers"]),
    ],
)
def test_a_cell_that_parquet_cannot_hold_is_named(
    tmp_path: Path, frame: Frame, column: str, value: str, words: list[str]
) -> None:
    logged = frame().astype({column: object})
    logged.loc[2, column] = value
    logged.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError) as caught:
        convert(tmp_path / "a.csv", tmp_path / "b.parquet")
    for word in words:
        assert word in str(caught.value)


def test_what_cannot_be_a_target_is_refused(tmp_path: Path, frame: Frame) -> None:
    frame().to_csv(tmp_path / "a.csv", index=False)
    for target, message in (("b.txt", "does not say a format"), ("dir.csv", "is a folder")):
        (tmp_path / "dir.csv").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=message):
            convert(tmp_path / "a.csv", tmp_path / target, overwrite=True)


def test_files_with_other_columns_are_not_joined(tmp_path: Path, frame: Frame) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    frame().to_csv(folder / "a.csv", index=False)
    frame().assign(extra=1).to_csv(folder / "b.csv", index=False)
    with pytest.raises(InputError, match=r"b\.csv: its columns differ from those of .*a\.csv: extra"):
        convert(folder, tmp_path / "all.csv")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_described_log_is_written_in_the_products_own_names(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "user": np.repeat([f"u{number}" for number in range(20)], 3),
            "when": rng.permutation(60),
            "treatment": rng.choice(["mail", "none"], 60),
            "margin": rng.normal(size=60).round(3),
            "p": 0.5,
            "age": rng.integers(18, 80, 60),
            "visits": rng.integers(0, 9, 60),
            "offers": "mail|none",
        }
    )
    table.to_csv(tmp_path / "raw.csv", index=False)
    columns_of = {"episode": "user", "time": "when", "action": "treatment", "reward": "margin", "propensity": "p"}
    described = {"columns": {**columns_of, "eligible": "offers"}, "state_columns": ["age", "visits"]}
    settings = DataSettings.model_validate(described)
    rows, _ = convert_described(tmp_path / "raw.csv", tmp_path / f"log{suffix}", settings)
    assert rows == 60
    before = load_dataset(tmp_path / "raw.csv", settings).dataset
    after = load_dataset(tmp_path / f"log{suffix}", DataSettings()).dataset
    assert after.state_columns == ("state_feature_age", "state_feature_visits")
    for name in ("states", "actions", "rewards", "next_states", "terminal", "offsets", "propensities", "eligible"):
        assert np.array_equal(getattr(after, name), getattr(before, name)), name
    assert after.action_names == ("mail", "none")
    assert after.episode_ids == before.episode_ids


def test_what_the_products_names_cannot_say_of_a_described_log_is_refused(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"a": [0, 1] * 4, "r": 1.0, "plan": ["gold", "free"] * 4, "who": ["x", "y"] * 4, "age": range(8)}
    )
    table.to_csv(tmp_path / "raw.csv", index=False)
    given = {"columns": {"action": "a", "reward": "r"}, "episode_ids": "per_row"}
    with pytest.raises(InputError, match="a conversion to batchrl's names writes states of plain numbers"):
        convert_described(
            tmp_path / "raw.csv", tmp_path / "x.csv", DataSettings.model_validate({**given, "state_columns": ["plan"]})
        )
    given["columns"] = {"action": "a", "reward": "r", "logger": "who"}
    with pytest.raises(InputError, match="none for who logged an episode"):
        convert_described(
            tmp_path / "raw.csv", tmp_path / "x.csv", DataSettings.model_validate({**given, "state_columns": ["age"]})
        )
    assert not (tmp_path / "x.csv").exists()
