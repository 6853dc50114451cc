"""Intervals that rest on estimated propensities: they move as a fit to each resample would move them, and cover."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from preferences import softmax
from scripts import script_module

from batchrl.data.behaviour import with_estimated_behavior
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.student import influence, student_interval
from batchrl.ope.study.estimation import Estimation
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy
from batchrl.ope.study.scoring import Scorer, ScoreSettings

WIS = "Weighted Importance Sampling"
PREFERENCES = np.array([[0.3, -0.3], [-0.2, 0.2]])
REWARDS = np.array([[1.5, -1.0], [1.0, 1.0]])
N_ACTIONS = 2


def target(states: Floats64) -> Floats64:
    return softmax(states @ PREFERENCES[::-1])


def logged(n: int, rng: np.random.Generator) -> Dataset:
    """Single decisions of a softmax policy whose probabilities are hidden; rewards depend on state and action."""
    states = rng.normal(size=(n, 2)).astype(np.float32)
    chances = softmax(states @ PREFERENCES)
    taken = (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    rewards = (states @ REWARDS)[np.arange(n), taken] + 0.5 * rng.normal(size=n)
    ends, names = np.ones(n, np.bool_), tuple(map(str, range(n)))
    return Dataset(states, taken, rewards, states, ends, None, np.arange(n + 1), names, ("x", "y"), ("a", "b"))


def self_normalised(data: Dataset) -> Quotients:
    """By hand: weights of the target over the data's propensities."""
    weights = target(data.states)[np.arange(len(data.actions)), data.actions] / data.propensities
    return Quotients.one(weights * data.rewards, weights)


def test_errors_are_those_of_refitting_in_every_resample() -> None:
    rng = np.random.default_rng(5)
    raw = logged(800, rng)
    data, _ = with_estimated_behavior(raw)
    estimation = Estimation.of(data)
    assert estimation is not None
    as_given = self_normalised(data)
    moved = estimation.moved_by(as_given)
    assert moved.value == pytest.approx(as_given.value, abs=1e-12)
    draws = []
    for _ in range(150):
        chosen = rng.integers(0, 800, 800)
        refitted, _ = with_estimated_behavior(raw.select(chosen))
        draws.append(self_normalised(refitted).value)
    refitted_error = float(np.std(draws, ddof=1))
    naive, told = (student_interval(each, 0.95).standard_error for each in (as_given, moved))
    assert told == pytest.approx(refitted_error, rel=0.15)
    assert naive > 1.3 * refitted_error


def test_of_some_of_the_episodes_as_much_is_taken_away_as_their_share_allows() -> None:
    data, _ = with_estimated_behavior(logged(3000, np.random.default_rng(1)))
    some = data.select(np.arange(1000))
    estimation = Estimation.of(some)
    assert estimation is not None and estimation.basis is not None
    as_given = self_normalised(some)
    before, after = (influence(each) for each in (as_given, estimation.moved_by(as_given)))
    explained = float(((estimation.basis.T @ before) ** 2).sum())
    assert float(after @ after) == pytest.approx(float(before @ before) - explained / 3)


def test_intervals_are_left_alone_where_the_regression_would_explain_chance() -> None:
    few, _ = with_estimated_behavior(logged(40, np.random.default_rng(1)))
    estimation = Estimation.of(few)
    assert estimation is not None and estimation.basis is None
    assert estimation.moved_by(estimator := self_normalised(few)) is estimator
    assert any("as given" in remark for remark in estimation.remarks())
    data, _ = with_estimated_behavior(logged(1000, np.random.default_rng(1)))
    estimation = Estimation.of(data)
    assert estimation is not None and estimation.basis is not None
    weights = np.zeros(1000)
    weights[:5] = 1.0
    heavy = Quotients.one(weights * data.rewards, weights)
    assert estimation.moved_by(heavy) is heavy
    undefined = Quotients.one(data.rewards, np.zeros(1000))
    assert estimation.moved_by(undefined) is undefined
    assert Estimation.of(replace(data, estimated_on=None)) is None


def test_an_action_that_was_never_taken_explains_nothing() -> None:
    raw = logged(1000, np.random.default_rng(4))
    errors = []
    for each in (raw, replace(raw, action_names=("a", "b", "never"))):
        data, _ = with_estimated_behavior(each)
        estimation = Estimation.of(data)
        assert estimation is not None and estimation.basis is not None and estimation.basis.shape[1] == 3
        errors.append(student_interval(estimation.moved_by(self_normalised(data)), 0.95).standard_error)
    assert errors[1] == pytest.approx(errors[0], rel=0.01)


def test_intervals_on_hidden_propensities_cover() -> None:
    """The simulation of docs/estimates.md in small: 200 logs of 500 decisions."""
    states = np.random.default_rng(0).normal(size=(1_000_000, 2))
    truth = float((target(states) * (states @ REWARDS)).sum(axis=1).mean())
    rng = np.random.default_rng(2)
    covered = 0
    widths = []
    for _ in range(200):
        data, _ = with_estimated_behavior(logged(500, rng))
        log = EpisodeLog(data, 1.0)
        found = student_interval(log.with_estimation([self_normalised(data)])[0], 0.95)
        as_given = student_interval(self_normalised(data), 0.95)
        covered += found.lower <= truth <= found.upper
        widths.append((found.upper - found.lower) / (as_given.upper - as_given.lower))
    assert 0.92 <= covered / 200 <= 0.98
    assert np.mean(widths) < 0.9


def test_every_figure_with_weights_is_scored_with_the_estimation() -> None:
    data, _ = with_estimated_behavior(logged(2000, np.random.default_rng(3)))
    settings = ScoreSettings(resamples=400, estimators={WIS})
    policy = ScoredPolicy("the target", target(data.states))
    counted, as_given = (
        Scorer(EpisodeLog(each, 1.0), settings).score(policy).report.figures[WIS]
        for each in (data, replace(data, estimated_on=None))
    )
    assert counted.value == pytest.approx(as_given.value, abs=1e-12)
    assert counted.bootstrap.standard_error < 0.8 * as_given.bootstrap.standard_error
    assert counted.student_t.standard_error < 0.8 * as_given.student_t.standard_error
    assert counted.bootstrap.standard_error == pytest.approx(counted.student_t.standard_error, rel=0.15)


def write(path: Path, n: int = 200) -> Path:
    """The log as a file without probabilities."""
    data = logged(n, np.random.default_rng(0))
    frame = pd.DataFrame(data.states, columns=["state_feature_0", "state_feature_1"])
    frame.assign(action=data.actions, reward=data.rewards, episode_id=np.arange(n)).to_csv(path, index=False)
    return path


def test_ope_says_that_propensities_are_estimated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = script_module("ope")
    assert script.main([str(write(tmp_path / "log.csv")), "--policy", "always:1"]) == 0
    captured = capsys.readouterr()
    said = " ".join(captured.out.split())
    assert "Estimated propensities: the log's probabilities of actions come from a model of its actions" in said
    assert "Intervals count the estimation" in said
    assert "note: the probabilities of the actions were not logged" in captured.err


def test_a_training_says_that_its_final_figures_rest_on_estimated_propensities(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write(tmp_path / "log.csv")
    train(tmp_path / "out", data=log)
    told = capsys.readouterr().out
    assert "note: the probabilities of the actions were not logged" in told
    final = told[told.index("final score:") :]
    assert "estimated propensities" in final
