"""Logs without probabilities: the logging policy is estimated from the actions, and said to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from preferences import softmax

from batchrl.contract.errors import InputError
from batchrl.data import storage
from batchrl.data.behaviour import with_estimated_behavior
from batchrl.data.calibration import EstimatedBehavior
from batchrl.data.convert_schema import convert_schema
from batchrl.data.dataset import Dataset, Floats64
from batchrl.data.divide import divide
from batchrl.data.loader import LoadedData, load_dataset
from presets.dataschema import DataSettings


def logged(episodes: int, steps: int = 1, actions: int = 3, seed: int = 0) -> tuple[Dataset, Floats64]:
    """A log of a softmax of linear preferences, whose probabilities are told apart from it."""
    rng = np.random.default_rng(seed)
    n = episodes * steps
    states = (3 + 5 * rng.normal(size=(n, 2))).astype(np.float32)
    chances = softmax((states - 3) / 5 @ rng.normal(size=(2, actions)))
    taken = (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    offsets = np.arange(episodes + 1) * steps
    names = tuple(str(number) for number in range(episodes))
    columns, actions_called = ("x", "y"), tuple("abcdefg"[:actions])
    ends = np.ones(n, np.bool_)
    data = Dataset(states, taken, rng.normal(size=n), states, ends, None, offsets, names, columns, actions_called)
    return data, chances


def newton(features: Floats64, actions: np.ndarray, n_actions: int) -> Floats64:
    """The same regression by Newton's method with the whole Hessian: one more row of average features and of every
    action in equal parts, and half the squares of the coefficients of features."""
    width = features.shape[1]
    wide = np.vstack([features, np.eye(1, width)])
    wanted = np.vstack([np.eye(n_actions)[actions], np.full((1, n_actions), 1 / n_actions)])
    penalty = np.diag(np.repeat([0.0] + [1.0] * (width - 1), n_actions))
    place = np.zeros(width * n_actions)
    for _ in range(50):
        chances = softmax(wide @ place.reshape(width, n_actions))
        slope = (wide.T @ (chances - wanted)).ravel() + penalty @ place
        curve = penalty.copy()
        for row, chance in zip(wide, chances, strict=True):
            curve += np.kron(np.outer(row, row), np.diag(chance) - np.outer(chance, chance))
        place -= np.linalg.pinv(curve) @ slope
    result: Floats64 = place.reshape(width, n_actions)
    return result


@pytest.mark.parametrize("kind", ["memory", "mapped"])
def test_each_episode_is_given_the_probabilities_of_a_fit_to_the_others(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", 7)
    data, _ = logged(2, steps=40)
    if kind == "mapped":
        mapped = storage.Storage("mapped").empty(data.states.shape, np.float32)
        mapped[:] = data.states
        data = replace(data, states=mapped)
    found, _ = with_estimated_behavior(data)
    assert found.behavior_policy is not None and found.estimated_on == 2
    features = np.ones((80, 3))
    features[:, 1:] = (data.states - data.states.mean(axis=0, dtype=np.float64)) / data.states.std(
        axis=0, dtype=np.float64
    )
    first, second = slice(0, 40), slice(40, 80)
    for mine, others in ((first, second), (second, first)):
        expected = softmax(features[mine] @ newton(features[others], data.actions[others], 3))
        np.testing.assert_allclose(found.behavior_policy[mine], expected, atol=2e-5)


def test_probabilities_of_an_episode_do_not_depend_on_its_own_actions() -> None:
    data, _ = logged(30, steps=5)
    changed = data.actions.copy()
    changed[:5] = (changed[:5] + 1) % 3
    before, after = (
        with_estimated_behavior(each)[0].behavior_policy for each in (data, replace(data, actions=changed))
    )
    assert before is not None and after is not None
    np.testing.assert_allclose(before[:5], after[:5], atol=2e-5)
    assert np.abs(before[5:] - after[5:]).max() > 1e-3


def test_a_well_specified_model_finds_the_hidden_probabilities_and_says_how_well_it_fits() -> None:
    data, hidden = logged(2000)
    found, told = with_estimated_behavior(data)
    assert found.behavior_policy is not None
    np.testing.assert_allclose(found.behavior_policy.sum(axis=1), 1)
    assert np.abs(found.behavior_policy - hidden).mean() < 0.02
    behavior = EstimatedBehavior.of(found)
    assert behavior is not None
    chances, rows = found.behavior_policy, np.arange(2000)
    taken = chances[rows, data.actions]
    shares = np.bincount(data.actions) / 2000
    assert behavior.log_loss == pytest.approx(-np.log(taken).mean())
    assert behavior.log_loss_of_shares == pytest.approx(-np.log(shares[data.actions]).mean())
    assert behavior.log_loss < behavior.log_loss_of_shares
    assert f"log loss {behavior.log_loss:.4g}" in told and "estimated propensities" in told
    was_taken = np.eye(3)[data.actions].astype(bool)
    assert sum(part.probabilities for part in behavior.calibration) == 6000
    for part in behavior.calibration:
        there = (chances >= part.lower) & (chances < part.upper)
        figures = (part.probabilities, part.mean_probability, part.taken)
        assert figures == pytest.approx((there.sum(), chances[there].mean(), was_taken[there].mean()))
        error = np.sqrt((chances[there] * (1 - chances[there])).sum()) / there.sum()
        assert abs(part.taken - part.mean_probability) < 4 * error
    for action, part in enumerate(behavior.overlap):
        weights = 1 / taken[data.actions == action]
        effective = weights.sum() ** 2 / (weights**2).sum()
        assert (part.action, part.effective_transitions, part.share) == (
            "abc"[action],
            pytest.approx(effective),
            pytest.approx(effective / 2000),
        )


def test_the_estimate_is_the_same_each_time_and_no_part_of_the_datas_digest() -> None:
    data, _ = logged(50, steps=2)
    first, second = (with_estimated_behavior(data)[0] for _ in range(2))
    assert first.behavior_policy is not None and second.behavior_policy is not None
    np.testing.assert_array_equal(first.behavior_policy, second.behavior_policy)
    other = replace(first, behavior_policy=first.behavior_policy[:, ::-1])
    assert first.sha256() == other.sha256()
    assert replace(first, estimated_on=None).sha256() != replace(other, estimated_on=None).sha256()
    assert first.select(np.array([3, 1])).estimated_on == 50


def test_an_action_that_one_episode_alone_took_is_possible_in_all() -> None:
    data, _ = logged(20, steps=5)
    actions = data.actions % 2
    actions[7] = 2
    found, _ = with_estimated_behavior(replace(data, actions=actions))
    assert found.behavior_policy is not None
    assert np.isfinite(np.log(found.behavior_policy)).all()


def test_states_that_tell_the_action_for_certain_give_probabilities_below_one() -> None:
    data, _ = logged(40, steps=5, actions=2)
    found, _ = with_estimated_behavior(replace(data, actions=(data.states[:, 0] > 3).astype(np.int64)))
    assert found.behavior_policy is not None
    assert found.behavior_policy.min() > 0 and found.behavior_policy.max() < 1


def frame(episodes: int = 20, steps: int = 3) -> pd.DataFrame:
    """A log with probabilities that no model would find: they are the other way round."""
    rng = np.random.default_rng(0)
    n = episodes * steps
    states = rng.normal(size=n)
    return pd.DataFrame(
        {
            "action": (rng.random(n) < 1 / (1 + np.exp(-states))).astype(int),
            "propensity": 0.5,
            "episode_id": np.repeat(np.arange(episodes), steps),
            "reward": rng.normal(size=n),
            "state_feature_0": states,
        }
    )


def read(folder: Path, table: pd.DataFrame, **settings: object) -> LoadedData:
    table.to_csv(folder / "log.csv", index=False)
    return load_dataset(folder / "log.csv", DataSettings.model_validate(settings))


def test_a_log_without_probabilities_is_read_with_estimated_ones(tmp_path: Path) -> None:
    found = read(tmp_path, frame().drop(columns="propensity"))
    assert found.dataset.estimated_on == 20 and found.dataset.behavior_policy is not None
    assert found.dataset.action_names == ("0", "1")
    assert len(found.notes) == 1 and "estimated propensities" in found.notes[0]
    with pytest.raises(InputError) as caught:
        read(tmp_path, frame().drop(columns="propensity"), propensities="logged")
    assert "no column all_action_probabilities or propensity" in caught.value.message
    assert "data.propensities to auto" in (caught.value.hint or "")


def test_logged_probabilities_are_taken_unless_they_are_to_be_estimated(tmp_path: Path) -> None:
    for settings in ({}, {"propensities": "logged"}):
        found = read(tmp_path, frame(), **settings)
        assert found.dataset.estimated_on is None and found.notes == ()
        np.testing.assert_array_equal(found.dataset.propensities, 0.5)
    without = read(tmp_path, frame().drop(columns="propensity")).dataset
    ignored = read(tmp_path, frame(), propensities="estimated").dataset
    assert ignored.behavior_policy is not None and without.behavior_policy is not None
    np.testing.assert_array_equal(ignored.behavior_policy, without.behavior_policy)


def test_what_cannot_be_estimated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="One episode is too few"):
        read(tmp_path, frame(episodes=1, steps=20).drop(columns="propensity"))
    with pytest.raises(InputError, match="every row has the action"):
        read(tmp_path, frame().drop(columns="propensity").assign(action=1))


def test_a_log_without_probabilities_is_converted_and_divided_without_any(tmp_path: Path) -> None:
    source, target = tmp_path / "log.csv", tmp_path / "a.parquet"
    following = frame().drop(columns="propensity")
    after = following.groupby("episode_id")["state_feature_0"].shift(-1).fillna(0.5)
    following.assign(next_state_feature_0=after).to_csv(source, index=False)
    convert_schema(source, target, "A")
    assert not {"propensity", "all_action_probabilities"} & set(pq.read_table(target).column_names)
    assert load_dataset(target, DataSettings()).dataset.estimated_on == 20
    kept, held_out = tmp_path / "kept.csv", tmp_path / "held.csv"
    divide(source, kept, held_out, share=0.2, seed=0, prefix="r0-")
    assert load_dataset(held_out, DataSettings()).dataset.n_episodes == 4
    with pytest.raises(InputError, match="has no probabilities, which cannot tell who logged it"):
        divide(source, kept, held_out, share=0.2, seed=0, prefix="r0-", logged_by=lambda n: lambda states: states)


def test_every_loggers_model_is_evaluated_in_the_rows_of_all() -> None:
    first, _ = logged(2, steps=40)
    loggers = np.array([0, 1, 0, 1])
    data = Dataset(
        states=np.concatenate([first.states, first.states[::-1] + 1]),
        actions=np.concatenate([first.actions, first.actions]),
        rewards=np.zeros(160),
        next_states=np.zeros((160, 2), np.float32),
        terminal=np.ones(160, np.bool_),
        behavior_policy=None,
        offsets=np.arange(5) * 40,
        episode_ids=("0", "1", "2", "3"),
        state_columns=("x", "y"),
        action_names=("a", "b", "c"),
        loggers=loggers,
        logger_names=("one", "two"),
    )
    found, _ = with_estimated_behavior(data, balanced=True)
    assert found.mixture is not None and found.behavior_policy is not None
    of_rows = np.repeat(loggers, 40)
    for logger in (0, 1):
        mine = of_rows == logger
        states = data.states.astype(np.float64)
        features = np.ones((160, 3))
        features[:, 1:] = (states - states[mine].mean(axis=0)) / states[mine].std(axis=0)
        expected = softmax(features @ newton(features[mine], data.actions[mine], 3))[np.arange(160), data.actions]
        others = np.exp(found.mixture.log_chances[:, logger])
        np.testing.assert_allclose(others[~mine], expected[~mine], atol=2e-5)
        np.testing.assert_allclose(others[mine], found.own_propensities[mine], rtol=1e-12)
    mixed = np.exp(found.mixture.log_chances).mean(axis=1)
    np.testing.assert_allclose(found.propensities[::40], mixed[::40], rtol=1e-12)
