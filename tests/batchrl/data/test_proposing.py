"""Descriptions of files that nobody has described yet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from batchrl.contract.errors import InputError
from batchrl.data.loader import load_dataset
from batchrl.data.proposing import proposed
from presets.dataschema import DataSettings
from presets.dataspec import changed, overrides_of


def campaign(n: int = 120) -> pd.DataFrame:
    """Rows as a campaign logs them."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "user_id": [f"u{number // 4}" for number in range(n)],
            "sent_at": [f"2026-03-{number % 4 + 1:02d}" for number in range(n)],
            "treatment": rng.choice(["none", "coupon"], n),
            "margin": rng.normal(size=n).round(2),
            "p": 0.5,
            "age": rng.integers(18, 80, n),
            "member": rng.choice([True, False], n),
            "plan": rng.choice(["gold", "basic"], n),
            "note": [f"call {number}" for number in range(n)],
        }
    )


def settings_of(path: Path, text: str) -> DataSettings:
    """What the proposal says, read as the commands read it."""
    (path / "data.yaml").write_text(text)
    return changed(DataSettings(), overrides_of(path / "data.yaml", None, None))


def test_a_column_without_a_name_is_no_part_of_the_state(tmp_path: Path) -> None:
    campaign().to_csv(tmp_path / "raw.csv")
    frame = pd.read_csv(tmp_path / "raw.csv")  # whose first column pandas calls "Unnamed: 0"
    frame.to_csv(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text().startswith(",Unnamed: 0,user_id")
    text = proposed(tmp_path / "again.csv")
    assert settings_of(tmp_path, text).state_columns == ("age", "member", "plan")
    assert "left out: '': number, 120 values" in text and "left out: 'Unnamed: 0': number, 120 values" in text


@pytest.mark.parametrize("name", ["raw.csv", "raw.parquet", "raw.jsonl"])
def test_what_is_proposed_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    frame = campaign()
    if name.endswith("csv"):
        frame.to_csv(tmp_path / name, index=False)
    elif name.endswith("parquet"):
        frame.to_parquet(tmp_path / name)
    else:
        frame.to_json(tmp_path / name, orient="records", lines=True)
    text = proposed(tmp_path / name)
    settings = settings_of(tmp_path, text)
    called = {"episode": "user_id", "time": "sent_at", "action": "treatment", "reward": "margin", "propensity": "p"}
    assert {key: value for key, value in settings.columns.model_dump().items() if value} == called
    assert {"age", "member", "plan"} <= set(settings.state_columns or ())
    assert "left out: note" in text and "Is 'p' the probability" in text
    data = load_dataset(tmp_path / name, settings).dataset
    assert (data.n_episodes, data.action_names) == (30, ("coupon", "none"))


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    frame = campaign().drop(columns=["user_id", "sent_at", "treatment", "p"])
    frame.to_csv(tmp_path / "raw.csv", index=False)
    text = proposed(tmp_path / "raw.csv")
    assert "# action: ?" in text and "episode_ids: per_row" in text and "With which probability" in text
    assert settings_of(tmp_path, text).episode_ids == "per_row"


def test_all_probabilities_go_before_the_taken_actions(tmp_path: Path) -> None:
    frame = campaign().assign(all_action_probabilities="[0.5, 0.5]")
    frame.to_csv(tmp_path / "raw.csv", index=False)
    columns = yaml.safe_load(proposed(tmp_path / "raw.csv"))["columns"]
    assert columns["probabilities"] == "all_action_probabilities" and "propensity" not in columns


def is_new(text: str) -> bool:
    """Whether a text can be the name of one more column."""
    return bool(text.strip()) and "\x00" not in text and text.strip() not in {*campaign().columns} - {"age"}


@given(name=st.text(min_size=1, max_size=12).filter(is_new))
def test_any_name_is_written_so_that_it_is_read_again(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("names")
    frame = campaign().rename(columns={"age": name})
    frame.to_parquet(folder / "raw.parquet")
    settings = settings_of(folder, proposed(folder / "raw.parquet"))
    found = {*(settings.state_columns or ()), *filter(None, settings.columns.model_dump().values())}
    assert name.strip() in found


@pytest.mark.parametrize(("n", "guessed"), [(120, True), (1200, False)])
def test_quantities_for_actions_are_told_what_to_become(tmp_path: Path, n: int, guessed: bool) -> None:
    doses = np.random.default_rng(1).gamma(2.0, 1.0, n)
    campaign(n).assign(treatment=doses).to_csv(tmp_path / "raw.csv", index=False)
    text = proposed(tmp_path / "raw.csv")
    assert "batchrl data convert raw.csv ranges.parquet --bin treatment=5 makes 5 ranges of it" in text
    assert ("  action: treatment" in text) == guessed
    for whole in (campaign(n), campaign(n).assign(treatment=np.floor(doses))):
        whole.to_csv(tmp_path / "raw.csv", index=False)
        assert "--bin" not in proposed(tmp_path / "raw.csv")


def test_names_of_quantities_and_of_one_hot_columns_do_not_break_lines(tmp_path: Path) -> None:
    frame = campaign().drop(columns="treatment")
    frame["a\u2028b_action"] = np.random.default_rng(1).random(len(frame))
    frame.to_parquet(tmp_path / "raw.parquet")
    text = proposed(tmp_path / "raw.parquet")
    assert "holds quantities" in text and settings_of(tmp_path, text).columns.action == "a\u2028b_action"
    parts = ("arm_\u2028b", "arm_ä", "arm_\n")
    hot = frame.drop(columns="a\u2028b_action").assign(arm_cost=2.5)
    hot[list(parts)] = np.eye(3, dtype=int)[np.arange(len(hot)) % 3]
    hot.to_parquet(tmp_path / "raw.parquet")
    found = settings_of(tmp_path, proposed(tmp_path / "raw.parquet")).columns.action
    assert isinstance(found, tuple) and {part.strip() for part in parts} == {part.strip() for part in found}


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    campaign().head(0).to_csv(tmp_path / "raw.csv", index=False)
    with pytest.raises(InputError, match="no rows"):
        proposed(tmp_path / "raw.csv")


def test_a_column_that_lists_what_could_be_taken_is_found_by_what_it_holds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sets = ("call|none", "call|mail|none", "mail|none")
    offers = [sets[number] for number in rng.integers(0, 3, 60)]
    taken = [str(rng.choice(offer.split("|"))) for offer in offers]
    table = pd.DataFrame({"treatment": taken, "offers": offers, "margin": rng.normal(size=60), "age": range(60)})
    table.to_csv(tmp_path / "log.csv", index=False)
    text = proposed(tmp_path / "log.csv")
    found = yaml.safe_load(text)
    assert found["columns"]["eligible"] == "offers"
    assert found["state_columns"] == ["age"]
    assert "Could every action be taken" not in text
    # A set that lacks the action of its row is something else.
    table.loc[7, "treatment"] = "mail" if "mail" not in offers[7] else "call"
    table.loc[7, "offers"] = "none|mail" if table.loc[7, "treatment"] == "call" else "none|call"
    table.to_csv(tmp_path / "log.csv", index=False)
    assert "eligible" not in yaml.safe_load(proposed(tmp_path / "log.csv"))["columns"]
