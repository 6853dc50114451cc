"""Actions that have a column each: read as one column of actions, named, and refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset
from batchrl.data.loader import load_dataset
from batchrl.data.onehot import names_of
from batchrl.data.proposing import proposed
from presets import PresetError, resolve_train
from presets.dataschema import ColumnSettings, DataSettings
from presets.dataspec import changed, overrides_of

NAMES = ("none", "call", "mail")
LIST = tuple(f"action_{name}" for name in NAMES)


def one_hot(n: int = 48) -> pd.DataFrame:
    """Rows with a column for each action, the first of which is taken most often."""
    rng = np.random.default_rng(3)
    taken = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    frame = pd.DataFrame({"episode_id": np.arange(n) // 4, "reward": rng.normal(size=n), "propensity": 0.5})
    frame["state_feature_0"] = rng.normal(size=n)
    return frame.assign(**{name: (taken == number).astype(int) for number, name in enumerate(LIST)})


def taken(frame: pd.DataFrame) -> list[str]:
    """The name of each row's action, by looking at its cells one by one."""
    return [next(name for name in NAMES if row[f"action_{name}"]) for _, row in frame.iterrows()]


def read(path: Path, named: str | tuple[str, ...], **settings: Any) -> Dataset:
    return load_dataset(path, DataSettings(columns=ColumnSettings(action=named), **settings)).dataset


def called(data: Dataset) -> list[str]:
    return [data.action_names[action] for action in data.actions]


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep=";" if path.stem == "semicolons" else ",")
    return path


@pytest.mark.parametrize("kind", ["integers", "floats", "booleans"])
@pytest.mark.parametrize("name", ["log.csv", "semicolons.csv", "log.parquet", "log.jsonl"])
def test_columns_are_read_as_one_column_of_actions(tmp_path: Path, name: str, kind: str) -> None:
    frame = one_hot()
    typed = frame.astype(dict.fromkeys(LIST, {"integers": int, "floats": float, "booleans": bool}[kind]))
    path = write(typed, tmp_path / name)
    by_pattern, by_list = read(path, "action_*"), read(path, LIST)
    assert by_pattern.action_names == ("call", "mail", "none") and by_list.action_names == NAMES
    assert called(by_pattern) == called(by_list) == taken(frame)


def test_an_action_that_nobody_took_is_one(tmp_path: Path) -> None:
    path = write(one_hot().assign(action_fax=0), tmp_path / "log.csv")
    assert read(path, "action_*").action_names == ("call", "fax", "mail", "none")


def test_rows_that_close_their_episodes_are_empty_in_all_columns(tmp_path: Path) -> None:
    frame = one_hot()
    frame.loc[frame.index % 4 == 3, [*LIST, "reward", "propensity"]] = np.nan
    for name in ("log.csv", "log.parquet"):
        loaded = load_dataset(write(frame, tmp_path / name), DataSettings(columns=ColumnSettings(action=LIST)))
        assert loaded.schema == "A" and called(loaded.dataset) == taken(frame[frame.index % 4 != 3])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "two are 1": (
        {"action_none": 1, "action_call": 1},
        "line 9, episode 1, column 'action_none, action_call, action_mail': [1, 1, 0] is no one-hot vector: "
        "2 entries are 1",
    ),
    "none is 1": ({}, "[0, 0, 0] is no one-hot vector: no entry is 1"),
    "a half": ({"action_none": 0.5, "action_call": 0.5}, "] is no one-hot vector.\nRight is: 1 in one of these"),
    "one is empty": ({"action_call": None, "action_mail": 1}, "'[0, , 1]' is not a list of numbers"),
    "a word": ({"action_call": "often"}, "'[0, often, 0]' is not a list of numbers"),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("case", WRONG)
def test_a_row_without_one_action_is_named(tmp_path: Path, case: str, suffix: str) -> None:
    cells, said = WRONG[case]
    frame = one_hot().astype(dict.fromkeys(LIST, object))
    frame.loc[7, list(LIST)] = 0
    for name, cell in cells.items():
        frame.loc[7, name] = cell
    if suffix == "parquet":
        if case == "a word":
            frame = frame.astype({"action_call": str})
        said = said.replace("line 9", "row 8")
    if suffix == "jsonl":
        said = said.replace("line 9", "line 8")
    with pytest.raises(InputError) as caught:
        read(write(frame, tmp_path / f"log.{suffix}"), LIST)
    assert said in str(caught.value)


def test_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    path = write(one_hot(), tmp_path / "log.csv")
    for named, said in (
        (
            ("action_none", "action_cal"),
            "'action_cal' is missing, which is named by data.columns.action.\nDid you mean",
        ),
        ("arm_*", "'arm_*', which fits no column"),
        ("action_c*", "which fits 'action_call' alone"),
    ):
        with pytest.raises(InputError, match=r"log\.csv") as caught:
            read(path, named)
        assert said in str(caught.value)


def test_files_of_one_log_have_the_same_columns(tmp_path: Path) -> None:
    frame = one_hot()
    folder = tmp_path / "logs"
    folder.mkdir()
    write(frame[:24], folder / "a.csv")
    write(frame[24:][frame.columns[::-1]], folder / "b.parquet")
    assert called(read(folder, "action_*")) == taken(frame)
    write(frame[24:].assign(action_fax=0), folder / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: its columns of actions \(action_call, action_fax, .* differ"):
        read(folder, "action_*")


def test_names_follow_the_setting(tmp_path: Path) -> None:
    frame = one_hot()
    path = write(frame, tmp_path / "log.csv")
    data = read(path, "action_*", actions=("mail", "none", "call"))
    assert data.action_names == ("mail", "none", "call") and called(data) == taken(frame)
    with pytest.raises(InputError, match="names mail, call, but the columns of actions are those of call, mail, none"):
        read(path, "action_*", actions=("mail", "call"))


def test_all_probabilities_are_those_of_the_columns(tmp_path: Path) -> None:
    frame = one_hot().drop(columns="propensity").assign(all_action_probabilities="[0.6, 0.3, 0.1]")
    path = write(frame, tmp_path / "log.csv")
    loaded = load_dataset(path, DataSettings(columns=ColumnSettings(action=LIST)))
    assert loaded.dataset.behavior_policy is not None and called(loaded.dataset) == taken(frame)
    assert any("none, call, mail, in this order" in note for note in loaded.notes)
    with pytest.raises(InputError, match=r"3 columns of actions .*, but 'all_action_probabilities' has 2 prob"):
        read(write(frame.assign(all_action_probabilities="[0.6, 0.4]"), path), LIST)


def test_a_list_of_eligible_actions_may_name_one_that_nobody_took(tmp_path: Path) -> None:
    frame = one_hot().assign(action_fax=0, eligible_actions="none|call|mail|fax")
    frame.loc[0, "eligible_actions"] = "none|call|mail"
    data = read(write(frame, tmp_path / "log.csv"), "action_*")
    assert data.eligible is not None and data.eligible[0].tolist() == [True, False, True, True]
    assert data.eligible[1:].all()


def test_columns_may_be_called_by_our_own_names(tmp_path: Path) -> None:
    frame = one_hot().drop(columns="action_mail")
    frame = frame[frame["action_none"] + frame["action_call"] == 1]
    renamed = frame.rename(columns={"action_none": "action", "action_call": "other"})
    data = read(write(renamed, tmp_path / "log.csv"), ("action", "other"))
    assert data.action_names == ("action", "other") and np.array_equal(data.actions, renamed["other"])
    starred = frame.rename(columns={"action_none": "a*"})
    assert np.array_equal(read(write(starred, tmp_path / "log.csv"), "a*").actions, starred["a*"])


@pytest.mark.parametrize(
    ("parts", "named", "names"),
    [
        (("action_a_x", "action_a_y"), "action_*", ("a_x", "a_y")),
        (("action_a_x", "action_a_y"), None, ("x", "y")),
        (("call", "mail"), None, ("call", "mail")),
        (("action_call", "action_call_back"), None, ("call", "call_back")),
        (("arm=1", "arm=12"), None, ("1", "12")),
        (("arm_", "arm_b"), None, ("arm_", "arm_b")),
        (("arm_b_x", "arm_c_x"), "arm_*_x", ("b", "c")),
        (("a_1_x", "b_1_x"), "*_1_*", ("a_1_x", "b_1_x")),
    ],
)
def test_names_are_those_of_the_columns_without_what_all_begin_with(
    parts: tuple[str, ...], named: str | None, names: tuple[str, ...]
) -> None:
    assert names_of(parts, named or parts) == names


def test_columns_are_said_in_presets_and_in_words() -> None:
    for said in (["a", "b"], "[a, b]", '["a", "b"]', "['a', 'b']"):
        assert resolve_train("generic-discrete", {"data.columns.action": said}).data.columns.action == ("a", "b")
    described = overrides_of(None, "action=arm_*,reward=gain", None)
    assert changed(DataSettings(), described).columns.action == "arm_*"
    for wrong in ("[a]", "[]", "[a, a]"):
        with pytest.raises(PresetError, match="a list of two or more"):
            resolve_train("generic-discrete", {"data.columns.action": wrong})


@pytest.mark.parametrize(
    ("more", "named"),
    [({}, "action_*"), ({"action_cost": 2.5}, ("action_call", "action_mail", "action_none"))],
)
def test_one_hot_columns_are_proposed(tmp_path: Path, more: dict[str, float], named: str | tuple[str, ...]) -> None:
    frame = one_hot().assign(**more)
    path = write(frame, tmp_path / "log.csv")
    text = proposed(path)
    (tmp_path / "data.yaml").write_text(text)
    settings = changed(DataSettings(), overrides_of(tmp_path / "data.yaml", None, None))
    assert settings.columns.action == named and "one-hot columns, 3 values, such as call, mail, none" in text
    assert settings.state_columns == ("state_feature_0",)
    assert called(load_dataset(path, settings).dataset) == taken(frame)


def test_columns_that_are_not_one_hot_are_not_proposed(tmp_path: Path) -> None:
    frame = one_hot()
    frame.loc[5, list(LIST)] = 1
    assert "# action: ?" in proposed(write(frame, tmp_path / "log.csv"))


def test_columns_of_an_action_that_has_its_own_are_left_out(tmp_path: Path) -> None:
    frame = one_hot()
    text = proposed(write(frame.assign(action=taken(frame)), tmp_path / "log.csv"))
    assert "action: action  # text" in text and "# left out: action_*: one-hot columns" in text
    assert "- action_" not in text
