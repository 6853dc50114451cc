"""Malformed files: every message names file, line or row, and column, and says what would be right."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchrl.contract.errors import InputError
from batchrl.data import csvfiles
from batchrl.data.loader import load_dataset
from presets.dataschema import DataSettings

HEADER = "action,all_action_probabilities,episode_id,reward,state_feature_0,state_feature_1,terminal,truncated"
GOOD = (
    '0,"[0.5, 0.5]",7,1.0,0.1,10,0,0',
    '1,"[0.4, 0.6]",7,2.0,0.2,20,0,0',
    '0,"[0.5, 0.5]",7,3.0,0.3,30,1,0',
    '1,"[0.5, 0.5]",3,4.0,0.4,40,0,0',
    '1,"[0.5, 0.5]",3,4.0,0.5,50,0,0',
    '0,"[0.5, 0.5]",3,4.0,0.6,60,1,0',
)
COLUMNS = HEADER.split(",")
LINE = 3


def csv_with(column: str, cell: str) -> str:
    """The good log with one cell of line 3 changed, a step inside of episode 7."""
    frame = pd.read_csv(io.StringIO("\n".join([HEADER, *GOOD])), dtype=str)
    frame.loc[LINE - 2, column] = cell
    return str(frame.to_csv(index=False))


def refused(path: Path, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dataset(path, DataSettings(**settings))
    assert str(path) in caught.value.message
    return str(caught.value)


CELLS: Mapping[str, tuple[str, str, list[str]]] = {
    "action of no number": ("action", "left", ["'left' is not a number", "one number"]),
    "action empty": ("action", "", ["empty", "an integer from 0 to 1"]),
    "action not whole": ("action", "0.5", ["0.5 is not an integer", "an integer from 0 to 1"]),
    "action too high": ("action", "2", ["there is no action 2", "from 0 to 1"]),
    "action negative": ("action", "-1", ["there is no action -1", "from 0 to 1"]),
    "action infinite": ("action", "inf", ["there is no action inf", "from 0 to 1"]),
    "action with two points": ("action", "0.0.0", ["'0.0.0' is not a number"]),
    "action with an underscore": ("action", "1_0", ["'1_0' is not a number"]),
    "probabilities empty": ("all_action_probabilities", "", ["the value is empty", "probabilities of all actions"]),
    "probabilities no list": ("all_action_probabilities", "0.5", ["'0.5' is not a list of numbers", "[0.5, 0.5]"]),
    "probabilities unclosed": ("all_action_probabilities", "[0.5, 0.5", ["not a list of numbers", "[0.5, 0.5]"]),
    "probabilities doubly closed": ("all_action_probabilities", "[0.5, 0.5]]", ["not a list of numbers"]),
    "probabilities nested": ("all_action_probabilities", "[[0.5, 0.5]]", ["not a list of numbers"]),
    "probabilities two lists": ("all_action_probabilities", "[0.5], [0.5]", ["not a list of numbers"]),
    "probabilities words": ("all_action_probabilities", "[half, half]", ["not a list of numbers"]),
    "probabilities a hole": ("all_action_probabilities", "[0.5, , 0.5]", ["not a list of numbers"]),
    "probabilities code": ("all_action_probabilities", "__import__('os')", ["not a list of numbers"]),
    "probabilities braces": ("all_action_probabilities", "{0: 0.5}", ["'{0: 0.5}' is not a list of numbers"]),
    "probabilities empty list": ("all_action_probabilities", "[]", ["not a list of numbers"]),
    "probabilities too many": ("all_action_probabilities", "[0.2, 0.2, 0.6]", ["3 numbers, but 2", "each action"]),
    "probabilities too few": ("all_action_probabilities", "[1.0]", ["1 numbers, but 2", "each action"]),
    "probabilities sum": ("all_action_probabilities", "[0.5, 0.6]", ["does not sum to 1", "that sum to 1"]),
    "probabilities negative": ("all_action_probabilities", "[1.5, -0.5]", ["negative", "from 0 to 1"]),
    "probabilities nan": ("all_action_probabilities", "[nan, 1.0]", ["not finite", "finite numbers"]),
    "probabilities all nan": (
        "all_action_probabilities",
        "[nan, nan]",
        ["the value is [nan, nan]", "probabilities of"],
    ),
    "probabilities inf": ("all_action_probabilities", "[inf, 0.5]", ["not finite"]),
    "probability of the taken": ("all_action_probabilities", "[1.0, 0.0]", ["probability 0", "above 0"]),
    "numpy unclosed": ("all_action_probabilities", "[np.float64(0.5, 0.5]", ["not a list of numbers"]),
    "episode empty": ("episode_id", "", ["empty", "the id of the row's episode"]),
    "reward of no number": ("reward", "high", ["'high' is not a number", "one number"]),
    "reward empty": ("reward", "", ["the value is empty", "a finite number"]),
    "reward infinite": ("reward", "-inf", ["the value is -inf", "a finite number"]),
    "reward beyond floats": ("reward", "1e400", ["the value is 1e400", "a finite number"]),
    "reward too large": ("reward", "-2e15", ["-2e15 is too large to learn from", "between -1e+15 and 1e+15"]),
    "reward a list": ("reward", "[1.0]", ["'[1.0]' is not a number"]),
    "reward with a comma": ("reward", "1,5", ["'1,5' is not a number"]),
    "state of no number": ("state_feature_0", "?", ["'?' is not a number", "one number"]),
    "state infinite": ("state_feature_0", "inf", ["the value is inf", "of 32 bits"]),
    "state beyond 32 bits": ("state_feature_1", "1e39", ["the value is 1e39", "of 32 bits"]),
    "state a date": ("state_feature_0", "2024-01-01", ["'2024-01-01' is not a number"]),
    "terminal of no flag": ("terminal", "2", ["2 is no flag", "0 or 1"]),
    "terminal a word": ("terminal", "maybe", ["maybe is no flag", "0 or 1"]),
    "truncated negative": ("truncated", "-1", ["-1 is no flag", "0 or 1"]),
}


@pytest.mark.parametrize("storage", ["memory", "mapped"])
@pytest.mark.parametrize("name", CELLS)
def test_a_wrong_cell_is_named(tmp_path: Path, name: str, storage: str) -> None:
    column, cell, words = CELLS[name]
    path = tmp_path / "log.csv"
    path.write_text(csv_with(column, cell))
    message = refused(path, storage=storage)
    for word in [f"line {LINE}", f"column '{column}'", *words]:
        assert word in message
    assert column == "episode_id" or "episode 7" in message


@pytest.mark.parametrize("column", ["action", "reward", "state_feature_0", "all_action_probabilities"])
def test_a_wrong_cell_of_a_compressed_csv_is_named(tmp_path: Path, column: str) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(csv_with(column, "what").encode()))
    message = refused(path)
    assert f"line {LINE}, episode 7, column '{column}'" in message and "what" in message


def typed() -> pd.DataFrame:
    """The good log with the types of Parquet."""
    frame = pd.read_csv(io.StringIO("\n".join([HEADER, *GOOD])))
    return frame.assign(all_action_probabilities=frame["all_action_probabilities"].map(eval))


PARQUET: Mapping[str, tuple[str, Any, list[str]]] = {
    "action too high": ("action", [0, 1, 5, 1, 1, 0], ["no action 5"]),
    "action not whole": ("action", [0, 1, 0.5, 1, 1, 0], ["0.5 is not an integer"]),
    "reward null": ("reward", [1.0, 2.0, None, 4.0, 4.0, 4.0], ["the value is empty"]),
    "reward text": ("reward", ["1", "2", "three", "4", "4", "4"], ["'three' is not a number"]),
    "state inf": ("state_feature_1", [0.1, 0.2, np.inf, 0.4, 0.5, 0.6], ["the value is inf", "finite number"]),
    "list too long": (
        "all_action_probabilities",
        [[0.5, 0.5]] * 2 + [[0.2, 0.2, 0.6]] + [[0.5, 0.5]] * 3,
        ["3 numbers"],
    ),
    "list of a null": ("all_action_probabilities", [[0.5, 0.5]] * 2 + [[None, 1.0]] + [[0.5, 0.5]] * 3, ["not finite"]),
    "list null": ("all_action_probabilities", [[0.5, 0.5]] * 2 + [None] + [[0.5, 0.5]] * 3, ["the value is empty"]),
    "list sum": ("all_action_probabilities", [[0.5, 0.5]] * 2 + [[0.5, 0.1]] + [[0.5, 0.5]] * 3, ["does not sum to 1"]),
    "episode null": ("episode_id", ["7", "7", None, "3", "3", "3"], ["empty", "row's episode"]),
    "flag": ("terminal", [0, 0, 3, 0, 0, 1], ["3 is no flag"]),
}


@pytest.mark.parametrize("name", PARQUET)
def test_a_wrong_cell_of_parquet_is_named_by_its_row(tmp_path: Path, name: str) -> None:
    column, cells, words = PARQUET[name]
    path = tmp_path / "log.parquet"
    table = pa.Table.from_pandas(typed().drop(columns=column), preserve_index=False).append_column(
        column, pa.array(cells)
    )
    pq.write_table(table, path)
    message = refused(path)
    for word in ["row 3", f"column '{column}'", *words]:
        assert word in message


@pytest.mark.parametrize(
    "cells",
    [[[1.0]] * 6, pd.date_range("2024-01-01", periods=6).tolist(), [{"a": 1.0}] * 6],
    ids=["list", "date", "map"],
)
def test_a_parquet_column_of_another_type_is_named(tmp_path: Path, cells: list[Any]) -> None:
    path = tmp_path / "log.parquet"
    table = pa.Table.from_pandas(typed().drop(columns="reward"), preserve_index=False)
    pq.write_table(table.append_column("reward", pa.array(cells)), path)
    message = refused(path)
    assert "row 1, episode 7, column 'reward'" in message and "is not a number" in message


FILES: Mapping[str, tuple[str | bytes, list[str]]] = {
    "nothing": ("", ["is empty", "a csv file with a header"]),
    "blank lines": ("\n \n\n", ["is empty"]),
    "a header alone": (HEADER + "\n", ["no rows"]),
    "rows of commas": (HEADER + "\n,,,,,,,\n,,,,,,,\n", ["no rows"]),
    "a column twice": (HEADER.replace("truncated", "reward") + "\n" + GOOD[0], ["column 'reward' stands twice"]),
    "no reward": (HEADER.replace("reward", "prize") + "\n" + GOOD[0], ["'reward' is missing", "the file has action"]),
    "no state": (HEADER.replace("state_feature", "s") + "\n" + GOOD[0], ["state_feature_", "data.state_columns"]),
    "semicolons": (HEADER.replace(",", ";") + "\n0;1", ["2 cells, but the header names 8"]),
    "too many cells": ("\n".join([HEADER, *GOOD, GOOD[0] + ",1"]), ["line 8", "9 cells", "8 columns"]),
    "too few cells": ("\n".join([HEADER, GOOD[0], "1,2,3", *GOOD[1:]]), ["line 3", "3 cells", "8 columns"]),
    "a quote never closed": ("\n".join([HEADER, GOOD[0], GOOD[1].replace(']"', "]"), *GOOD[2:]]), ["line 3", "cells"]),
    "probabilities without quotes": ("\n".join([HEADER, *GOOD]).replace('"', ""), ["line 2", "9 cells", "quotes"]),
    "no utf-8": (
        ("\n".join([HEADER, *GOOD])).encode().replace(b",7,", b",\xff,"),
        ["line 2", "0xff is no UTF-8", "data.encoding"],
    ),
    "binary": (bytes(range(256)) * 10, []),
    "every probability empty": (
        "\n".join([HEADER, *GOOD]).replace('"[0.5, 0.5]"', "").replace('"[0.4, 0.6]"', ""),
        ["every cell is empty"],
    ),
    "a flag inside an episode": (
        "\n".join([HEADER, '0,"[0.5, 0.5]",7,1.0,0.1,10,1,0', *GOOD[1:]]),
        ["line 2", "'terminal'", "goes on"],
    ),
    "schema A, an inner blank": (
        "\n".join([HEADER, ",,7,,0.1,1,,", GOOD[1], ",,7,,0.2,2,,"]),
        ["line 2", "'action'", "not the episode's last row", "the action taken"],
    ),
    "schema A, no blank end": (
        "\n".join([HEADER, GOOD[0], ",,7,,0.2,2,,", GOOD[3]]),
        ["line 4", "episode 3", "last row has action 1"],
    ),
    "schema A, a wrong closing state": (
        "\n".join([HEADER, GOOD[0], ",,7,,inf,2,,"]),
        ["line 3", "'state_feature_0'", "the value is inf"],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_malformed_file_is_told(tmp_path: Path, name: str) -> None:
    content, words = FILES[name]
    path = tmp_path / "log.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    message = refused(path)
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", ["log.csv.gz", "log.parquet"])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_file_cut_short_is_told(tmp_path: Path, name: str, keep: float) -> None:
    whole = tmp_path / "whole.parquet"
    typed().to_parquet(whole)
    content = gzip.compress("\n".join([HEADER, *GOOD] * 50).encode()) if name.endswith("gz") else whole.read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(keep * len(content))])
    refused(path)


def test_a_state_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("\n".join([HEADER, *GOOD]))
    assert "'speed' is missing" in refused(path, state_columns=("speed",))


def test_a_wrong_row_after_blank_ones_is_found(tmp_path: Path, frame: Callable[..., pd.DataFrame]) -> None:
    path = tmp_path / "log.csv"
    path.write_text("\n".join([HEADER, GOOD[0], "", ",,,,,,,", "   ", GOOD[1].replace("2.0", "two"), *GOOD[2:]]))
    assert "line 6, episode 7, column 'reward': 'two'" in refused(path)


def test_a_wrong_row_of_the_second_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *GOOD]))
    (tmp_path / "b.csv").write_text(csv_with("reward", "x").replace(",7,", ",8,").replace(",3,", ",9,"))
    with pytest.raises(InputError, match=r"b\.csv, line 3, episode 8, column 'reward': 'x' is not a number"):
        load_dataset(tmp_path, DataSettings())


def test_a_wrong_row_far_into_a_file_is_found(tmp_path: Path) -> None:
    """Beyond the first batch of rows."""
    n = 200_000
    rows = pd.DataFrame({"action": 0, "all_action_probabilities": "[0.5, 0.5]", "episode_id": np.arange(n) // 20})
    rows = rows.assign(reward=1.0, state_feature_0=np.arange(n, dtype=float), terminal=0).astype({"reward": object})
    rows.loc[[n - 5, n - 3], "reward"] = ["", ""]
    path = tmp_path / "log.csv"
    rows.to_csv(path, index=False)
    message = refused(path)
    assert f"line {n - 5 + 2}, episode {n // 20 - 1}, column 'reward'" in message and "1 more row like it" in message


def test_a_stream_that_is_damaged_in_the_middle_is_told(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress("\n".join([HEADER, *GOOD] * 50).encode(), mtime=0))
    path = tmp_path / "log.csv.gz"
    for place in range(10, len(packed)):
        path.write_bytes(bytes(packed[:place]) + b"[[[[[[[[" + bytes(packed[place:]))
        assert "log.csv.gz" in refused(path)


def test_a_row_of_another_length_that_is_no_text_prints_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[object] = []
    csvfiles._keep_quiet_about_rows_that_are_no_text.cache_clear()
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    path = tmp_path / "log.csv"
    path.write_bytes("\n".join([HEADER, *GOOD]).encode() + b"\n\xd7\xff,1\n")
    assert "log.csv" in refused(path)
    assert printed == []
