"""A logistic model of a logging policy that bends is told, one that is right is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from preferences import softmax

from batchrl.data.behaviour import with_estimated_behavior
from batchrl.data.curvature import ERROR, strongest_bend
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy
from batchrl.ope.study.scoring import Scorer

PREFERENCES = np.array([[0.6, -0.4], [-0.2, 0.5], [0.0, 0.0]])


def log(n: int, steps: int, bend: float, seed: int) -> tuple[Dataset, Floats64]:
    """Episodes with a normal, a skewed and a binary feature, and the hidden probabilities."""
    rng = np.random.default_rng(seed)
    rows = n * steps
    states = np.column_stack([rng.normal(size=rows), rng.exponential(size=rows), rng.random(rows) < 0.3])
    preferences = states @ PREFERENCES
    preferences[:, 0] += bend * (states[:, 0] ** 2 - 1)
    chances = softmax(preferences)
    actions = (rng.random(rows)[:, None] > chances.cumsum(axis=1)).sum(axis=1)
    ends = np.zeros(rows, np.bool_)
    ends[steps - 1 :: steps] = True
    dataset = Dataset(
        states=states.astype(np.float32),
        actions=actions,
        rewards=rng.normal(size=rows),
        next_states=states.astype(np.float32),
        terminal=ends,
        behavior_policy=None,
        offsets=np.arange(0, rows + 1, steps),
        episode_ids=tuple(map(str, range(n))),
        state_columns=("age", "spent", "member"),
        action_names=("mail", "wait"),
    )
    return dataset, chances


@pytest.mark.parametrize("steps", [1, 4])
def test_a_model_that_is_right_is_hardly_ever_doubted(steps: int) -> None:
    told = 0
    for seed in range(40):
        dataset, _ = log(500, steps, 0.0, seed)
        fit = with_estimated_behavior(dataset)[0].behavior_fit
        assert fit is not None
        told += fit.doubt is not None
    assert told == 0, f"of 40 logs, at an error of {ERROR}"


@pytest.mark.parametrize("steps", [1, 4])
def test_a_policy_that_bends_is_told_with_the_feature_and_no_figure_is_relied_on(steps: int) -> None:
    dataset, chances = log(500, steps, 0.6, 0)
    known, _ = with_estimated_behavior(dataset)
    assert known.behavior_fit is not None and known.behavior_fit.doubt is not None
    assert "bends with age" in known.behavior_fit.doubt and "data.behavior_model=auto" in known.behavior_fit.doubt
    report = Scorer(EpisodeLog(known, 0.9)).score(ScoredPolicy("the same", chances)).report
    assert report.doubt is not None and "is not right" in report.doubt
    assert all(figure.doubt is not None for figure in report.figures.values())


def test_a_network_is_not_held_to_it() -> None:
    dataset, _ = log(500, 1, 0.6, 0)
    known, _ = with_estimated_behavior(dataset, wanted="network")
    assert known.behavior_fit is not None and known.behavior_fit.doubt is None


def test_the_score_is_that_of_its_definition() -> None:
    dataset, chances = log(400, 3, 0.3, 5)
    found = strongest_bend(dataset, chances, 0.0)
    ages = dataset.states[:, 0].astype(np.float64)
    ages = (ages - ages.mean()) / ages.std()
    squares = ages**2 - 1 - (ages**3).mean() * ages
    left = (dataset.actions == 0) - chances[:, 0]
    by_episode = (left * squares).reshape(400, 3).sum(axis=1)
    expected = abs(by_episode.sum()) / np.sqrt((by_episode**2).sum())
    if found is None:
        assert expected < 4
    else:
        assert found.score == pytest.approx(expected) or found.feature != "age"


def test_with_the_true_probabilities_nothing_is_left_and_with_straight_ones_much() -> None:
    dataset, chances = log(2000, 1, 0.6, 3)
    assert strongest_bend(dataset, chances, 0.0) is None
    straight = softmax(dataset.states.astype(np.float64) @ PREFERENCES)
    found = strongest_bend(dataset, straight, 0.0)
    assert found is not None and found.feature == "age" and found.score > 8


def test_what_hardly_matters_beside_what_the_features_say_is_not_told() -> None:
    dataset, _ = log(2000, 1, 0.6, 3)
    straight = softmax(dataset.states.astype(np.float64) @ PREFERENCES)
    assert strongest_bend(dataset, straight, 100.0) is None


def test_a_longer_log_is_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, _ = log(2000, 2, 0.6, 3)
    straight = softmax(dataset.states.astype(np.float64) @ PREFERENCES)
    monkeypatch.setattr("batchrl.data.curvature.MOST_NUMBERS", 500 * 4)
    few = strongest_bend(dataset, straight, 0.0)
    part = dataset.select(np.arange(500))
    assert few is not None and few.score > 5
    assert few.score < (strongest_bend(replace(part), straight[:1000], 0.0) or few).score * 1.1
