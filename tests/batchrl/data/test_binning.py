"""Quantities as ranges: quantile bins, what they are called, and what is said of them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrl.contract.errors import InputError
from batchrl.data.binning import Bins, asked_bins, notes_on, quantile_bins
from batchrl.data.convert import convert
from batchrl.data.loader import load_dataset
from presets.dataschema import ColumnSettings, DataSettings

DOSES = DataSettings(columns=ColumnSettings(action="dose"))


def doses(n: int = 80, seed: int = 0) -> pd.DataFrame:
    """Episodes of four rows each."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "episode_id": np.arange(n) // 4,
            "dose": rng.gamma(2.0, 9.0, n),
            "reward": rng.normal(size=n),
            "state_feature_0": rng.normal(size=n),
        }
    )


def binned(folder: Path, frame: pd.DataFrame, number: int, name: str = "ranges.parquet") -> tuple[Bins, pd.DataFrame]:
    frame.to_csv(folder / "log.csv", index=False)
    bins = quantile_bins(folder / "log.csv", {"dose": number})
    convert(folder / "log.csv", folder / name, bins=bins)
    written = pd.read_parquet(folder / name) if name.endswith("parquet") else pd.read_csv(folder / name)
    return bins[0], written


def reference(values: list[float], number: int) -> list[list[float]]:
    """The values of each bin, by exact fractions over every place where a bin could begin."""
    ordered, n = sorted(values), len(values)
    begins = [position for position in range(1, n) if ordered[position] != ordered[position - 1]]
    cuts = {min(begins, key=lambda at: (abs(Fraction(at, n) - Fraction(k, number)), at)) for k in range(1, number)}
    bounds = [0, *sorted(cuts), n]
    return [ordered[start:stop] for start, stop in pairwise(bounds)]


def ends_of(name: str) -> tuple[float, float, bool]:
    low, high = name[1:-1].split(", ")
    return float(low), float(high), name.endswith("]")


values = st.lists(
    st.one_of(
        st.integers(-3, 3).map(float),
        st.floats(-1e9, 1e9),
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300),
    ),
    min_size=2,
    max_size=40,
)


@given(values=values.filter(lambda found: len(set(found)) > 1), number=st.integers(2, 8))
def test_bins_hold_equal_shares_and_say_their_ranges(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], number: int
) -> None:
    path = tmp_path_factory.mktemp("bins") / "log.parquet"
    pd.DataFrame({"dose": values}).to_parquet(path)
    (bins,) = quantile_bins(path, {"dose": number})
    convert(path, path.with_name("ranges.parquet"), bins=[bins])
    names = pd.read_parquet(path.with_name("ranges.parquet"))["dose"].tolist()
    expected = reference(values, number)
    assert bins.counts == tuple(map(len, expected)) and len(set(bins.names)) == len(expected)
    for name, held in zip(bins.names, expected, strict=True):
        low, high, closed = ends_of(name)
        assert closed == (name == bins.names[-1])
        assert all(low <= value < high or (closed and value == high) for value in held)
        assert sorted(value for value, of in zip(values, names, strict=True) if of == name) == held


def test_edges_have_as_few_decimals_as_they_need(tmp_path: Path) -> None:
    frame = doses(8).assign(dose=[0.1234, 0.2111, 0.3049, 0.3517, 4.0, 5.0, 6.25, 99.97])
    bins, written = binned(tmp_path, frame, 4)
    assert bins.names == ("[0.1, 0.3)", "[0.3, 4)", "[4, 6)", "[6, 100]") and bins.counts == (2, 2, 2, 2)
    assert written["dose"].tolist() == [name for name in bins.names for _ in range(2)]
    negative, _ = binned(tmp_path, frame.assign(dose=-frame["dose"]), 2, "negative.parquet")
    assert negative.names == ("[-100, -1)", "[-1, -0.1]")


def test_equal_values_are_never_divided_and_fewer_bins_are_told(tmp_path: Path) -> None:
    frame = doses(10).assign(dose=[0.0] * 7 + [1.0, 2.0, 2.0])
    bins, written = binned(tmp_path, frame, 5)
    assert bins.names == ("[0, 1)", "[1, 2)", "[2, 2]") and bins.counts == (7, 1, 2)
    assert written["dose"].tolist() == ["[0, 1)"] * 7 + ["[1, 2)"] + ["[2, 2]"] * 2
    assert notes_on([bins], ["dose"])[0] == "'dose' has 3 ranges, not 5: equal values are never divided"


@pytest.mark.parametrize("name", ["ranges.csv", "ranges.csv.gz", "ranges.parquet"])
def test_ranges_are_actions_in_their_order(tmp_path: Path, name: str) -> None:
    frame = doses()
    bins, _ = binned(tmp_path, frame, 5, name)
    data = load_dataset(tmp_path / name, DOSES).dataset
    assert data.action_names == bins.names and sorted(bins.names) != list(bins.names)
    order = np.argsort(np.argsort(frame["dose"].to_numpy()))
    assert np.array_equal(data.actions, order // 16)
    assert tuple(np.bincount(data.actions)) == bins.counts == (16,) * 5


def test_ranges_of_a_part_of_the_log_are_no_vectors(tmp_path: Path) -> None:
    frame = doses().assign(dose=lambda rows: rows["dose"].rank() / 80)
    bins, written = binned(tmp_path, frame, 2)
    assert bins.names[-1].endswith("1]")
    names = bins.names
    written[written["dose"] == names[-1]].to_csv(tmp_path / "part.csv", index=False)
    given = DOSES.model_copy(update={"actions": names})
    assert load_dataset(tmp_path / "part.csv", given).dataset.action_names == names


def test_empty_cells_stay_empty_and_other_columns_as_they_are(tmp_path: Path) -> None:
    frame = doses()
    frame.loc[frame.index % 4 == 3, ["dose", "reward"]] = np.nan  # rows that close their episodes
    bins, written = binned(tmp_path, frame.assign(note="x"), 3, "ranges.csv")
    assert written["dose"].isna().tolist() == frame["dose"].isna().tolist() and sum(bins.counts) == 60
    assert np.array_equal(written["state_feature_0"], frame["state_feature_0"]) and set(written["note"]) == {"x"}
    loaded = load_dataset(tmp_path / "ranges.csv", DOSES)
    assert loaded.schema == "A" and loaded.dataset.n_transitions == 60


def test_bins_are_those_of_all_files(tmp_path: Path) -> None:
    frame = doses()
    folder = tmp_path / "logs"
    folder.mkdir()
    frame[:24].to_csv(folder / "a.csv", index=False)
    frame[24:].to_parquet(folder / "b.parquet")
    frame.to_parquet(tmp_path / "all.parquet")
    assert quantile_bins(folder, {"dose": 4}) == quantile_bins(tmp_path / "all.parquet", {"dose": 4})


def test_a_column_called_action_is_binned_like_any_other(tmp_path: Path) -> None:
    frame = doses().rename(columns={"dose": "action"})
    frame.to_csv(tmp_path / "log.csv", index=False)
    bins = quantile_bins(tmp_path / "log.csv", {"action": 3})
    convert(tmp_path / "log.csv", tmp_path / "ranges.parquet", bins=bins)
    assert load_dataset(tmp_path / "ranges.parquet", DataSettings()).dataset.action_names == bins[0].names


@pytest.mark.parametrize(
    ("cell", "said"),
    [("much", "'much' is not a number"), ("inf", "inf lies in no range"), ("1e301", "1e301 lies in no range")],
)
def test_what_is_no_quantity_is_named(tmp_path: Path, cell: str, said: str) -> None:
    frame = doses().astype({"dose": object})
    frame.loc[6, "dose"] = cell
    frame.to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError, match=rf"log\.csv, line 8, column 'dose': {said}"):
        quantile_bins(tmp_path / "log.csv", {"dose": 3})


def test_columns_without_ranges_are_refused(tmp_path: Path) -> None:
    doses().assign(none=np.nan, dose=0.5).to_csv(tmp_path / "log.csv", index=False)
    for column, said in (
        ("dose", "all numbers are 0.5"),
        ("none", "every cell is empty"),
        ("doses", "column 'doses' is missing, which is named by --bin.\nDid you mean 'dose'?"),
    ):
        with pytest.raises(InputError, match=said):
            quantile_bins(tmp_path / "log.csv", {column: 3})


def test_what_is_asked_is_a_column_and_a_number() -> None:
    assert asked_bins(["dose=5", "a=b = 12"]) == {"dose": 5, "a=b": 12}
    for wrong in ("dose", "dose=", "=5", "dose=1", "dose=1001", "dose=1.5", "dose=٣"):
        with pytest.raises(InputError, match="no column and number of bins"):
            asked_bins([wrong])
    with pytest.raises(InputError, match="'dose' is given twice"):
        asked_bins(["dose=5", "dose=6"])


def test_densities_are_told_to_be_no_probabilities() -> None:
    bins = [Bins("dose", 2, (0.0, 1.0, 2.0), (1, 1))]
    (note,) = notes_on(bins, ["dose", "propensity", "logging_density", "reward"])
    assert "('propensity', 'logging_density'?) is no probability" in note and "data.propensities" in note
    assert notes_on([], ["propensity"]) == ()
