"""The mixture of several loggers: its propensities by other sums, and when it is known at all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from batchrl.agents.transitions import Transitions
from batchrl.contract.errors import InputError
from batchrl.data import mixture as mixtures
from batchrl.data.balancing import unlike_states, with_balanced_loggers
from batchrl.data.dataset import Dataset, Floats64
from batchrl.data.loader import load_dataset
from presets.dataschema import DataSettings
from presets.schema import AgentSettings

POLICIES = np.array([[0.8, 0.2, 0.0], [0.1, 0.3, 0.6]])
NAMES = ("control", "explore")


def log_of(lengths: list[int], seed: int = 0, policies: Floats64 = POLICIES, alone: bool = True) -> Dataset:
    """Episodes of loggers that take turns; their probabilities of all actions, or of the taken ones alone."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    n, steps = len(lengths), int(offsets[-1])
    loggers = np.arange(n) % len(policies)
    chances = policies[np.repeat(loggers, lengths)]
    actions = (chances.cumsum(axis=1) < rng.random((steps, 1))).sum(axis=1)
    states = rng.normal(size=(steps, 2)).astype(np.float32)
    ends = np.zeros(steps, np.bool_)
    ends[offsets[1:] - 1] = True
    return Dataset(
        states=states,
        actions=actions,
        rewards=rng.normal(size=steps),
        next_states=states,
        terminal=ends,
        behavior_policy=None if alone else chances,
        offsets=offsets,
        episode_ids=tuple(map(str, range(n))),
        state_columns=("x", "y"),
        action_names=("a", "b", "c"),
        taken_propensities=chances[np.arange(steps), actions] if alone else None,
        loggers=loggers,
        logger_names=NAMES[: len(policies)],
    )


def by_trajectories(data: Dataset, policies: Floats64) -> Floats64:
    """``[n]``, sum over loggers of share times the product of an episode's probabilities, by loops."""
    assert data.loggers is not None
    result = []
    for first, last in pairwise(data.offsets.tolist()):
        total = 0.0
        for number in range(len(policies)):
            product = float((data.loggers == number).mean())
            for action in data.actions[first:last]:
                product *= policies[number, action]
            total += product
        result.append(total)
    return np.array(result)


@pytest.mark.parametrize("alone", [True, False])
def test_a_decision_has_the_mean_probability_of_the_loggers_by_their_shares(alone: bool) -> None:
    data = with_balanced_loggers(log_of([1] * 301, alone=alone))
    shares = np.array([151, 150]) / 301
    np.testing.assert_allclose(data.propensities, shares @ POLICIES[:, data.actions], rtol=1e-12)
    own = POLICIES[data.loggers, data.actions]
    np.testing.assert_allclose(data.own_propensities, own)


@pytest.mark.parametrize("pieces", [3, 1 << 18])
def test_the_steps_of_an_episode_make_the_mixture_of_its_trajectory(
    pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixtures, "CHUNK_ROWS", pieces)
    rng = np.random.default_rng(1)
    data = with_balanced_loggers(log_of(rng.integers(1, 9, 60).tolist()))
    products = np.multiply.reduceat(data.propensities, data.offsets[:-1])
    np.testing.assert_allclose(products, by_trajectories(data, POLICIES), rtol=1e-12)
    # Of the first steps alone it is the mixture of those.
    heads = data.offsets[:-1]
    assert data.loggers is not None
    shares = np.bincount(data.loggers) / data.n_episodes
    np.testing.assert_allclose(data.propensities[heads], shares @ POLICIES[:, data.actions[heads]], rtol=1e-12)


def test_long_episodes_underflow_nowhere() -> None:
    data = with_balanced_loggers(log_of([3000, 3000, 2]))
    assert np.isfinite(np.log(data.propensities)).all()
    # After so many steps it is sure who acts.
    np.testing.assert_allclose(data.propensities[2000:3000], POLICIES[0, data.actions[2000:3000]], rtol=1e-9)


def test_a_part_of_the_episodes_has_shares_of_its_own() -> None:
    data = with_balanced_loggers(log_of([2] * 50))
    part = data.select(np.array([0, 1, 2, 4, 9]))
    products = np.multiply.reduceat(part.propensities, part.offsets[:-1])
    np.testing.assert_allclose(products, by_trajectories(part, POLICIES), rtol=1e-12)


def test_agents_weigh_decisions_by_the_mixture() -> None:
    data = with_balanced_loggers(log_of([1] * 20, alone=False))
    batch = Transitions.of(data, AgentSettings()).batch(torch.arange(20))
    np.testing.assert_allclose(batch.propensities.numpy(), data.propensities, rtol=1e-6)
    plain = Transitions.of(replace(data, mixture=None), AgentSettings()).batch(torch.arange(20))
    np.testing.assert_allclose(plain.propensities.numpy(), data.own_propensities, rtol=1e-6)


def refusal(data: Dataset) -> str:
    with pytest.raises(InputError) as caught:
        with_balanced_loggers(data)
    return f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("alone", [True, False])
def test_probabilities_that_heed_the_state_are_refused(alone: bool) -> None:
    data = log_of([1] * 100, alone=alone)
    if alone:
        assert data.taken_propensities is not None
        data.taken_propensities[np.flatnonzero((data.actions == 1) & (data.loggers == 1))[3]] = 0.25
    else:
        assert data.behavior_policy is not None
        data.behavior_policy[7] = [0.15, 0.25, 0.6]
    said = refusal(data)
    assert "logger explore gives action" in said and "by the state" in said
    assert "data.propensities to estimated" in said and "data.loggers to separate" in said


def test_actions_that_are_possible_in_some_states_alone_are_refused() -> None:
    data = log_of([1] * 100)
    assert data.taken_propensities is not None and data.loggers is not None
    mine = data.loggers == 0
    data.taken_propensities[mine] = 0.7
    assert "probabilities of logger control, which are alike in all of its rows, sum to 1.4" in refusal(data)


def test_the_rest_of_a_probability_is_that_of_the_one_action_never_taken() -> None:
    data = log_of([1] * 100)
    never = (data.loggers == 1) & (data.actions == 0)
    data.actions[never] = 1
    assert data.taken_propensities is not None
    data.taken_propensities[never] = 0.3
    assert with_balanced_loggers(data).mixture is not None
    np.testing.assert_allclose(
        with_balanced_loggers(data).propensities, np.array([0.5, 0.5]) @ POLICIES[:, data.actions], rtol=1e-12
    )


def test_actions_of_unknown_probability_are_refused() -> None:
    data = log_of([1] * 100)
    mine = data.loggers == 1
    data.actions[mine] = 1
    assert data.taken_propensities is not None
    data.taken_propensities[mine] = 0.3
    said = refusal(data)
    assert "how likely logger explore would have taken a, c is not known" in said and "sum to 0.3" in said
    assert "data.columns.probabilities" in said


def test_one_logger_needs_no_balance_whatever_its_policy_heeds() -> None:
    data = log_of([1] * 50, policies=POLICIES[1:])
    assert data.taken_propensities is not None
    data.taken_propensities[::2] *= 0.9
    assert with_balanced_loggers(data).propensities.tolist() == data.taken_propensities.tolist()


def frame(n: int = 400, seed: int = 0, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    logger = rng.integers(0, 2, n)
    chances = POLICIES[logger]
    action = (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return pd.DataFrame(
        {
            "episode_id": np.arange(n),
            "who": np.array(NAMES)[logger],
            "action": action,
            "reward": rng.normal(size=n),
            "propensity": chances[np.arange(n), action],
            "state_feature_0": rng.normal(size=n),
            "state_feature_1": rng.normal(size=n) + shift * logger,
        }
    )


def test_the_setting_balances_what_is_read(tmp_path: Path) -> None:
    log = frame(1500)
    log.to_csv(tmp_path / "log.csv", index=False)
    given = {"columns": {"logger": "who"}, "loggers": "balanced"}
    data = load_dataset(tmp_path / "log.csv", DataSettings.model_validate(given)).dataset
    shares = (log["who"] == "control").mean(), (log["who"] == "explore").mean()
    np.testing.assert_allclose(data.propensities, np.array(shares) @ POLICIES[:, log["action"]])
    # Estimated ones as well, near to those that were logged: of the loggers, not of the log as a whole.
    estimated = load_dataset(
        tmp_path / "log.csv", DataSettings.model_validate({**given, "propensities": "estimated"})
    ).dataset
    assert np.abs(estimated.propensities - data.propensities).mean() < 0.02
    assert np.abs(estimated.own_propensities - log["propensity"]).mean() < 0.03


def test_loggers_of_no_column_are_not_balanced() -> None:
    with pytest.raises(ValidationError, match=r"columns\.logger"):
        DataSettings.model_validate({"loggers": "balanced"})


def test_what_a_logger_never_does_is_not_what_cannot_be_done() -> None:
    given = {"columns": {"logger": "who"}, "loggers": "balanced", "eligibility": "probabilities"}
    with pytest.raises(ValidationError, match="what a logger never does"):
        DataSettings.model_validate(given)


def test_loggers_that_met_other_states_are_told(tmp_path: Path) -> None:
    given = {"columns": {"logger": "who"}, "loggers": "balanced"}
    for shift, accept in ((0.0, ()), (0.6, ("unlike_loggers",)), (0.6, ())):
        frame(shift=shift).to_csv(tmp_path / "log.csv", index=False)
        settings = DataSettings.model_validate({**given, "accept": accept})
        doubts = load_dataset(tmp_path / "log.csv", settings).doubts
        if shift and not accept:
            (told,) = doubts
            assert told.kind == "unlike_loggers" and "the mean of state_feature_1 is" in told.message
            assert "data.loggers to separate" in told.advice
        else:
            assert not doubts


def test_loggers_that_met_the_same_states_are_hardly_ever_doubted() -> None:
    for seed in range(200):
        data = log_of([1] * 120, seed=seed)
        assert unlike_states(replace(data, states=np.abs(data.states) ** 2)) is None
