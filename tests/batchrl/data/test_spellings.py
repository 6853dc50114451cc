"""What is not malformed: the spellings of CSV and Parquet that are read alike."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchrl.data import csvfiles, tables
from batchrl.data import reading as reading_module
from batchrl.data.dataset import Dataset
from batchrl.data.loader import load_dataset
from batchrl.data.probabilities import parse_probabilities
from presets.dataschema import DataSettings

Frame = Callable[..., pd.DataFrame]

PLAIN = """action,all_action_probabilities,episode_id,reward,state_feature_0
0,"[0.5, 0.5]",a,1.5,0.25
1,"[0.25, 0.75]",a,-2,1e-3
0,"[0.5, 0.5]",b,0,100
"""


def load(path: Path, content: str | bytes) -> Dataset:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_dataset(path, DataSettings()).dataset


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.rstrip("\n"),
        "\ufeff" + PLAIN,
        "\n\n" + PLAIN + "\n\n",
        PLAIN.replace("action,", " action ,", 1).replace("reward", " reward"),
        PLAIN.replace(",1.5,", ",+1.5,"),
        PLAIN.replace(",1.5,", ",  1.5  ,"),
        PLAIN.replace(",1.5,", ',"1.5",'),
        PLAIN.replace("\n0,", "\n0.0,").replace("\n1,", "\n1.0,"),
        PLAIN.replace("0.25, 0.75", "0.25,\n 0.75"),
        PLAIN.replace("[0.25, 0.75]", "[np.float64(0.25), np.float64(0.75)]"),
        PLAIN.replace("[0.25, 0.75]", "array([0.25, 0.75])"),
        PLAIN.replace("[0.25, 0.75]", "[0.25 0.75]"),
        PLAIN.replace("[0.25, 0.75]", "(0.25, 0.75)"),
    ],
    ids=[
        "crlf",
        "cr",
        "no last line break",
        "byte order mark",
        "blank lines",
        "spaces in the header",
        "a plus",
        "spaces around",
        "quoted numbers",
        "actions with a point",
        "a line break in a cell",
        "numpy's scalars",
        "numpy's array",
        "an array's text",
        "a tuple",
    ],
)
def test_spellings_of_csv_are_read_alike(tmp_path: Path, content: str) -> None:
    expected = load(tmp_path / "plain.csv", PLAIN).sha256()
    assert load(tmp_path / "other.csv", content).sha256() == expected
    assert load(tmp_path / "other.csv.gz", gzip.compress(content.encode())).sha256() == expected


def test_a_gzip_file_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    half = PLAIN.index('1,"[0.25')
    packed = gzip.compress(PLAIN[:half].encode()) + gzip.compress(PLAIN[half:].encode())
    assert load(tmp_path / "log.csv.gz", packed).sha256() == load(tmp_path / "log.csv", PLAIN).sha256()


def test_ids_are_text_as_written(tmp_path: Path) -> None:
    data = load(tmp_path / "log.csv", PLAIN.replace(",a,", ",007,").replace(",b,", ",7,"))
    assert data.episode_ids == ("007", "7")


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("action", pa.array([0, 1, 0], pa.int8())),
        ("action", pa.array([False, True, False])),
        ("reward", pa.array(["1.5", "-2", "0"])),
        ("reward", pa.array([1.5, -2.0, 0.0]).cast(pa.decimal128(12, 2))),
        ("state_feature_0", pa.array([0.25, 1e-3, 100.0], pa.float32())),
        ("episode_id", pa.array(["a", "a", "b"]).dictionary_encode()),
        ("episode_id", pa.DictionaryArray.from_arrays(pa.array([1, 1, 0]), pa.array(["b", "a"]))),
        ("all_action_probabilities", pa.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]], pa.list_(pa.float64(), 2))),
        ("all_action_probabilities", pa.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]], pa.large_list(pa.float32()))),
        ("all_action_probabilities", pa.array(["[0.5, 0.5]", "[0.25, 0.75]", "[0.5, 0.5]"], pa.large_string())),
        ("all_action_probabilities", pa.array(["[0.5, 0.5]", "[0.25, 0.75]", "[0.5, 0.5]"]).dictionary_encode()),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else value,
)
def test_types_of_parquet_are_read_alike(tmp_path: Path, name: str, cells: pa.Array) -> None:
    expected = load(tmp_path / "plain.csv", PLAIN)
    plain: dict[str, Any] = {
        "action": [0, 1, 0],
        "all_action_probabilities": [[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]],
        "episode_id": ["a", "a", "b"],
        "reward": [1.5, -2.0, 0.0],
        "state_feature_0": [0.25, 1e-3, 100.0],
    }
    pq.write_table(pa.table(plain | {name: cells}), tmp_path / "log.parquet")
    data = load_dataset(tmp_path / "log.parquet", DataSettings()).dataset
    assert data.episode_ids == ("a", "b")
    assert data.sha256() == expected.sha256()


def test_files_are_read_in_batches_without_a_seam(
    tmp_path: Path, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = frame(episodes=60)
    logged.to_csv(tmp_path / "log.csv", index=False)
    logged.to_parquet(tmp_path / "log.parquet")
    whole = load_dataset(tmp_path / "log.csv", DataSettings()).dataset.sha256()
    monkeypatch.setattr(csvfiles, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(tables, "PARQUET_ROWS", 7)
    for name in ("log.csv", "log.parquet"):
        assert load_dataset(tmp_path / name, DataSettings()).dataset.sha256() == whole, name


def test_rows_without_probabilities_may_fill_whole_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In schema A, episodes that hold nothing but their closing row come first."""
    monkeypatch.setattr(tables, "PARQUET_ROWS", 2)
    empty = [{"episode_id": number, "state_feature_0": 0.5} for number in range(5)]
    step = {
        "action": 1.0,
        "all_action_probabilities": [0.5, 0.5],
        "reward": 2.0,
        "episode_id": 5,
        "state_feature_0": 1.0,
    }
    last = {"episode_id": 5, "state_feature_0": 3.0}
    pd.DataFrame([*empty, step, last, *({**row, "episode_id": 9} for row in (step, last))]).to_parquet(
        tmp_path / "a.parquet"
    )
    loaded = load_dataset(tmp_path / "a.parquet", DataSettings())
    assert (loaded.schema, loaded.left_out) == ("A", 5)
    assert loaded.dataset.behavior_policy.tolist() == [[0.5, 0.5]] * 2


def test_numbers_that_arrow_does_not_know_do_not_slow_down_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a file with such a cell is read as text."""
    ways: list[bool] = []
    reading = reading_module._Reading

    def watched(chosen: Any, settings: Any, how: Any) -> Any:
        ways.append(how.as_text)
        return reading(chosen, settings, how)

    monkeypatch.setattr(reading_module, "_Reading", watched)
    load(tmp_path / "a.csv", PLAIN)
    load(tmp_path / "b.csv", PLAIN.replace(",1.5,", ", 1.5 ,"))
    assert ways == [False, False]
    load(tmp_path / "c.csv", PLAIN.replace(",1.5,", ",TRUE,"))
    assert ways == [False, False, False, True]
    # A text in the first row says at once that a column is a category.
    load(tmp_path / "d.csv", PLAIN.replace("0.25\n", "gold\n").replace("1e-3", "gold").replace("100", "basic"))
    assert ways == [False, False, False, True, False]


@pytest.mark.parametrize(
    "spell", [str, lambda row: str([np.float64(value) for value in row]), lambda row: str(tuple(row))]
)
def test_many_different_texts_are_read_exactly(spell: Callable[[list[float]], str]) -> None:
    vectors = np.random.default_rng(0).dirichlet(np.ones(3), 500)
    assert parse_probabilities([spell(row) for row in vectors.tolist()]).tolist() == vectors.tolist()


@pytest.mark.parametrize(
    "odd", ["[0.1, 0.2, x]", "[0.1, 0.2]", "0.1, 0.2, 0.7", "[0.1, 0.2, 0.7", "[0.1, 0.2, 0.7]]", "[]"]
)
def test_one_odd_text_among_many_is_found(odd: str) -> None:
    texts = [str(row) for row in np.random.default_rng(0).dirichlet(np.ones(3), 300).tolist()]
    texts[217] = odd
    with pytest.raises(ValueError, match="numbers") as caught:
        parse_probabilities(texts)
    assert caught.value.position == 217
