"""Each logger's probability of the taken actions: read, checked, and mixed as loops mix them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from batchrl.contract.errors import InputError
from batchrl.data import storage
from batchrl.data.loader import load_dataset
from presets.dataschema import DataSettings

COLUMNS = {
    "episode": "visit",
    "action": "offer",
    "reward": "click",
    "propensity": "p",
    "logger": "variant",
    "logger_propensities": "p_*",
}
NAMES = ("old", "new", "third")


def log_of(n: int = 120, steps: int = 3, seed: int = 0) -> pd.DataFrame:
    """Episodes of three policies that heed the state; ``third`` logged none, and ``old`` never takes action z."""
    rng = np.random.default_rng(seed)
    logger = np.repeat(rng.integers(0, 2, n), steps)
    age = rng.normal(size=n * steps).round(3)
    tilt = 1 / (1 + np.exp(-age))
    chances = np.empty((3, n * steps, 3))
    chances[0] = np.stack([tilt, 1 - tilt, np.zeros_like(tilt)], axis=1)
    chances[1] = np.stack([0.5 * tilt, 0.5 * (1 - tilt), np.full_like(tilt, 0.5)], axis=1)
    chances[2] = 1 / 3
    own = chances[logger, np.arange(n * steps)]
    action = (own.cumsum(axis=1) < rng.random((n * steps, 1))).sum(axis=1)
    at = np.arange(n * steps)
    return pd.DataFrame(
        {
            "visit": np.repeat([f"v{number}" for number in range(n)], steps),
            "variant": np.array(NAMES)[logger],
            "offer": np.array(["x", "y", "z"])[action],
            "click": action + 0.0,
            "p": own[at, action],
            **{f"p_{name}": chances[number, at, action] for number, name in enumerate(NAMES)},
            "age": age,
        }
    )


def settings(columns: dict[str, object] | None = None, **more: object) -> DataSettings:
    given = {"columns": COLUMNS | (columns or {}), "state_columns": ("age",), "loggers": "balanced"}
    return DataSettings.model_validate({**given, "accept": ["unlike_loggers"], **more})


def refusal(path: Path, frame: pd.DataFrame, given: DataSettings | None = None) -> str:
    frame.to_csv(path / "log.csv", index=False)
    with pytest.raises(InputError) as caught:
        load_dataset(path / "log.csv", given or settings())
    return f"{caught.value.message} {caught.value.hint}"


def by_loops(frame: pd.DataFrame) -> list[float]:
    """``M_t / M_t-1`` of every step, rows sorted by episode."""
    logged = frame.groupby("visit", sort=False)["variant"].first()
    shares = {name: (logged == name).mean() for name in NAMES}
    result = []
    for _, rows in frame.groupby("visit", sort=False):
        reached = {name: [1.0] for name in NAMES}
        for name in NAMES:
            for chance in rows[f"p_{name}"]:
                reached[name].append(reached[name][-1] * chance)
        mixed = [sum(shares[name] * reached[name][step] for name in NAMES) for step in range(len(rows) + 1)]
        result += [after / before for before, after in pairwise(mixed)]
    return result


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("listed", [False, True])
def test_policies_that_heed_the_state_are_balanced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, listed: bool
) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", 7)
    frame = log_of()
    shuffled = frame.assign(step=np.arange(len(frame))).sample(frac=1, random_state=1)
    path = tmp_path / f"log.{kind}"
    shuffled.to_csv(path, index=False) if kind == "csv" else shuffled.to_parquet(path)
    columns: dict[str, object] = {"time": "step"}
    if listed:
        columns["logger_propensities"] = ["p_new", "p_old"]
    data = load_dataset(path, settings(columns)).dataset
    order = np.argsort(data.episode_ids)
    expected = dict(zip(frame["visit"].unique(), np.reshape(by_loops(frame), (-1, 3)), strict=True))
    found = dict(zip(np.array(data.episode_ids)[order], data.propensities.reshape(-1, 3)[order], strict=True))
    assert found.keys() == expected.keys()
    for visit, chances in expected.items():
        np.testing.assert_allclose(found[visit], chances, rtol=1e-12)
    assert data.logger_names == ("new", "old")


def test_balanced_weights_are_of_mean_1_where_one_logger_alone_does_what_the_policy_does(tmp_path: Path) -> None:
    """Uniform over x, y and z, which ``old`` never takes."""
    log_of(8000, steps=1).to_csv(tmp_path / "log.csv", index=False)
    weights = {
        how: 1 / 3 / load_dataset(tmp_path / "log.csv", settings(loggers=how)).dataset.propensities
        for how in ("balanced", "separate")
    }
    error = weights["balanced"].std() / np.sqrt(8000)
    assert abs(weights["balanced"].mean() - 1) < 4 * error
    assert weights["separate"].mean() < 0.9


def test_without_another_column_the_probability_is_that_of_who_acted(tmp_path: Path) -> None:
    frame = log_of()
    frame.drop(columns="p").to_csv(tmp_path / "log.csv", index=False)
    for propensities in ("auto", "logged"):
        given = settings({"propensity": None}, loggers="separate", propensities=propensities)
        loaded = load_dataset(tmp_path / "log.csv", given)
        np.testing.assert_allclose(loaded.dataset.propensities, frame["p"], rtol=1e-12)
        assert loaded.dataset.estimated_on is None


def test_a_logger_without_a_column_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, log_of().rename(columns={"p_old": "p_odl"}))
    assert "and 'variant' names loggers that are none of these: old" in said and "odl" in said


@pytest.mark.parametrize(("column", "value"), [("p_new", 1.5), ("p_new", np.nan), ("p_third", -0.5)])
def test_a_cell_that_is_no_probability_is_named(tmp_path: Path, column: str, value: float) -> None:
    frame = log_of()
    frame.loc[4, column] = value
    told = refusal(tmp_path, frame)
    assert column in told and "line 6" in told and "with which that policy would have taken the action" in told


def test_what_contradicts_the_taken_actions_probability_is_named(tmp_path: Path) -> None:
    frame = log_of()
    row = int(np.flatnonzero(frame["variant"] == "new")[0])
    frame.loc[row, "p"] = frame.loc[row, "p_new"] / 2
    told = refusal(tmp_path, frame)
    assert "is not what 'p' says of the action that this policy took" in told and f"line {row + 2}" in told


def test_an_action_that_its_own_logger_never_takes_is_named(tmp_path: Path) -> None:
    frame = log_of().drop(columns="p")
    row = int(np.flatnonzero(frame["variant"] == "new")[0])
    frame.loc[row, "p_new"] = 0.0
    told = refusal(tmp_path, frame, settings({"propensity": None}))
    assert "no probability of an action that this policy took" in told and f"line {row + 2}" in told


def test_files_have_columns_of_the_same_loggers(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    frame = log_of()
    frame.to_csv(tmp_path / "logs" / "a.csv", index=False)
    frame.assign(visit="w" + frame["visit"]).drop(columns="p_third").to_csv(tmp_path / "logs" / "b.csv", index=False)
    with pytest.raises(InputError, match=r"b.csv: its columns .* are those of new, old, and those of .*old, third"):
        load_dataset(tmp_path / "logs", settings())


@pytest.mark.parametrize(
    ("named", "said"),
    [("q_*", "which fits no column"), ("p_ol*", "fits 'p_old' alone"), (["p_old", "p_nwe"], "'p_nwe' is missing")],
)
def test_names_that_fit_no_columns_are_refused(tmp_path: Path, named: object, said: str) -> None:
    assert said in refusal(tmp_path, log_of(), settings({"logger_propensities": named}))


def test_settings_that_say_nothing_of_loggers_or_estimate_are_refused() -> None:
    with pytest.raises(ValidationError, match="say which one logged"):
        settings({"logger": None}, loggers="separate")
    with pytest.raises(ValidationError, match="leave one of the two out"):
        settings(propensities="estimated")
