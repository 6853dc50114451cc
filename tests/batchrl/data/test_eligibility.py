"""Rows in which not every action could be taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.contradictions import contradiction
from batchrl.data.convert_schema import convert_schema
from batchrl.data.dataset import Dataset
from batchrl.data.describe import describe
from batchrl.data.loader import load_dataset
from presets.dataschema import DataSettings

NAMES = ("call", "mail", "none")
SETS = (("call", "none"), ("call", "mail", "none"), ("mail", "none"))


def frame(episodes: int = 60, seed: int = 0) -> pd.DataFrame:
    """Episodes of up to three steps; each row has one of three sets, and takes one of it by chances of its own."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for episode in range(episodes):
        for step in range(int(rng.integers(1, 4))):
            eligible = SETS[int(rng.integers(3))]
            chances = 0.5 / len(eligible) + 0.5 * rng.dirichlet(np.ones(len(eligible)))
            taken = int(rng.choice(len(eligible), p=chances))
            every = [float(chances[eligible.index(name)]) if name in eligible else 0.0 for name in NAMES]
            rows.append(
                {
                    "episode_id": episode,
                    "step": step,
                    "action": eligible[taken],
                    "reward": float(rng.normal() + (eligible[taken] == "mail")),
                    "state_feature_0": float(rng.normal()),
                    "state_feature_1": float(rng.normal()),
                    "eligible_actions": list(eligible),
                    "own": chances.tolist(),
                    "every": every,
                    "propensity": float(chances[taken]),
                }
            )
    return pd.DataFrame(rows)


def written(path: Path, table: pd.DataFrame, **columns: Any) -> Path:
    table = table.drop(columns=["own", "every", "step"]).assign(**columns)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    else:
        table.to_csv(path, index=False)
    return path


def load(path: Path, **settings: Any) -> Dataset:
    return load_dataset(path, DataSettings.model_validate(settings)).dataset


def wanted(table: pd.DataFrame) -> np.ndarray:
    return np.array([[name in row for name in NAMES] for row in table["eligible_actions"]])


SPELLINGS = {
    "json": json.dumps,
    "python": str,
    "tuple": lambda names: str(tuple(names)),
    "pipe": "|".join,
    "semicolon": " ; ".join,
    "mask": lambda names: str([int(name in names) for name in NAMES]),
    "booleans": lambda names: str([name in names for name in NAMES]),
}


@pytest.mark.parametrize("spelling", sorted(SPELLINGS))
def test_a_list_of_actions_in_whatever_spelling(tmp_path: Path, spelling: str) -> None:
    table = frame()
    cells = table["eligible_actions"].map(SPELLINGS[spelling])
    found = load(written(tmp_path / "log.csv", table, eligible_actions=cells))
    assert found.action_names == NAMES
    assert found.eligible is not None
    assert np.array_equal(found.eligible, wanted(table))


def test_lists_of_a_parquet_file_under_a_name_of_its_own(tmp_path: Path) -> None:
    table = frame()
    path = written(tmp_path / "log.parquet", table.rename(columns={"eligible_actions": "offers"}))
    assert load(path).eligible is None
    found = load(path, columns={"eligible": "offers"})
    assert found.eligible is not None
    assert np.array_equal(found.eligible, wanted(table))


def test_a_log_without_lists_has_none(tmp_path: Path) -> None:
    assert load(written(tmp_path / "log.csv", frame().drop(columns="eligible_actions"))).eligible is None


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_probabilities_of_the_eligible_actions_alone_stand_in_the_order_of_their_list(
    tmp_path: Path, kind: str
) -> None:
    table = frame().drop(columns="propensity")
    turned = [names[::-1] for names in table["eligible_actions"]]
    own = [chances[::-1] for chances in table["own"]]
    if kind == "csv":
        turned, own = [json.dumps(each) for each in turned], [json.dumps(each) for each in own]
    path = written(tmp_path / f"log.{kind}", table, eligible_actions=turned, all_action_probabilities=own)
    found = load(path)
    assert found.behavior_policy is not None
    assert found.eligible is not None
    assert np.array_equal(found.eligible, wanted(table))
    np.testing.assert_allclose(found.behavior_policy, np.array(table["every"].tolist()), rtol=1e-12)


def test_without_lists_other_numbers_of_probabilities_are_refused_with_what_would_be_right(tmp_path: Path) -> None:
    table = frame().drop(columns="propensity")
    path = written(tmp_path / "log.csv", table.drop(columns="eligible_actions"), all_action_probabilities=table["own"])
    with pytest.raises(InputError, match=r"numbers, but . in other rows.*") as caught:
        load(path)
    assert "data.columns.eligible" in str(caught.value.hint)


def test_a_probability_of_0_means_not_eligible_where_that_is_said(tmp_path: Path) -> None:
    table = frame().drop(columns=["propensity", "eligible_actions"])
    path = written(tmp_path / "log.csv", table, all_action_probabilities=table["every"])
    assert load(path).eligible is None
    found = load(path, eligibility="probabilities")
    assert found.eligible is not None
    assert np.array_equal(found.eligible, np.array(table["every"].tolist()) > 0)
    with pytest.raises(InputError, match=r"data\.eligibility is probabilities"):
        load(written(tmp_path / "taken.csv", frame()), eligibility="probabilities")


def _set(table: pd.DataFrame, row: int, **cells: Any) -> pd.DataFrame:
    for column, cell in cells.items():
        table[column] = table[column].astype(object)
        table.at[row, column] = cell
    return table


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: _set(table, 4, eligible_actions="[]"), r"line 6.*'\[\]' is no list of actions"),
        (lambda table: _set(table, 4, eligible_actions="[call"), r"line 6.*'\[call' is no list of actions"),
        (lambda table: _set(table, 4, eligible_actions=None), r"line 6.*'offers': empty names no action"),
        (
            lambda table: _set(table, 4, action="mail", eligible_actions="call|none"),
            r"line 6.*call\|none does not hold the action that was taken",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_row(tmp_path: Path, change: Any, says: str) -> None:
    table = frame()
    table["eligible_actions"] = table["eligible_actions"].map("|".join)
    table = change(table).rename(columns={"eligible_actions": "offers"})
    with pytest.raises(InputError, match=f"(?s){says}"):
        load(written(tmp_path / "log.csv", table), columns={"eligible": "offers"})


def test_a_probability_of_an_action_that_was_not_eligible_is_refused(tmp_path: Path) -> None:
    table = frame().drop(columns="propensity")
    every = table["every"].tolist()
    every[3] = [1 / 3, 1 / 3, 1 / 3]
    lists = table["eligible_actions"].tolist()
    lists[3] = [table["action"][3]]
    path = written(tmp_path / "log.csv", table, eligible_actions=lists, all_action_probabilities=every)
    with pytest.raises(InputError, match=r"(?s)line 5.*gives an action a probability that was not eligible"):
        load(path)


def test_an_eligible_action_that_was_never_taken_is_left_out_and_told(tmp_path: Path) -> None:
    table = frame()
    table["eligible_actions"] = [[*names, "visit"] for names in table["eligible_actions"]]
    path = written(tmp_path / "log.csv", table)
    loaded = load_dataset(path, DataSettings())
    assert loaded.dataset.action_names == NAMES
    assert any("'visit' was eligible in some rows and never taken" in note for note in loaded.notes)
    kept = load(path, actions=[*NAMES, "visit"])
    assert kept.eligible is not None
    assert kept.eligible[:, 3].all()
    with pytest.raises(InputError, match="there is no action 'visit'"):
        load(path, actions=list(NAMES))


def test_what_can_be_taken_after_a_step_is_what_the_next_row_lists(tmp_path: Path) -> None:
    table = frame()
    found, lists = load(written(tmp_path / "log.csv", table)), wanted(table)
    after = found.eligible_after()
    assert after is not None
    for row in range(len(table)):
        same = row + 1 < len(table) and table["episode_id"][row] == table["episode_id"][row + 1]
        assert np.array_equal(after[row], lists[row + 1 if same else row])
    some = np.array([5, 2, 2])
    chosen = found.eligible_after(some)
    assert chosen is not None
    assert np.array_equal(chosen, after[some])


def test_it_is_part_of_selections_and_of_the_digest(tmp_path: Path) -> None:
    table = frame()
    found = load(written(tmp_path / "log.csv", table))
    chosen = found.select(np.array([3, 1]))
    assert found.eligible is not None
    assert chosen.eligible is not None
    rows = [*range(*found.offsets[3:5]), *range(*found.offsets[1:3])]
    assert np.array_equal(chosen.eligible, found.eligible[rows])
    other = load(written(tmp_path / "other.csv", table.assign(eligible_actions=[list(NAMES)] * len(table))))
    without = load(written(tmp_path / "without.csv", table.drop(columns="eligible_actions")))
    assert len({each.sha256() for each in (found, other, without)}) == 3


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_it_survives_a_change_of_schema_and_format(tmp_path: Path, suffix: str) -> None:
    found = load(written(tmp_path / "log.csv", frame()))
    convert_schema(tmp_path / "log.csv", tmp_path / f"turned{suffix}", "B", DataSettings())
    assert load(tmp_path / f"turned{suffix}").sha256() == found.sha256()


def test_an_estimated_logging_policy_takes_eligible_actions_alone(tmp_path: Path) -> None:
    table = frame(400)
    found = load(written(tmp_path / "log.csv", table.drop(columns="propensity")))
    assert found.estimated_on == 400
    assert found.behavior_policy is not None
    assert found.eligible is not None
    assert not found.behavior_policy[~found.eligible].any()
    np.testing.assert_allclose(found.behavior_policy.sum(axis=1), 1)
    # Every set's members were as likely as each other on average: so is what was estimated of them.
    for names in SETS:
        rows = np.array([tuple(each) == names for each in table["eligible_actions"]])
        mean = found.behavior_policy[rows].mean(axis=0)[[NAMES.index(name) for name in names]]
        assert np.abs(mean - 1 / len(names)).max() < 0.06


def test_propensities_are_held_against_the_rows_in_which_the_action_could_be_taken(tmp_path: Path) -> None:
    """Of a third of its rows "call" could not be taken: its inverse propensities sum up to two thirds of all."""
    table = frame(3000)
    assert contradiction(load(written(tmp_path / "log.csv", table))) is None
    wrong = table.assign(propensity=np.where(table["action"] == "call", table["propensity"] * 0.7, table["propensity"]))
    # Against all rows this would still look too few.
    assert contradiction(load(written(tmp_path / "unlisted.csv", wrong.drop(columns="eligible_actions")))) is None
    told = contradiction(load(written(tmp_path / "wrong.csv", wrong)))
    assert told is not None
    assert told.startswith("action call was taken")


def test_a_description_tells_in_which_share_of_the_rows_each_action_could_be_taken(tmp_path: Path) -> None:
    table = frame()
    found = describe(load_dataset(written(tmp_path / "log.csv", table), DataSettings()))
    assert [support.eligible for support in found.support] == pytest.approx(wanted(table).mean(axis=0).tolist())
    without = describe(
        load_dataset(written(tmp_path / "without.csv", table.drop(columns="eligible_actions")), DataSettings())
    )
    assert [support.eligible for support in without.support] == [None] * 3
