"""What holds for every algorithm, in one harness over the registry."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from random_logs import dataset, settings_of
from torch import Tensor

from batchrl.agents import agent as agents
from batchrl.agents import statistics, targets
from batchrl.agents.agent import Agent, Problem
from batchrl.agents.registry import ALGORITHMS, make_agent
from batchrl.agents.transitions import Transitions
from batchrl.data.dataset import Dataset
from presets.schema import AgentSettings

EVERY = sorted(ALGORITHMS)
WITHOUT_VALUES = ("bc", "ips-policy")
WITHOUT_TARGET = (*WITHOUT_VALUES, "dr-policy", "cost-sensitive")
WITH_TARGET = [name for name in EVERY if name not in WITHOUT_TARGET]


def transitions_of(settings: AgentSettings, data: Dataset | None = None) -> Transitions:
    """With a mask for the algorithm that wants one."""
    data = dataset() if data is None else data
    if settings.algorithm != "ddqn-bcq":
        return Transitions.of(data, settings)
    rng = np.random.default_rng(5)
    allowed = torch.from_numpy(rng.random((data.n_transitions, 3)) < 0.6)
    none = ~allowed.any(dim=1)
    return Transitions.of(data, settings, allowed | none[:, None], none)


def made(settings: AgentSettings, seed: int = 0, epochs: int = 5) -> tuple[Agent, Transitions]:
    data = transitions_of(settings)
    agent = make_agent(Problem.of(data, settings, epochs), settings, torch.Generator().manual_seed(seed))
    return agent, data


def tensors(state: Any) -> list[Tensor]:
    """All tensors of nested dicts, in order."""
    if isinstance(state, Tensor):
        return [state]
    return [found for value in state.values() for found in tensors(value)] if isinstance(state, dict) else []


def same(mine: Agent, its: Agent) -> bool:
    pairs = zip(tensors(mine.state_dict()), tensors(its.state_dict()), strict=True)
    return all(one.equal(other) for one, other in pairs)


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ensemble": {"ensemble": 3},
    "soft": {"target_update": "soft", "soft_rate": 0.1},
    "rare copies": {"target_update_every": 1000},
    "n-step": {"n_step": 3, "loss": "huber", "standardise_inputs": True, "value_scale": 5.0},
    "bounded": {"value_bounds": "rewards", "lr_schedule": "cosine", "updates_per_epoch": 11, "l2": 1e-3},
}


@pytest.fixture(params=[f"{name}, {variant}" for name, variant in itertools.product(EVERY, VARIANTS)])
def settings(request: pytest.FixtureRequest) -> AgentSettings:
    algorithm, variant = request.param.split(", ")
    return settings_of(algorithm, **VARIANTS[variant])


def test_an_epoch_has_statistics_and_policies_have_scores(settings: AgentSettings) -> None:
    agent, data = made(settings)
    found = agent.train_epoch(data, np.random.default_rng(0))
    expected = settings.updates_per_epoch or -(-len(data) // 8)
    assert found.updates == agent.updates == expected
    assert found.loss.minimum <= found.loss.mean <= found.loss.maximum
    assert found.gradient_norm.minimum > 0
    assert found.learning_rate.maximum == pytest.approx(settings.learning_rate)
    states = dataset().states[:7]
    scores = agent.preferences()(states)
    assert scores.shape == (7, 3)
    assert np.isfinite(scores).all()
    values = agent.values()
    assert (values is None) == (found.values is None) == (settings.algorithm in WITHOUT_VALUES)
    if values is not None:
        assert values(states).shape == (7, 3)
    copies = {"soft": expected, "hard": expected // settings.target_update_every}[settings.target_update]
    assert found.target_copies == (0 if settings.algorithm in WITHOUT_TARGET else copies)


def test_seeds_decide_everything(settings: AgentSettings) -> None:
    (one, data), (same_seed, _), (other_seed, _), (other_order, _) = (made(settings, seed) for seed in (0, 0, 1, 0))
    for agent, order in ((one, 0), (same_seed, 0), (other_seed, 0), (other_order, 1)):
        agent.train_epoch(data, np.random.default_rng(order))
    assert same(one, same_seed)
    assert not same(one, other_seed)
    assert not same(one, other_order)


def test_a_restored_agent_goes_on_to_the_bit(settings: AgentSettings) -> None:
    straight, data = made(settings)
    rng = np.random.default_rng(0)
    straight.train_epoch(data, rng)
    state, later = copy.deepcopy(straight.state_dict()), copy.deepcopy(rng)
    expected = [straight.train_epoch(data, rng) for _ in range(2)]
    restored, _ = made(settings, seed=9)
    # What it learnt before must not shine through.
    restored.train_epoch(data, np.random.default_rng(9))
    restored.load_state_dict(state)
    assert [restored.train_epoch(data, later) for _ in range(2)] == expected
    assert same(restored, straight)
    assert restored.updates == straight.updates
    assert not {one.data_ptr() for one in tensors(restored.state_dict())} & {one.data_ptr() for one in tensors(state)}


def test_an_agent_does_not_change_what_it_learns_from(settings: AgentSettings) -> None:
    agent, data = made(settings)
    before = copy.deepcopy(data)
    agent.train_epoch(data, np.random.default_rng(0))
    for name in ("states", "actions", "rewards", "all_next_states", "discounts", "behavior_policy"):
        assert getattr(data, name).equal(getattr(before, name))


@pytest.mark.parametrize("algorithm", ["ips-policy", "dr-policy", "cost-sensitive"])
def test_the_taken_actions_propensity_is_all_that_agents_of_decisions_need(algorithm: str) -> None:
    settings, data = settings_of(algorithm), dataset()
    alone = dataclasses.replace(
        data, behavior_policy=None, taken_propensities=data.propensities, action_names=data.action_names
    )
    agents_of_both = []
    for log in (data, alone):
        transitions = Transitions.of(log, settings)
        agent = make_agent(Problem.of(transitions, settings, 1), settings, torch.Generator().manual_seed(0))
        agent.train_epoch(transitions, np.random.default_rng(0))
        agents_of_both.append(agent)
    assert same(*agents_of_both)


def test_what_stops_an_update_ends_the_epoch() -> None:
    agent, data = made(settings_of("ddqn"))

    def stop() -> None:
        if agent.updates == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agent.train_epoch(data, np.random.default_rng(0), on_update=stop)
    assert agent.updates == 2


@pytest.mark.parametrize("variant", ["plain", "rare copies"])
@pytest.mark.parametrize("algorithm", WITH_TARGET)
def test_values_looked_up_ahead_are_those_of_each_minibatch(
    algorithm: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many minibatches are prepared at once, the updates are the same."""
    settings = settings_of(algorithm, **VARIANTS[variant])
    ahead, data = made(settings)
    statistics_ahead = ahead.train_epoch(data, np.random.default_rng(0))
    alone, _ = made(settings)
    monkeypatch.setattr(agents, "BLOCK_ROWS", 1)
    monkeypatch.setattr(targets, "KEPT_NUMBERS", 0)
    found = alone.train_epoch(data, np.random.default_rng(0))
    assert found.loss.mean == pytest.approx(statistics_ahead.loss.mean, rel=1e-5)
    for one, other in zip(tensors(ahead.state_dict()), tensors(alone.state_dict()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_statistics_take_a_bounded_memory_and_are_those_of_all_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("ddqn", ensemble=2)
    expected = _statistics(settings)
    monkeypatch.setattr(statistics, "UPDATES_AT_ONCE", 2)
    found = _statistics(settings)
    for name in ("loss", "gradient_norm", "values", "learning_rate"):
        mine, its = vars(getattr(found, name)), vars(getattr(expected, name))
        assert mine == pytest.approx(its, rel=1e-6)


def _statistics(settings: AgentSettings) -> statistics.EpochStatistics:
    agent, data = made(settings)
    return agent.train_epoch(data, np.random.default_rng(0))


def test_moments_are_numpys_and_keep_what_is_not_a_number() -> None:
    values = torch.randn(100, generator=torch.Generator().manual_seed(0)) + 1000
    moments = statistics.Moments()
    for part in torch.split(values, 7):
        moments.add(part)
    array = values.double().numpy()
    found = moments.summary()
    assert found.mean == pytest.approx(array.mean(), rel=1e-12)
    assert found.stdev == pytest.approx(array.std(), rel=1e-9)
    assert (found.maximum, found.minimum) == (array.max(), array.min())
    moments.add(torch.tensor([torch.nan]))
    moments.add(values)
    assert all(np.isnan(value) for value in vars(moments.summary()).values())
