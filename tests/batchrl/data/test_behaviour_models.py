"""The network that estimates a logging policy: its minimum, what it finds that a logistic model cannot, and when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from batchrl.data import behaviour_models, storage
from batchrl.data.behaviour import with_estimated_behavior
from batchrl.data.behaviour_models import HIDDEN, HIDDEN_RIDGE, RIDGE, Model, Scale, fitted
from batchrl.data.calibration import mean_log_loss
from batchrl.data.dataset import Dataset, Floats64
from batchrl.data.loader import load_dataset
from batchrl.ope.study.estimation import Estimation
from presets.dataschema import DataSettings


def logged(n: int, bend: float, seed: int = 0) -> tuple[Dataset, Floats64]:
    """Single decisions among three actions; their preferences rise with the features, and bend with their squares."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(n, 2)).astype(np.float32)
    logits = states @ np.array([[0.5, -0.5, 0.0], [0.0, 0.4, -0.4]])
    logits += bend * np.tanh(states**2 - 1) @ np.array([[1.5, -1.0, -0.5], [-1.0, 0.0, 1.0]])
    chances = np.exp(logits)
    chances /= chances.sum(axis=1, keepdims=True)
    taken = np.minimum((chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), 2)
    ends, names = np.ones(n, np.bool_), tuple(map(str, range(n)))
    data = Dataset(
        states, taken, rng.normal(size=n), states, ends, None, np.arange(n + 1), names, ("x", "y"), ("a", "b", "c")
    )
    return data, chances


def objective(data: Dataset, scale: Scale, head: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """What the fit makes least, written with PyTorch: log loss, the even row, and both penalties."""
    states = (torch.tensor(data.states, dtype=torch.float64) - torch.tensor(scale.mean)) / torch.tensor(scale.deviation)
    inputs = torch.cat([torch.ones(len(states), 1, dtype=torch.float64), states], dim=1)
    logits = torch.cat([inputs, torch.tanh(inputs @ hidden)], dim=1) @ head
    if data.eligible is not None:
        logits = logits.masked_fill(~torch.tensor(data.eligible), -torch.inf)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(data.actions), reduction="sum")
    loss = loss - torch.log_softmax(head[0], dim=0).mean()
    penalties = RIDGE * (head[1:3] ** 2).sum() + HIDDEN_RIDGE * ((head[3:] ** 2).sum() + (hidden**2).sum())
    return (loss + penalties / 2) / len(data.actions)


@pytest.mark.parametrize("with_mask", [False, True])
def test_the_fitted_network_is_a_minimum_of_its_penalised_log_loss(
    with_mask: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK_ROWS", 33)
    monkeypatch.setattr(behaviour_models, "NETWORK_STEPS", 3000)
    data, _ = logged(300, bend=1.5)
    if with_mask:
        eligible = np.ones((300, 3), np.bool_)
        eligible[np.arange(300), (data.actions + 1) % 3] = np.arange(300) % 2 == 0
        data = replace(data, eligible=eligible)
    scale = Scale.of(data)
    everywhere = np.ones(300, np.bool_)
    logistic, network = (fitted(kind, data, everywhere, Model.blank(data, scale)) for kind in ("logistic", "network"))
    head, hidden = (torch.tensor(each, requires_grad=True) for each in (network.coefficients, network.hidden))
    value = objective(data, scale, head, hidden)
    value.backward()
    assert head.grad is not None and hidden.grad is not None
    assert max(float(head.grad.abs().max()), float(hidden.grad.abs().max())) < 1e-5
    start = logistic.widened()
    before = objective(data, scale, torch.tensor(start.coefficients), torch.zeros(3, HIDDEN, dtype=torch.float64))
    assert value.item() < before.item() - 1e-3
    chances = network.probabilities(data, 0, 300, everywhere)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert data.eligible is None or (chances[~data.eligible] == 0).all()


def test_a_widened_logistic_model_says_what_it_said() -> None:
    data, _ = logged(100, bend=0.0)
    everywhere = np.ones(100, np.bool_)
    model = fitted("logistic", data, everywhere, Model.blank(data, Scale.of(data)))
    before, after = (each.probabilities(data, 0, 100, everywhere) for each in (model, model.widened()))
    np.testing.assert_allclose(before, after, rtol=1e-12)


def test_where_preferences_bend_the_network_is_nearer_to_them_and_is_taken() -> None:
    data, hidden = logged(600, bend=1.0)
    found = {kind: with_estimated_behavior(data, wanted=kind)[0] for kind in ("logistic", "network", "auto")}
    policies = {kind: each.behavior_policy for kind, each in found.items()}
    misses = {kind: float(np.abs(each - hidden).mean()) for kind, each in policies.items() if each is not None}
    assert misses["network"] < 0.7 * misses["logistic"]
    assert np.array_equal(policies["auto"], policies["network"])  # type: ignore[arg-type]
    assert found["auto"].behavior_fit is not None
    (fit,) = found["auto"].behavior_fit.loggers
    assert fit.model == "network" and fit.network is not None and fit.network.beyond_chance
    raw = {kind: mean_log_loss(each)[0] for kind, each in found.items()}
    assert fit.network.before == pytest.approx(raw["logistic"]) and raw["network"] < raw["logistic"]
    again, told = with_estimated_behavior(data, wanted="auto")
    assert np.array_equal(again.behavior_policy, policies["auto"])  # type: ignore[arg-type]
    assert "of the logistic model" in told and "a network of one hidden layer" in told
    estimation = Estimation.of(found["auto"])
    assert estimation is not None and any("what it bends is taken as given" in each for each in estimation.remarks())


def test_where_they_are_straight_the_logistic_model_is_taken() -> None:
    data, _ = logged(600, bend=0.0, seed=1)
    found, _ = with_estimated_behavior(data, wanted="auto")
    logistic, _ = with_estimated_behavior(data)
    assert found.behavior_fit is not None
    (fit,) = found.behavior_fit.loggers
    assert fit.model == "logistic" and fit.network is not None and not fit.network.beyond_chance
    assert np.array_equal(found.behavior_policy, logistic.behavior_policy)  # type: ignore[arg-type]


def test_a_networks_probabilities_of_an_episode_do_not_depend_on_its_own_actions() -> None:
    data, _ = logged(60, bend=1.0)
    changed = data.actions.copy()
    changed[0] = (changed[0] + 1) % 3
    before, after = (
        with_estimated_behavior(each, wanted="network")[0].behavior_policy
        for each in (data, replace(data, actions=changed))
    )
    assert before is not None and after is not None
    np.testing.assert_allclose(before[0], after[0], atol=2e-5)
    assert np.abs(before[1:] - after[1:]).max() > 1e-4


def test_the_setting_says_which_model(tmp_path: Path) -> None:
    data, _ = logged(60, bend=1.0)
    frame = pd.DataFrame(data.states, columns=["state_feature_0", "state_feature_1"])
    frame.assign(action=data.actions, reward=data.rewards, episode_id=np.arange(60)).to_csv(
        tmp_path / "log.csv", index=False
    )
    for model in ("logistic", "network"):
        settings = DataSettings.model_validate({"behavior_model": model})
        loaded = load_dataset(tmp_path / "log.csv", settings)
        assert loaded.dataset.behavior_fit is not None
        assert [each.model for each in loaded.dataset.behavior_fit.loggers] == [model]
