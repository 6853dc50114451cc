from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset
from batchrl.data.loader import LoadedData, load_dataset
from presets.dataschema import DataSettings

Frame = Callable[..., pd.DataFrame]

SMALL = """action,all_action_probabilities,episode_id,reward,cumulative_rewards,state_feature_0,state_feature_1
0,"[0.5, 0.5]",7,1.0,0.0,0.1,10
1,"[0.4, 0.6]",7,2.0,0.0,0.2,20
0,"[0.5, 0.5]",7,3.0,6.0,0.3,30
1,"[0.5, 0.5]",3,4.0,4.0,0.4,40
"""
SCHEMA_A = """action,all_action_probabilities,episode_id,reward,state_feature_0
0,"[0.5, 0.5]",0,1.0,0.1
1,"[0.5, 0.5]",0,2.0,0.2
,,0,,0.3
1,"[0.5, 0.5]",1,3.0,0.4
,,1,,0.5
"""


def load(path: Path, text: str, **settings: Any) -> LoadedData:
    path.write_text(text)
    return load_dataset(path, DataSettings(**settings))


def same(first: Dataset, second: Dataset) -> bool:
    return first.sha256() == second.sha256()


def test_schema_B_keeps_the_last_step_as_terminal(tmp_path: Path) -> None:
    loaded = load(tmp_path / "log.csv", SMALL)
    data = loaded.dataset
    assert loaded.schema == "B"
    assert data.episode_ids == ("7", "3")
    assert data.rewards.tolist() == [1, 2, 3, 4]
    assert data.terminal.tolist() == [False, False, True, True]
    assert data.offsets.tolist() == [0, 3, 4]
    assert data.next_states[0].tolist() == data.states[1].tolist()
    assert data.states.dtype == np.float32
    assert data.returns.tolist() == [6, 4]


def test_schema_A_takes_the_blank_row_for_the_terminal_observation(tmp_path: Path) -> None:
    loaded = load(tmp_path / "log.csv", SCHEMA_A)
    data = loaded.dataset
    assert loaded.schema == "A"
    assert data.rewards.tolist() == [1, 2, 3]
    assert data.terminal.tolist() == [False, True, True]
    assert data.n_episodes == 2


def test_legacy_drop_last_gives_coachs_transitions(tmp_path: Path) -> None:
    loaded = load(tmp_path / "log.csv", SMALL, legacy_drop_last=True)
    assert loaded.dataset.rewards.tolist() == [1, 2]
    assert loaded.dataset.terminal.tolist() == [False, True]
    assert loaded.left_out == 1, "an episode of one row has no transition in Coach"


def test_rows_of_an_episode_may_lie_apart(tmp_path: Path) -> None:
    header, *rows = SMALL.splitlines()
    apart = "\n".join([header, rows[0], rows[3], rows[1], rows[2]])
    assert same(load(tmp_path / "a.csv", apart).dataset, load(tmp_path / "b.csv", SMALL).dataset)


def test_state_columns_are_ordered_by_number_not_by_place(tmp_path: Path, frame: Frame) -> None:
    logged = frame(features=12)
    logged[logged.columns[::-1]].to_csv(tmp_path / "log.csv", index=False)
    data = load_dataset(tmp_path / "log.csv", DataSettings()).dataset
    assert data.state_columns == tuple(f"state_feature_{i}" for i in range(12))
    np.testing.assert_array_equal(data.states[:, 10], logged["state_feature_10"].to_numpy(dtype=np.float32))


def test_chosen_state_columns_are_taken_in_the_order_given(tmp_path: Path) -> None:
    data = load(tmp_path / "log.csv", SMALL, state_columns=("state_feature_1", "reward")).dataset
    assert data.states.tolist() == [[10, 1], [20, 2], [30, 3], [40, 4]]


def test_csv_gzip_parquet_and_folders_give_the_same_data(tmp_path: Path, frame: Frame) -> None:
    logged = frame()
    logged.to_csv(tmp_path / "log.csv", index=False)
    plain = load_dataset(tmp_path / "log.csv", DataSettings()).dataset
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress((tmp_path / "log.csv").read_bytes()))
    logged.to_parquet(tmp_path / "log.parquet")
    lists = logged.assign(all_action_probabilities=logged["all_action_probabilities"].map(eval))
    lists.to_parquet(tmp_path / "lists.parquet")
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    half = logged["episode_id"] < 20
    logged[half].to_csv(folder / "a.csv", index=False)
    logged[~half].to_parquet(folder / "deeper" / "b.parquet")
    (folder / ".hidden.csv").write_text("not data")
    (folder / "notes.txt").write_text("not data")
    for other in ("log.csv.gz", "log.parquet", "lists.parquet", "folder"):
        assert same(load_dataset(tmp_path / other, DataSettings()).dataset, plain), other


def test_a_truncated_end_bootstraps_when_its_next_state_is_known(tmp_path: Path) -> None:
    header = "action,all_action_probabilities,episode_id,reward,terminal,truncated,state_feature_0,next_state_feature_0"
    rows = ['0,"[0.5, 0.5]",0,1.0,0,0,0.1,0.2', '1,"[0.5, 0.5]",0,1.0,0,1,0.2,0.3', '1,"[0.5, 0.5]",1,1.0,1,0,0.4,']
    loaded = load(tmp_path / "log.csv", "\n".join([header, *rows]))
    assert loaded.dataset.terminal.tolist() == [False, False, True]
    assert loaded.dataset.next_states[1].tolist() == [np.float32(0.3)]
    assert loaded.unknown_ends == 0


def test_a_truncated_end_without_a_next_state_counts_as_terminal_and_is_counted(tmp_path: Path) -> None:
    header, *rows = SMALL.splitlines()
    flags = ["0", "0", "1", "0"]
    text = "\n".join([f"{header},truncated", *(f"{row},{flag}" for row, flag in zip(rows, flags, strict=True))])
    loaded = load(tmp_path / "log.csv", text)
    assert loaded.dataset.terminal.tolist() == [False, False, True, True]
    assert loaded.unknown_ends == 1


def test_a_truncated_end_of_schema_A_bootstraps_from_the_blank_row(tmp_path: Path) -> None:
    header, *rows = SCHEMA_A.splitlines()
    flags = ["", "", "1", "", "0"]
    text = "\n".join([f"{header},truncated", *(f"{row},{flag}" for row, flag in zip(rows, flags, strict=True))])
    data = load(tmp_path / "log.csv", text).dataset
    assert data.terminal.tolist() == [False, False, True]
    assert data.next_states[1].tolist() == [np.float32(0.3)]


def test_max_transitions_keeps_whole_episodes(tmp_path: Path) -> None:
    loaded = load(tmp_path / "log.csv", SMALL, max_transitions=3)
    assert loaded.dataset.episode_ids == ("7",)
    assert loaded.left_out == 1


def test_blank_lines_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    data = load(tmp_path / "log.csv", "\ufeff" + SMALL + "\n\n").dataset
    assert data.n_transitions == 4


def replaced(line: int, cell: int, value: str) -> str:
    """The small log with one cell changed; line 1 is the header."""
    lines = [text.replace(", ", ";") for text in SMALL.splitlines()]
    cells = lines[line - 1].split(",")
    cells[cell] = value.replace(", ", ";")
    lines[line - 1] = ",".join(cells)
    return "\n".join(lines).replace(";", ", ") + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty"]),
        (SMALL.splitlines()[0], ["no rows"]),
        ("a,b\n1,2\n", ["state_feature_", "a, b"]),
        (SMALL.replace("reward,cum", "rewards,cum"), ["'reward' is missing", "rewards"]),
        (replaced(3, 0, "2"), ["line 3", "episode 7", "'action'", "no action 2", "0 to 1"]),
        (replaced(3, 0, "-1"), ["line 3", "'action'", "no action -1"]),
        (replaced(3, 0, "0.5"), ["line 3", "'action'", "0.5 is not an integer"]),
        (replaced(3, 0, "left"), ["line 3", "episode 7", "'action'", "'left' is not a number"]),
        (replaced(3, 0, ""), ["line 3", "'action'", "empty"]),
        (replaced(3, 1, ""), ["line 3", "'all_action_probabilities'", "empty"]),
        (replaced(3, 1, '"[0.5, 0.6]"'), ["line 3", "episode 7", "does not sum to 1"]),
        (replaced(3, 1, '"[1.5, -0.5]"'), ["line 3", "negative"]),
        (replaced(3, 1, '"[1.0, 0.0]"'), ["line 3", "taken action probability 0"]),
        (replaced(3, 1, '"[NaN, 1.0]"'), ["line 3", "not finite"]),
        (replaced(3, 1, '"[0.2, 0.2, 0.6]"'), ["line 3", "3 numbers, but 2"]),
        (replaced(3, 1, '"0.5"'), ["line 3", "not a list of numbers"]),
        (replaced(3, 2, ""), ["line 3", "'episode_id'", "empty"]),
        (replaced(3, 3, ""), ["line 3", "'reward'", "empty"]),
        (replaced(3, 3, "inf"), ["line 3", "'reward'", "inf"]),
        (replaced(4, 5, "1e300"), ["line 4", "'state_feature_0'", "32 bits"]),
        (SMALL + "1,2,3,4,5,6,7,8,9\n", ["line 6"]),
        (SMALL + "\n" + '1,"[0.5, 0.5]",3,x,0,0,0\n', ["line 7", "'reward'", "'x'"]),
        (SCHEMA_A.replace(",,1,,0.5", '1,"[0.5, 0.5]",1,1.0,0.5'), ["line 6", "episode 1", "last row has action"]),
        (SCHEMA_A.replace('0,"[0.5, 0.5]",0,1.0,0.1', ",,0,,0.1"), ["line 2", "not the episode's last row"]),
        ("\x00\x01\x02\n1\n", ["the header is one column"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "log.csv"
    with pytest.raises(InputError) as caught:
        load(path, text)
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message


def test_a_single_probability_is_refused(tmp_path: Path) -> None:
    text = SMALL.replace("[0.5, 0.5]", "[1.0]").replace("[0.4, 0.6]", "[1.0]")
    with pytest.raises(InputError, match="two or more actions"):
        load(tmp_path / "log.csv", text)


def test_the_number_of_further_wrong_rows_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2.*2 more rows like it"):
        load(
            tmp_path / "log.csv",
            SMALL.replace('0,"[0.5, 0.5]"', '0,"[0.0, 1.0]"').replace('1,"[0.4, 0.6]', '1,"[1.0, 0.0]'),
        )


def test_lines_are_counted_across_cells_with_line_breaks(tmp_path: Path) -> None:
    text = SMALL.replace("[0.4, 0.6]", "[0.4,\n 0.6]").replace("0.4,40", "oops,40")
    with pytest.raises(InputError, match="line 6, episode 3, column 'state_feature_0'"):
        load(tmp_path / "log.csv", text)


def test_an_id_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(SMALL)
    with pytest.raises(InputError, match=r"episode 7 is in .*a\.csv and in .*b\.csv"):
        load_dataset(tmp_path, DataSettings())


def test_files_with_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(SMALL)
    (tmp_path / "b.csv").write_text(SMALL.replace(",state_feature_1", ",state_feature_2").replace(",7,", ",8,"))
    with pytest.raises(InputError, match=r"b\.csv: column 'state_feature_1' is missing"):
        load_dataset(tmp_path, DataSettings())


def test_a_flag_in_the_middle_of_an_episode_is_refused(tmp_path: Path) -> None:
    header, *rows = SMALL.splitlines()
    text = "\n".join([f"{header},terminal", *(f"{row},{int(i == 0)}" for i, row in enumerate(rows))])
    with pytest.raises(InputError, match=r"line 2.*'terminal'.*goes on"):
        load(tmp_path / "log.csv", text)


def test_cells_of_another_type_are_refused(tmp_path: Path, frame: Frame) -> None:
    logged = frame()
    logged["reward"] = [[1.0, 2.0]] * len(logged)
    logged.to_parquet(tmp_path / "log.parquet")
    with pytest.raises(InputError, match=r"row 1, episode 0, column 'reward'.*not a number"):
        load_dataset(tmp_path / "log.parquet", DataSettings())


def test_flags_may_be_words(tmp_path: Path) -> None:
    header, *rows = SMALL.splitlines()
    flags = ["False", "", "True", "True"]
    text = "\n".join([f"{header},terminal", *(f"{row},{flag}" for row, flag in zip(rows, flags, strict=True))])
    assert load(tmp_path / "log.csv", text).dataset.terminal.tolist() == [False, False, True, True]


@pytest.mark.parametrize("name", ["missing.csv", "empty"])
def test_a_path_without_data_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        load_dataset(tmp_path / name, DataSettings())


@pytest.mark.parametrize("name", ["log.parquet", "log.csv.gz"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8bnot really")
    with pytest.raises(InputError, match="cannot be read"):
        load_dataset(tmp_path / name, DataSettings())


def test_the_digest_tells_data_apart_and_ignores_how_it_was_written(tmp_path: Path) -> None:
    first = load(tmp_path / "a.csv", SMALL).dataset
    assert first.sha256() == load(tmp_path / "b.csv", SMALL.replace("[0.5, 0.5]", "[0.50,0.50]")).dataset.sha256()
    for other in (replaced(3, 0, "0"), replaced(3, 3, "2.5"), replaced(5, 2, "4"), replaced(2, 5, "0.11")):
        assert first.sha256() != load(tmp_path / "c.csv", other).dataset.sha256()
