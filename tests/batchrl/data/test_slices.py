"""Support of actions by slices of the state: figures against pandas, and which are called thin."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchrl.data import slices, storage
from batchrl.data.describe import describe
from batchrl.data.loader import load_dataset
from batchrl.data.slices import NO_VALUE, Slice, Slices
from presets.dataschema import ColumnSettings, DataSettings

ACTIONS = ("coupon", "mail", "none")
PLANS = ("basic", "gold", "silver")
FIRST = pd.Timestamp("2026-03-01")


def logged(episodes: int = 200, seed: int = 0) -> pd.DataFrame:
    """Customers of three plans; nobody of plan gold gets a coupon."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(episodes):
        plan = PLANS[customer % 3]
        age = float(rng.integers(18, 80))
        for day in range(int(rng.integers(1, 6))):
            chances = np.array([0.0, 0.7, 0.3]) if plan == "gold" else rng.dirichlet(np.ones(3))
            action = int(rng.choice(3, p=chances))
            cells = {"id": customer, "plan": plan, "age": age if rng.random() > 0.2 else np.nan, "visits": day % 3}
            sent_at = FIRST + pd.Timedelta(days=int(rng.integers(0, 101)), minutes=int(rng.integers(0, 1440)))
            taken = {"action": ACTIONS[action], "p": chances[action], "reward": rng.normal()}
            rows.append(cells | {"sent_at": sent_at} | taken)
    return pd.DataFrame(rows)


SETTINGS = DataSettings(
    columns=ColumnSettings(episode="id", propensity="p"),
    state_columns=("plan", "age", "visits", "sent_at"),
)


def found(path: Path, frame: pd.DataFrame, settings: DataSettings = SETTINGS) -> Slices:
    frame.to_parquet(path / "log.parquet")
    return describe(load_dataset(path / "log.parquet", settings)).slices


def thin(parts: tuple[Slice, ...]) -> list[tuple[str, str, str, str]]:
    return [
        (part.column, part.values, support.action, support.thin)
        for part in parts
        for support in part.support
        if support.thin is not None
    ]


def selections(frame: pd.DataFrame) -> dict[tuple[str, str], pd.Series]:
    """The rows of each slice, by pandas alone."""
    parts = {("plan", plan): frame["plan"] == plan for plan in PLANS}
    age, edges = frame["age"], frame["age"].quantile([0, 0.25, 0.5, 0.75, 1]).to_numpy()
    within = [pd.Series(age.between(edges[0], edges[1]))]
    within += [(age > low) & (age <= high) for low, high in itertools.pairwise(edges[1:])]
    parts |= {("age", f"{age[rows].min():g} to {age[rows].max():g}"): rows for rows in within}
    parts[("age", NO_VALUE)] = age.isna()
    parts |= {("visits", f"{value}"): frame["visits"] == value for value in range(3)}
    start, span = frame["sent_at"].min(), frame["sent_at"].max() - frame["sent_at"].min()
    quarter = np.minimum(np.floor((frame["sent_at"] - start) / (span / 4)), 3)
    for number in range(4):
        rows = quarter == number
        low, high = (
            f"{moment:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
            for moment in (frame["sent_at"][rows].min(), frame["sent_at"][rows].max())
        )
        parts[("sent_at", f"{low} to {high}")] = rows
    return parts


@pytest.mark.parametrize("kind", ["memory", "mapped"])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 18])
def test_figures_are_those_of_pandas(tmp_path: Path, chunk: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", chunk)
    frame = logged()
    given = found(tmp_path, frame, SETTINGS.model_copy(update={"storage": kind}))
    expected = selections(frame)
    assert [(part.column, part.values) for part in given.found] == list(expected)
    assert given.unread_columns == 0
    for part, rows in zip(given.found, expected.values(), strict=True):
        here = frame[rows]
        assert (part.rows, part.episodes) == (len(here), here["id"].nunique())
        assert [support.action for support in part.support] == list(ACTIONS)
        for support in part.support:
            p = here.loc[here["action"] == support.action, "p"]
            assert (support.taken, support.eligible) == (len(p), len(here))
            assert support.share == pytest.approx(len(p) / len(here))
            assert support.share_of_all == pytest.approx((frame["action"] == support.action).mean())
            assert support.smallest_taken == (None if p.empty else pytest.approx(p.min()))
            effective = 0 if p.empty else (1 / p).sum() ** 2 / (1 / p**2).sum()
            assert support.effective == pytest.approx(effective)


def test_an_action_that_one_plan_never_gets_is_thin_there_alone(tmp_path: Path) -> None:
    assert thin(found(tmp_path, logged()).found) == [("plan", "gold", "coupon", "never")]


def test_a_few_of_many_are_almost_never(tmp_path: Path) -> None:
    frame = logged()
    first = frame.index[frame["plan"] == "gold"][0]
    frame.loc[first, ["action", "p"]] = ["coupon", 0.01]
    assert thin(found(tmp_path, frame).found) == [("plan", "gold", "coupon", "almost never")]


def test_too_few_rows_say_nothing(tmp_path: Path) -> None:
    frame = logged()
    gold = frame.index[frame["plan"] == "gold"]
    assert thin(found(tmp_path, frame.drop(gold[20:])).found) == []


def test_an_action_that_could_not_be_taken_is_not_thin(tmp_path: Path) -> None:
    frame = logged()
    frame["can"] = np.where(frame["plan"] == "gold", "mail|none", "coupon|mail|none")
    settings = SETTINGS.model_copy(update={"columns": ColumnSettings(episode="id", propensity="p", eligible="can")})
    given = found(tmp_path, frame, settings)
    assert thin(given.found) == []
    gold = next(part for part in given.found if part.values == "gold")
    coupon = gold.support[0]
    assert (coupon.eligible, coupon.taken, coupon.share, coupon.thin) == (0, 0, None, None)
    others = frame[frame["plan"] != "gold"]
    assert coupon.share_of_all == pytest.approx((others["action"] == "coupon").mean())
    first = frame.index[frame["plan"] == "gold"][:200]
    frame.loc[first, "can"] = "coupon|mail|none"
    assert thin(found(tmp_path, frame, settings).found) == [("plan", "gold", "coupon", "never")]


def test_plain_columns_and_constant_ones(tmp_path: Path) -> None:
    frame = logged().drop(columns=["plan", "sent_at"]).fillna({"age": 30.0}).assign(always=1.5)
    settings = SETTINGS.model_copy(update={"state_columns": ("age", "visits", "always")})
    given = found(tmp_path, frame, settings)
    assert {part.column for part in given.found} == {"age", "visits"}
    assert [part.rows for part in given.found if part.column == "visits"] == frame.groupby("visits").size().tolist()


def test_values_that_float32_merges_are_shown_as_logged(tmp_path: Path) -> None:
    frame = logged().assign(visits=lambda rows: rows["visits"] + 1_700_000_000)
    parts = [part.values for part in found(tmp_path, frame).found if part.column == "visits"]
    assert parts == ["1700000000", "1700000001", "1700000002"]


def test_edges_of_long_logs_are_those_of_some_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "EDGE_ROWS", 300)
    frame = logged(1000)
    given = found(tmp_path, frame)
    for column in SETTINGS.state_columns:
        assert sum(part.rows for part in given.found if part.column == column) == len(frame)
    quartiles = [part.rows / frame["age"].notna().sum() for part in given.found if part.column == "age"][:4]
    assert quartiles == pytest.approx([0.25] * 4, abs=0.08)


def test_of_too_many_columns_the_first_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "MOST_FIGURES", 30)
    given = found(tmp_path, logged())
    assert {part.column for part in given.found} == {"plan", "age"}
    assert given.unread_columns == 2
