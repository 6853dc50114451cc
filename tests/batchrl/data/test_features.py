"""Raw columns of the state: their kinds, what they are encoded as, and what stays as it always was."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchrl.contract.errors import InputError
from batchrl.data import encoded, storage
from batchrl.data.dataset import Dataset, Integers
from batchrl.data.encoding import MOST_LEVELS, Encoding, NumberFeature, RawColumn, needs_offset
from batchrl.data.loader import LoadedData, load_dataset
from presets.dataschema import ColumnSettings, DataSettings


def log(columns: dict[str, Any], episodes: int = 20, steps: int = 3) -> pd.DataFrame:
    """A log whose state is these columns."""
    rng = np.random.default_rng(0)
    n = episodes * steps
    frame = pd.DataFrame({"action": rng.integers(0, 2, n), "all_action_probabilities": ["[0.5, 0.5]"] * n})
    frame["episode_id"] = np.repeat([f"e{number}" for number in range(episodes)], steps)
    frame["reward"] = rng.normal(size=n).round(3)
    return frame.assign(**columns)


def read(path: Path, frame: pd.DataFrame, **settings: Any) -> LoadedData:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False)
    names = [
        name for name in frame.columns if name not in ("action", "all_action_probabilities", "episode_id", "reward")
    ]
    return load_dataset(path, DataSettings(state_columns=tuple(names), **settings))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_kinds_are_found_in_every_format(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(1)
    plan = rng.choice(["gold", "silver"], 60)
    age = rng.integers(20, 60, 60).astype(float)
    age[5] = np.nan
    when = pd.date_range("2024-01-01 06:00", periods=60, freq="6h")
    member = rng.integers(0, 2, 60).astype(bool)
    sent = when if suffix == ".parquet" else when.strftime("%Y-%m-%dT%H:%M:%SZ")
    loaded = read(tmp_path / f"log{suffix}", log({"plan": plan, "age": age, "sent_at": sent, "member": member}))
    data = loaded.dataset
    assert data.state_columns == (
        "plan=gold",
        "plan=silver",
        "age",
        "age?missing",
        *(f"sent_at:{part}" for part in ("days", "weekday_sin", "weekday_cos", "hour_sin", "hour_cos")),
        "member",
    )
    assert data.states.dtype == np.float32
    hours = when.hour.to_numpy() / 24
    weekday = when.day_of_week.to_numpy() / 7
    expected = np.column_stack(
        [
            plan == "gold",
            plan == "silver",
            np.where(np.isnan(age), np.nanmean(age), age),
            np.isnan(age),
            np.arange(60) / 4,
            np.sin(2 * np.pi * weekday),
            np.cos(2 * np.pi * weekday),
            np.sin(2 * np.pi * hours),
            np.cos(2 * np.pi * hours),
            member,
        ]
    ).astype(np.float64)
    np.testing.assert_allclose(data.states, expected, atol=1e-6)
    inner = np.flatnonzero(~data.terminal)
    np.testing.assert_array_equal(data.next_states[inner], data.states[inner + 1])
    assert len(loaded.notes) == 3 and "the mean" in loaded.notes[1]


def test_times_stay_apart_that_float32_merges(tmp_path: Path) -> None:
    moments = 1_704_067_200 + np.arange(3000)
    data = read(tmp_path / "log.csv", log({"sent": moments, "x": np.zeros(3000)}, episodes=1000)).dataset
    assert len(np.unique(moments.astype(np.float32))) < 40
    assert len(np.unique(data.states[:, 0])) == 3000
    assert data.state_columns == ("sent", "x")


def test_plain_numbers_stay_as_they_are(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(273, 5, (60, 2))
    loaded = read(tmp_path / "log.csv", log({"a": values[:, 0], "b": values[:, 1]}))
    assert loaded.dataset.encoding is None and loaded.notes == ()
    np.testing.assert_array_equal(loaded.dataset.states, values.astype(np.float32))


@pytest.mark.parametrize(
    ("low", "high", "needed"),
    [(0, 1e12, False), (270, 310, False), (1.7e9, 1.7e9 + 3000, True), (5e4, 5e4 + 1e-2, True), (3, 3, False)],
)
def test_an_offset_is_for_what_lies_far_from_zero(low: float, high: float, needed: bool) -> None:
    assert needs_offset(low, high) is needed


def test_settings_say_what_is_a_category_or_a_date(tmp_path: Path) -> None:
    frame = log({"shop": np.tile([7, 12, 7], 20), "sent": np.arange(60) * 86_400})
    data = read(tmp_path / "log.csv", frame, categories=("shop",), dates=("sent",)).dataset
    assert data.state_columns == ("shop=12", "shop=7", "sent:days", "sent:weekday_sin", "sent:weekday_cos")
    assert data.states[:3, :3].tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 2]]
    with pytest.raises(InputError, match=r"data\.dates names 'when', which is no column of the state"):
        read(tmp_path / "log.csv", frame, dates=("when",))


def test_a_cell_of_another_kind_is_named_with_what_would_read_it(tmp_path: Path) -> None:
    ages = [str(age) for age in range(60)]
    ages[4] = "old"
    with pytest.raises(InputError, match=r"line 6, .*'age': 'old' is not a number.*") as caught:
        read(tmp_path / "log.csv", log({"age": ages}))
    assert "data.categories" in caught.value.hint
    dates = ["2024-01-01"] * 60
    dates[4] = "later"
    with pytest.raises(InputError, match=r"line 6, .*'later' is no date"):
        read(tmp_path / "log.csv", log({"sent": dates}))


def first_19(dataset: Dataset) -> Integers:
    assert dataset.n_episodes == 20
    return np.arange(19, dtype=np.int64)


def test_the_encoding_is_fitted_on_training_episodes_alone(tmp_path: Path) -> None:
    plan = np.array(["gold", "silver"] * 30, dtype=object)
    plan[-3:] = "new"
    age = np.arange(60.0)
    age[-2] = np.nan
    loaded = read(tmp_path / "log.csv", log({"plan": plan, "age": age}))
    fitted = load_dataset(tmp_path / "log.csv", DataSettings(state_columns=("plan", "age")), learnt_from=first_19)
    assert fitted.dataset.state_columns == ("plan=gold", "plan=silver", "age")
    assert fitted.dataset.states[-2].tolist() == [0, 0, pytest.approx(28.0)]
    assert loaded.dataset.state_columns == ("plan=gold", "plan=new", "plan=silver", "age", "age?missing")
    assert fitted.dataset.encoding is not None
    again = load_dataset(
        tmp_path / "log.csv",
        DataSettings(),
        encoding=Encoding.from_json(json.loads(json.dumps(fitted.dataset.encoding.to_json()))),
    )
    assert again.dataset.sha256() == fitted.dataset.sha256() != loaded.dataset.sha256()


def test_of_many_levels_the_frequent_ones_have_features() -> None:
    counts = np.arange(1, 51)
    levels = tuple(f"c{number:02}" for number in range(50))
    codes = np.repeat(np.arange(50.0), counts)
    column = RawColumn("city", "category", levels)
    encoding = Encoding.fitted([column], codes[:, None])
    assert encoding.names == (*(f"city={level}" for level in levels[50 - MOST_LEVELS :]), "city?other")
    seen = encoding.encode(
        [RawColumn("city", "category", ("c00", "unheard of", "c49"))], np.array([[0.0], [1.0], [2.0]])
    )
    assert seen.argmax(axis=1).tolist() == [MOST_LEVELS, MOST_LEVELS, MOST_LEVELS - 1]
    assert seen.sum(axis=1).tolist() == [1, 1, 1]


def test_a_column_without_any_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'age' has no value in any training episode"):
        read(tmp_path / "log.csv", log({"age": [np.nan] * 60, "x": np.arange(60.0)}))


def test_next_states_share_the_levels(tmp_path: Path) -> None:
    content = (
        "action,all_action_probabilities,episode_id,reward,terminal,state_feature_0,next_state_feature_0\n"
        + '0,"[0.5, 0.5]",a,1,0,red,blue\n1,"[0.5, 0.5]",a,1,0,blue,green\n'
        + '0,"[0.5, 0.5]",b,1,0,green,red\n1,"[0.5, 0.5]",b,1,0,red,\n'
    )
    pd.read_csv(io.StringIO(content)).to_csv(tmp_path / "log.csv", index=False)
    loaded = load_dataset(tmp_path / "log.csv", DataSettings())
    assert loaded.dataset.state_columns == ("state_feature_0=blue", "state_feature_0=green", "state_feature_0=red")
    assert loaded.dataset.next_states[:3].argmax(axis=1).tolist() == [0, 1, 2]
    assert loaded.unknown_ends == 1


@pytest.mark.parametrize("chunk", [1, 4, 1 << 18])
@pytest.mark.parametrize("backwards", [False, True])
def test_states_that_follow_each_other_are_encoded_as_if_each_row_held_the_next(
    tmp_path: Path, backwards: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schema A, whose cut episodes end with a row of their last state, and B with that state in every row."""
    monkeypatch.setattr(storage, "CHUNK_ROWS", chunk)
    rng = np.random.default_rng(4)
    plain, whole = [], []
    for episode in range(12):
        steps, cut = int(rng.integers(1, 5)), bool(rng.random() < 0.5)
        states = [(float(rng.integers(18, 80)), str(rng.choice(["gold", "free", "new"]))) for _ in range(steps + 1)]
        states = [(age if rng.random() > 0.2 else np.nan, plan) for age, plan in states]
        for step, (age, plan) in enumerate(states):
            row = {"action": int(rng.integers(2)), "all_action_probabilities": "[0.5, 0.5]", "reward": rng.normal()}
            row |= {"episode_id": f"e{episode}", "when": step, "state_feature_0": age, "state_feature_1": plan}
            last = step == steps
            flags = {"terminal": int(last and not cut), "truncated": int(last and cut)}
            plain.append(row | flags | ({"action": None, "reward": None} if last else {}))
            if not last:
                follows = {"next_state_feature_0": states[step + 1][0], "next_state_feature_1": states[step + 1][1]}
                ends = {
                    name: int(value and step == steps - 1)
                    for name, value in (("terminal", not cut), ("truncated", cut))
                }
                whole.append(row | ends | follows)
    found = []
    for name, rows in (("a.csv", plain), ("b.csv", whole)):
        frame = pd.DataFrame(rows)
        frame = frame.sort_values(["episode_id", "when"], ascending=[True, False]) if backwards else frame
        frame.to_csv(tmp_path / name, index=False)
        settings = DataSettings(columns=ColumnSettings(time="when"))
        found.append(load_dataset(tmp_path / name, settings, learnt_from=lambda data: np.arange(data.n_episodes)))
    by_row, with_next = (loaded.dataset for loaded in found)
    assert [loaded.schema for loaded in found] == ["A", "B"] and not by_row.terminal.all()
    assert by_row.encoding is not None and by_row.encoding == with_next.encoding
    assert by_row.sha256() == with_next.sha256()
    assert found[0].unknown_ends == found[1].unknown_ends == 0


def test_columns_are_looked_at_one_by_one_in_the_episodes_that_are_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded, "BLOCK_ROWS", 7)
    monkeypatch.setattr(encoded, "COLUMNS_AT_ONCE", 2)
    rng = np.random.default_rng(5)
    columns = {f"x{at}": rng.normal(size=60).round(3) for at in range(4)}
    columns["x3"][rng.random(60) < 0.3] = np.nan
    frame = log({**columns, "plan": rng.choice(["gold", "free"], 60)})
    frame.to_csv(tmp_path / "log.csv", index=False)
    names = (*columns, "plan")
    chosen = np.array([0, 3, 4, 17])
    given = load_dataset(
        tmp_path / "log.csv", DataSettings(state_columns=names), learnt_from=lambda data: chosen
    ).dataset.encoding
    rows = frame[frame["episode_id"].isin([f"e{episode}" for episode in chosen])]
    assert given is not None
    for feature in given.features[:4]:
        assert isinstance(feature, NumberFeature)
        assert feature.mean == pytest.approx(rows[feature.column].mean(), rel=1e-12)
        assert feature.missing == rows[feature.column].isna().any()


def test_levels_that_training_never_saw_are_told_and_a_column_of_nothing_else_is_refused() -> None:
    trained = RawColumn("plan", "category", ("gold", "basic"))
    encoding = Encoding.fitted([trained], np.array([[0.0], [1.0]]))
    assert encoding.unseen([trained], np.array([[0.0], [1.0], [np.nan]])) == ()
    other = RawColumn("plan", "category", ("gold", "silver", "wood"))
    states = np.array([[0.0], [1.0], [2.0], [1.0], [np.nan]])
    (said,) = encoding.unseen([other], states)
    assert "(silver, wood) in 3 of 4 rows" in said
    assert encoding.encode([other], states).sum() == 1
    with pytest.raises(InputError, match="only levels that training never saw: silver") as caught:
        encoding.unseen([other], states[1:2])
    assert "Training saw basic, gold" in str(caught.value.hint)


def test_a_log_is_told_what_its_policys_training_never_saw(tmp_path: Path) -> None:
    plans = {"plan": (["gold", "basic", "silver"] * 20)[:60]}
    loaded = read(tmp_path / "log.csv", log(plans))
    assert not any("never saw" in note for note in loaded.notes)
    known = Encoding.fitted([RawColumn("plan", "category", ("gold", "basic"))], np.array([[0.0], [1.0]]))
    again = load_dataset(tmp_path / "log.csv", DataSettings(), encoding=known)
    assert any("(silver) in 20 of 60 rows" in note for note in again.notes)
    assert load_dataset(tmp_path / "log.csv", DataSettings(), encoding=loaded.dataset.encoding).notes == loaded.notes


def test_propensities_are_estimated_on_the_encoding_that_training_stores(tmp_path: Path) -> None:
    frame = log({"plan": np.array(["gold", "silver"] * 28 + ["new"] * 4), "age": np.arange(60.0)})
    frame.drop(columns="all_action_probabilities").to_csv(tmp_path / "log.csv", index=False)
    settings = DataSettings(state_columns=("plan", "age"))
    begun = load_dataset(tmp_path / "log.csv", settings, learnt_from=lambda _: np.arange(18, dtype=np.int64)).dataset
    gone_on = load_dataset(tmp_path / "log.csv", settings, encoding=begun.encoding).dataset
    assert "plan=new" not in begun.state_columns and begun.behavior_policy is not None
    np.testing.assert_array_equal(gone_on.behavior_policy, begun.behavior_policy)
