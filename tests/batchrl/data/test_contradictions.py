"""Probabilities that the logged actions contradict are told, and right ones hardly ever doubted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchrl.data import storage
from batchrl.data.contradictions import contradiction
from batchrl.data.dataset import Dataset, Floats64
from batchrl.data.loader import load_dataset
from presets.dataschema import DataSettings

# Taken 32, 37 and 31 % of the time, which 30, 40 and 30 % do not explain: 5.4 standard errors.
COUNTS = (2230, 2560, 2161)
LOGGED = (0.3, 0.4, 0.3)


def log_of(policy: Floats64, actions: np.ndarray, alone: bool = False) -> Dataset:
    """A log of single decisions; with the probabilities of the taken actions alone."""
    n, n_actions = policy.shape
    states, ends = np.zeros((n, 1), np.float32), np.ones(n, np.bool_)
    names, columns = ("",) * n, tuple(f"a{number}" for number in range(n_actions))
    known = (None, policy[np.arange(n), actions]) if alone else (policy, None)
    return Dataset(
        states, actions, np.zeros(n), states, ends, known[0], np.arange(n + 1), names, ("x",), columns, known[1]
    )


def drawn(policy: Floats64, rng: np.random.Generator) -> np.ndarray:
    return (policy.cumsum(axis=1) < rng.random((len(policy), 1))).sum(axis=1).clip(max=policy.shape[1] - 1)


def test_constant_probabilities_that_miss_the_shares_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", 1000)
    actions = np.repeat(np.arange(3), COUNTS)
    told = contradiction(log_of(np.tile(LOGGED, (6951, 1)), actions))
    assert told is not None
    assert "action a1 was taken in 36.83% of the rows, but logged as 40.00% likely (5.4 standard errors apart)" in told
    shares = np.array(COUNTS) / 6951
    assert contradiction(log_of(np.tile(shares, (6951, 1)), actions)) is None


def test_the_loader_tells_it_in_its_notes(tmp_path: Path) -> None:
    actions = np.random.default_rng(0).permutation(np.repeat(np.arange(3), COUNTS))
    frame = pd.DataFrame(
        {
            "action": actions,
            "all_action_probabilities": str(list(LOGGED)),
            "episode_id": np.arange(6951),
            "reward": 1.0,
            "state_feature_0": 0.0,
        }
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    (told,) = load_dataset(tmp_path / "log.csv", DataSettings()).notes
    assert "chance does not explain that" in told
    # Estimated probabilities are not held against the actions that they were estimated from.
    (told,) = load_dataset(tmp_path / "log.csv", DataSettings(propensities="estimated")).notes
    assert "chance does not explain" not in told


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("n_actions", [2, 40])
def test_right_probabilities_are_not_doubted(n_actions: int, alone: bool) -> None:
    rng = np.random.default_rng(n_actions)
    for _ in range(150):
        preferences = rng.normal(0, 2.5, (400, n_actions))
        policy = np.exp(preferences)
        policy /= policy.sum(axis=1, keepdims=True)
        assert contradiction(log_of(policy, drawn(policy, rng), alone)) is None


def test_an_action_logged_as_impossible_and_taken_often_is_told_and_once_is_not() -> None:
    policy = np.tile([0.5, 0.5 - 1e-6, 1e-6], (1000, 1))
    actions = np.arange(1000) % 2
    actions[0] = 2
    assert contradiction(log_of(policy, actions)) is None
    actions[:30] = 2
    assert "taken in 3.00%" in (contradiction(log_of(policy, actions)) or "")


def test_of_the_taken_actions_alone_only_too_many_of_one_are_told() -> None:
    rng = np.random.default_rng(1)
    logged = np.tile([0.5, 0.5], (4000, 1))
    acted = drawn(np.tile([0.65, 0.35], (4000, 1)), rng)
    told = contradiction(log_of(logged, acted, alone=True))
    assert told is not None and "action a0 was taken" in told and "standard errors above 4000" in told
    # An action that is not eligible in half of the rows is taken more rarely than its probabilities say.
    limited = np.where(np.arange(4000)[:, None] % 2, [[0.5, 0.5]], [[1.0, 0.0]])
    assert contradiction(log_of(limited, drawn(limited, rng), alone=True)) is None
