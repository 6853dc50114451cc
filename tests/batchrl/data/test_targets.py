"""The columns of a policy to be scored: ``target_action_probabilities`` and ``target_q_values``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.loader import load_dataset
from presets.dataschema import DataSettings

Frame = Callable[..., pd.DataFrame]


def with_targets(logged: pd.DataFrame) -> pd.DataFrame:
    """The log with a policy and values that tell its rows apart."""
    chances = np.linspace(0.1, 0.9, len(logged))
    policy = [json.dumps([chance, 1 - chance]) for chance in chances.tolist()]
    values = [str([np.float64(row), np.float64(-row)]) for row in range(len(logged))]
    return logged.assign(**{columns.TARGET_ACTION_PROBABILITIES: policy, columns.TARGET_Q_VALUES: values})


def test_targets_follow_the_transitions_also_where_rows_lie_apart(tmp_path: Path, frame: Frame) -> None:
    logged = with_targets(frame())
    mixed = logged.sample(frac=1, random_state=1).sort_values("episode_id", key=lambda ids: ids % 2, kind="stable")
    mixed.to_csv(tmp_path / "log.csv", index=False)
    loaded = load_dataset(tmp_path / "log.csv", DataSettings(), with_targets=True)
    assert loaded.target_policy is not None and loaded.target_q is not None
    rows = mixed.assign(order=range(len(mixed)))
    first = rows.groupby("episode_id")["order"].transform("min")
    expected = rows.assign(first=first).sort_values(["first", "order"])
    np.testing.assert_array_equal(loaded.dataset.rewards, expected["reward"])
    np.testing.assert_array_equal(
        loaded.target_policy, np.array(expected[columns.TARGET_ACTION_PROBABILITIES].map(json.loads).tolist())
    )
    assert loaded.target_q.shape == (len(logged), 2)
    np.testing.assert_array_equal(loaded.target_q[:, 0], -loaded.target_q[:, 1])


def test_training_neither_reads_nor_refuses_them(tmp_path: Path, frame: Frame) -> None:
    logged = frame().assign(target_q_values="nonsense")
    logged.to_csv(tmp_path / "log.csv", index=False)
    loaded = load_dataset(tmp_path / "log.csv", DataSettings())
    assert loaded.target_q is None and loaded.target_policy is None


def test_without_the_columns_there_are_none(tmp_path: Path, frame: Frame) -> None:
    frame().to_csv(tmp_path / "log.csv", index=False)
    loaded = load_dataset(tmp_path / "log.csv", DataSettings(), with_targets=True)
    assert loaded.target_q is None and loaded.target_policy is None


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (columns.TARGET_ACTION_PROBABILITIES, "[0.5, 0.6]", ["line 4", "does not sum to 1"]),
        (columns.TARGET_ACTION_PROBABILITIES, "[-0.5, 1.5]", ["line 4", "negative"]),
        (columns.TARGET_ACTION_PROBABILITIES, "", ["line 4", "the value is empty"]),
        (columns.TARGET_Q_VALUES, "[inf, 1.0]", ["line 4", "not finite"]),
        (columns.TARGET_Q_VALUES, "[1.0]", ["line 4", "1 numbers, but 2"]),
        (columns.TARGET_Q_VALUES, "2.0", ["line 4", "not a list of numbers"]),
    ],
)
def test_a_wrong_target_is_named(tmp_path: Path, frame: Frame, column: str, value: str, words: list[str]) -> None:
    logged = with_targets(frame())
    logged.loc[2, column] = value
    logged.to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "log.csv", DataSettings(), with_targets=True)
    for word in [*words, "episode", f"'{column}'"]:
        assert word in str(caught.value)


def test_another_number_of_actions_is_refused(tmp_path: Path, frame: Frame) -> None:
    frame().assign(target_q_values="[1.0, 2.0, 3.0]").to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError, match="3 entries, but there are 2 actions"):
        load_dataset(tmp_path / "log.csv", DataSettings(), with_targets=True)
