"""All findings of a file come at once: what cannot be read beside what cannot be used, and nothing that comes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.findings import MOST, NOWHERE, Finding, of_cells, refuse_all
from batchrl.data.formats import FileFormat
from batchrl.data.loader import load_dataset
from batchrl.data.locations import RowLocations
from batchrl.data.tables import Table, open_tables
from presets.dataschema import DataSettings

N, STEPS = 60, 4
STATES = [f"x{number}" for number in range(4)]
COLUMNS = {"episode": "user", "time": "day", "action": "act", "reward": "money"}
AHEAD = {"csv": 2, "jsonl": 1}


def log(chances: bool = False) -> pd.DataFrame:
    """60 episodes of 4 steps of three actions, the propensities of the taken ones or the probabilities of all."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user": np.repeat([f"u{number}" for number in range(N)], STEPS),
            "day": np.tile([f"2026-01-0{step + 1}" for step in range(STEPS)], N),
            "act": rng.choice(["call", "mail", "none"], N * STEPS),
            "money": rng.normal(size=N * STEPS).round(3),
            "can": '["call", "mail", "none"]',
            "who": np.repeat(rng.choice(["old", "new"], N), STEPS),
            **{name: rng.normal(size=N * STEPS).round(3) for name in STATES},
            "plan": rng.choice(["gold", "basic"], N * STEPS),
            "terminal": np.tile([0] * (STEPS - 1) + [1], N),
        }
    )
    more = {"all_action_probabilities": "[0.3, 0.3, 0.4]"} if chances else {"p": 0.25}
    return frame.assign(**more).astype(object)


def closed() -> pd.DataFrame:
    """The same with a row after each episode that closes it (schema A)."""
    frame = log(chances=True)
    last = frame.iloc[STEPS - 1 :: STEPS].assign(day="2026-01-05", terminal=1)
    last[["act", "money", "all_action_probabilities", "can"]] = np.nan
    frame["terminal"] = 0
    return pd.concat([frame, last]).sort_values(["user", "day"], kind="stable", ignore_index=True)


def refusal(folder: Path, frame: pd.DataFrame, kind: str = "csv", **settings: Any) -> list[str]:
    """The faults that are told, one each, without the path."""
    path = folder / f"log.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    columns: dict[str, str] = {**COLUMNS, "eligible": "can"} if "can" in frame else dict(COLUMNS)
    columns |= {"propensity": "p"} if "p" in frame else {}
    wanted = {"columns": columns, "state_columns": [*STATES, "plan"], **settings}
    with pytest.raises(InputError) as caught:
        load_dataset(path, DataSettings(**wanted), with_targets=True)
    message = str(caught.value).replace(f"{path}, ", "").replace(f"{path}: ", "")
    first, *others = message.split("\nAlso wrong:\n")
    return [first.replace("\n", " "), *(line.removeprefix("- ") for line in "\n".join(others).splitlines())]


# Cells of a log by column and row, and the faults that are told of them; {n} stands for the line of row n.
OF_TAKEN: Mapping[str, tuple[Mapping[str, Mapping[int, Any]], list[str]]] = {
    "a feature": (
        {"x0": {5: "old", 9: "older", 13: "?", 17: "x"}},
        ["{5}, episode u1, column 'x0': 'old' is not a number (3 more rows like it: {9}, {13}, ...). Right is: one"],
    ),
    "times": (
        {"day": {21: "soon", 30: "later"}},
        ["{21}, episode u5, column 'day': 'soon' is no time (1 more row like it: {30}). Right is: a date as"],
    ),
    "a number as a time": ({"day": {21: "17"}}, ["{21}, episode u5, column 'day': '17' is no time. Right is: a date"]),
    "no time": ({"day": {21: np.nan}}, ["{21}, episode u5, column 'day': the cell is empty. Right is: the time of"]),
    "no id": (
        {"user": {21: np.nan, 33: np.nan}},
        ["{21}, column 'user': the cell is empty (1 more row like it: {33})."],
    ),
    "a propensity above 1": (
        {"p": {21: 1.5, 25: 0}},
        ["{21}, episode u5, column 'p': 1.5 is no probability of an action that was taken (1 more row like it: {25})."],
    ),
    "a list of actions": (
        {"can": {21: "[1,", 22: "[2,"}},
        ["{21}, episode u5, column 'can': '[1,' is no list of actions (1 more row like it: {22}). Right is:"],
    ),
    "an action that is not eligible": (
        {"act": {21: "call"}, "can": {21: "mail|none"}},
        ["{21}, episode u5, column 'can': mail|none does not hold the action that was taken."],
    ),
    "a flag": ({"terminal": {21: "yes", 23: "no"}}, ["{21}, episode u5, column 'terminal': yes is no flag (1 more"]),
    "a flag inside, and a time of another episode": (
        {"day": {21: "soon"}, "terminal": {33: 1}},
        [
            "{21}, episode u5, column 'day': 'soon' is no time.",
            "{33}, episode u8, column 'terminal': the value is 1, but",
        ],
    ),
}
OF_ALL: Mapping[str, tuple[Mapping[str, Mapping[int, Any]], list[str]]] = {
    "no vector": (
        {"all_action_probabilities": {21: "half", 24: 0.5}},
        ["{21}, episode u5, column 'all_action_probabilities': 'half' is not a list of numbers (1 more row like it"],
    ),
    "vectors of other lengths": (
        {"all_action_probabilities": {0: "[1.0]", 24: "[0.5, 0.5]", 25: "half"}},
        [
            "{0}, episode u0, column 'all_action_probabilities': 1 numbers, but 3 in other rows (1 more row like",
            "{25}, episode u6, column 'all_action_probabilities': 'half' is not a list of numbers.",
        ],
    ),
    "too many names": (
        {"act": {21: "fax"}},
        ["the log holds 4 actions (call, fax, mail, none), but 'all_action_probabilities' has 3 probabilities."],
    ),
    "values to be scored": (
        {"target_q_values": {row: {21: "[1, 2]", 22: "x"}.get(row, "[1, 2, 3]") for row in range(N * STEPS)}},
        [
            "{21}, episode u5, column 'target_q_values': 2 numbers, but 3 in other rows.",
            "{22}, episode u5, column 'target_q_values': 'x' is not a list of numbers.",
        ],
    ),
}


def named(words: str, kind: str) -> str:
    """With the places of the rows whose numbers stand in braces."""
    unit = "line {}"
    return re.sub(r"\{(\d+)\}", lambda found: unit.format(int(found[1]) + AHEAD[kind]), words)


@pytest.mark.parametrize("kind", AHEAD)
@pytest.mark.parametrize("name", [*OF_TAKEN, *OF_ALL])
def test_what_cannot_be_read_comes_with_all_else_and_nothing_that_comes_of_it(
    tmp_path: Path, name: str, kind: str
) -> None:
    changes, expected = {**OF_TAKEN, **OF_ALL}[name]
    frame = log(chances=name in OF_ALL)
    if name in OF_ALL:
        frame = frame.drop(columns="can")
    for column, cells in {"money": {150: "n/a", 160: 1e20}, **changes}.items():
        frame.loc[list(cells), column] = pd.Series(cells)
    frame = pd.concat([frame, frame.iloc[[201]]]).sort_index(kind="stable", ignore_index=True)
    found = refusal(tmp_path, frame, kind)
    wanted = [
        *expected,
        "{150}, episode u37, column 'money': 'n/a' is not a number. Right is: one number.",
        "{160}, episode u40, column 'money': 1e+20 is too large",
        "1 of 241 rows are exact copies of one before in their episode (first row: {202}, episode u50)",
    ]
    for words in wanted:
        assert any(named(words, kind) in fault for fault in found), (named(words, kind), found)
    assert len(found) == len(wanted), found


def test_a_fault_of_many_columns_is_told_once(tmp_path: Path) -> None:
    frame = log()
    frame.loc[5, "x0"], frame.loc[[6, 7], "x1"], frame.loc[8, "x3"] = "old", "a", "b"
    frame.loc[21, "p"], frame.loc[22, "money"] = "half", "n/a"
    first, second = refusal(tmp_path, frame)
    assert "line 7, episode u1, column 'x0': 'old' is not a number." in first
    assert first.endswith("2 more columns have this fault: 'x1' (2 rows, first line 8), 'x3' (1 row, line 10).")
    assert "line 24, episode u5, column 'money': 'n/a' is not a number." in second
    assert second.endswith("1 more column has this fault: 'p' (1 row, line 23).")


def test_fifty_kinds_of_fault_stay_readable(tmp_path: Path) -> None:
    frame = log()
    more = [f"feature_{number:02}" for number in range(50)]
    frame = frame.assign(**{name: normal(number) for number, name in enumerate(more)}).astype(object)
    for number, name in enumerate(more):
        frame.loc[number, name] = "y" * 10_000
    frame.loc[100, "money"], frame.loc[101, "p"], frame.loc[102, "day"] = "n/a", 2, "x"
    found = refusal(tmp_path, frame, state_columns=more)
    assert len(found) == 4 and "49 more columns have this fault: 'feature_01' (1 row, line 3), " in found[0]
    assert max(map(len, found)) < 600 and "yyy... (10,000 characters)" in found[0]
    assert "line 102, episode u25, column 'money'" in found[1] and "line 104" in found[2] and "line 103" in found[3]


def normal(seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=N * STEPS).round(3)


def test_more_kinds_than_are_told_are_counted() -> None:
    rows = np.zeros(1, np.int64)
    findings = [Finding(f"fault {number}", "Mend it.", NOWHERE) for number in range(MOST)]
    findings += [of_cells(f"c{number}", f"{{value}} is fault {number}", "another", rows) for number in range(5)]
    places = RowLocations([])
    places.begin(Table(Path("a.csv"), {}, [], FileFormat("csv", False, "utf-8", ",", ".")), 0)
    with pytest.raises(InputError) as caught:
        refuse_all(findings, places)
    message = str(caught.value)
    assert message.count("Mend it.") == MOST
    assert message.endswith("- and 5 more kinds of fault, of the columns 'c0', 'c1', 'c2', ....")


def test_a_folder_names_the_files_of_further_rows(tmp_path: Path) -> None:
    (tmp_path / "days").mkdir()
    for day in "ab":
        frame = log().assign(user=lambda frame: day + frame["user"]).astype(object)  # noqa: B023
        frame.loc[[7, 9], "money"] = "n/a"
        frame.to_csv(tmp_path / "days" / f"{day}.csv", index=False)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "days", DataSettings(columns={**COLUMNS, "propensity": "p"}, state_columns=STATES))
    assert f"(3 more rows like it: line 11, {tmp_path}/days/b.csv, line 9, ...)" in str(caught.value)


def test_ids_of_two_files_come_with_the_rest(tmp_path: Path) -> None:
    for day in "ab":
        frame = log()
        frame.loc[7, "money"] = "n/a"
        frame.to_csv(tmp_path / f"{day}.csv", index=False)
    with pytest.raises(InputError) as caught:
        settings = DataSettings(columns={**COLUMNS, "propensity": "p"}, state_columns=STATES, episode_ids="unique")
        load_dataset(tmp_path, settings)
    message = str(caught.value)
    assert "'n/a' is not a number (1 more row like it" in message and len(message.splitlines()) == 4
    assert f"episode u0 is in {tmp_path}/a.csv and in {tmp_path}/b.csv; 59 more ids are in two files" in message


@pytest.mark.parametrize("column", ["day", "user", "act", "money", "p", "can", "terminal"])
def test_a_whole_column_that_cannot_be_read_is_told_with_the_rest(tmp_path: Path, column: str) -> None:
    """Its rows are in no other finding, but in those of other cells."""
    frame = log()
    frame[column] = {"can": "[1,", "user": np.nan, "act": np.nan}.get(column, "what")
    other = "x0" if column != "money" else "x2"
    frame.loc[150, other] = "n/a"
    frame.loc[160, "p" if column != "p" else "money"] = 1e20
    found = refusal(tmp_path, frame, "jsonl")
    together = " ".join(found)
    assert "'n/a' is not a number" in together and f"'{column}'" in together and "1e+20" in together
    assert len(found) == 3, found


def test_of_closed_episodes_all_is_told_and_nothing_that_comes_of_it(tmp_path: Path) -> None:
    frame = closed().drop(columns="can")
    assert load_dataset(written(tmp_path, frame), DataSettings(columns=COLUMNS, state_columns=STATES)).schema == "A"
    frame.loc[6, "act"] = np.nan  # in the middle of u1
    frame.loc[14, "act"] = "mail"  # the row that closes the third
    frame.loc[19, "money"] = 5.0
    frame.loc[21, "day"] = "x"
    frame.loc[22, "money"] = "n/a"
    frame.loc[[32, 39], "user"] = np.nan  # inside, and the row that closes its episode
    found = refusal(tmp_path, frame)
    for words in (
        "{6}, episode u1, column 'act': the cell is empty, but this is not the episode's last row.",
        "{14}, episode u10, column 'act': the episode's last row has action mail",
        "1 rows without an action, which close their episodes, carry rewards of 5 in all (first row: {19}",
        "{21}, episode u12, column 'day': 'x' is no time.",
        "{22}, episode u12, column 'money': 'n/a' is not a number.",
        "{32}, column 'user': the cell is empty (1 more row like it: {39}).",
    ):
        assert any(named(words, "csv") in fault for fault in found), (named(words, "csv"), found)
    assert len(found) == 6, found


def written(folder: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(folder / "log.csv", index=False)
    return folder / "log.csv"


def test_times_are_numbers_or_dates_through_all_files(tmp_path: Path) -> None:
    """Seconds since 1970 beside step numbers would sort, but mean nothing."""
    log().to_csv(tmp_path / "a.csv", index=False)
    second = log().assign(user=lambda frame: "v" + frame["user"], day=np.tile(range(STEPS), N))
    second.to_csv(tmp_path / "b.csv", index=False)
    settings = DataSettings(columns={**COLUMNS, "propensity": "p"}, state_columns=STATES)
    with pytest.raises(InputError, match=r"b\.csv, line 2.*'0' is no time \(239 more.*\n.*a date as .*as other cells"):
        load_dataset(tmp_path, settings)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,2,3", "the row has 3 cells, but the header names 2 columns (2 more lines like it: line 4, line 6)."),
        ("1,\udcff", "the byte 0xff is no UTF-8 (2 more lines like it: line 4, line 6)."),
    ],
)
def test_lines_that_are_no_rows_are_counted(tmp_path: Path, line: str, words: str) -> None:
    lines = ["a,b", "1,2", line, line, "1,2", line]
    (tmp_path / "log.csv").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        list(open_tables(tmp_path / "log.csv")[0].batches({"a": pa.float64(), "b": pa.string()}))
    assert f"line 3: {words}" in str(caught.value)
