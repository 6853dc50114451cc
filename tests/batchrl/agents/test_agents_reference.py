"""Every algorithm against a second one, written with loops over transitions, autograd and PyTorch's Adam."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from batchrl.agents.agent import Problem
from batchrl.agents.registry import ALGORITHMS, make_agent
from batchrl.agents.transitions import Transitions, input_scaling, minibatches, updates_in_epoch
from batchrl.data.dataset import Dataset
from presets.schema import AgentSettings

DISCOUNT = 0.9
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "huber": {"loss": "huber"},
    # Fewer rows than updates between copies visit: their target values are kept.
    "kept": {"target_update_every": 6},
    "soft ensemble": {"target_update": "soft", "soft_rate": 0.1, "ensemble": 3},
    "n-step": {"n_step": 3, "standardise_inputs": True, "value_scale": 5.0},
    "bounded": {"value_bounds": "rewards", "lr_schedule": "cosine", "l2": 0.01, "updates_per_epoch": 9},
}


def dataset() -> Dataset:
    """Ten episodes of one to eight steps; every third is cut short."""
    rng = np.random.default_rng(3)
    lengths = np.array([1, 8, 3, 5, 2, 7, 1, 4, 6, 3])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    n = int(offsets[-1])
    terminal = np.zeros(n, dtype=np.bool_)
    terminal[offsets[1:] - 1] = np.arange(10) % 3 > 0
    return Dataset(
        states=rng.normal(size=(n, 3)).astype(np.float32),
        actions=rng.integers(0, 4, n),
        rewards=rng.normal(size=n) * 2,
        next_states=rng.normal(size=(n, 3)).astype(np.float32),
        terminal=terminal,
        behavior_policy=rng.dirichlet(np.ones(4), n),
        offsets=offsets,
        episode_ids=tuple(str(number) for number in range(10)),
        state_columns=("a", "b", "c"),
    )


DATA = dataset()
ALLOWED = torch.from_numpy(np.random.default_rng(4).random((DATA.n_transitions, 4)) < 0.5)
ALLOWED[:, 1] |= ~ALLOWED.any(dim=1)


@dataclass
class Transition:
    """One, by hand."""

    state: Tensor
    action: int
    reward: float
    following: Tensor
    discount: float
    next_behavior: Tensor
    allowed: Tensor
    propensity: float


def transition(row: int, n_step: int) -> Transition:
    """Begins at a step; found by walking from there."""
    end = next(int(offset) for offset in DATA.offsets if offset > row)
    reward, discount, step = 0.0, 1.0, row
    while True:
        reward += discount * float(DATA.rewards[step])
        discount *= DISCOUNT
        if step + 1 == end or step + 1 - row == n_step:
            break
        step += 1
    if DATA.terminal[step]:
        discount = 0.0
    behavior = DATA.behavior_policy[step + 1 if step + 1 < end else step]
    return Transition(
        torch.from_numpy(DATA.states[row]),
        int(DATA.actions[row]),
        reward,
        torch.from_numpy(DATA.next_states[step]),
        discount,
        torch.from_numpy(behavior).float(),
        ALLOWED[step],
        float(DATA.behavior_policy[row, DATA.actions[row]]),
    )


@pytest.mark.parametrize("n_step", [1, 2, 3, 100])
def test_transitions_are_those_found_by_walking(n_step: int) -> None:
    settings = AgentSettings(n_step=n_step, discount=DISCOUNT)
    data = Transitions.of(DATA, settings, ALLOWED)
    whole = data.batch(torch.arange(len(data)))
    for batch in [whole, *whole.split(7)]:
        for place, row in enumerate(batch.rows.tolist()):
            expected = transition(row, n_step)
            assert batch.states[place].equal(expected.state)
            assert batch.actions[place] == expected.action
            assert batch.rewards[place].item() == pytest.approx(expected.reward, rel=1e-5, abs=1e-6)
            assert batch.discounts[place].item() == pytest.approx(expected.discount, rel=1e-6)
            assert batch.next_behavior[place].equal(expected.next_behavior)
            assert batch.propensities[place].item() == pytest.approx(expected.propensity)
            assert batch.allowed is not None
            assert batch.allowed[place].equal(expected.allowed)
            if expected.discount:
                assert batch.next_states[place].equal(expected.following)


def test_an_episode_that_was_cut_short_bootstraps_from_its_known_next_state() -> None:
    data = Transitions.of(DATA, AgentSettings(discount=DISCOUNT))
    last = torch.from_numpy(DATA.offsets[1:] - 1)
    expected = torch.where(torch.arange(10) % 3 > 0, 0.0, DISCOUNT)
    torch.testing.assert_close(data.batch(last).discounts, expected)
    assert data.batch(last).next_states.equal(torch.from_numpy(DATA.next_states)[last])


class Net:
    """One member of a network, as leaves of autograd."""

    def __init__(self, tensors: dict[str, Tensor], member: int) -> None:
        depth = sum(name.endswith("weight") for name in tensors)
        self.weights = [tensors[f"layers.{n}.weight"][member].clone().requires_grad_() for n in range(depth)]
        self.biases = [tensors[f"layers.{n}.bias"][member].clone().requires_grad_() for n in range(depth)]
        self.shift, self.scale = tensors.get("input.shift"), tensors.get("input.scale")

    def leaves(self) -> list[Tensor]:
        return [*self.weights, *self.biases]

    def __call__(self, state: Tensor) -> Tensor:
        hidden = state if self.shift is None or self.scale is None else (state - self.shift) * self.scale
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = torch.relu(weight @ hidden + bias)
        return self.weights[-1] @ hidden + self.biases[-1]


class Member:
    """One member of an agent: all its networks, learning by autograd."""

    def __init__(self, settings: AgentSettings, state: dict[str, Any], member: int, total_updates: int) -> None:
        self.settings, self.updates, self.total_updates = settings, 0, total_updates
        names = {"bc": ["network"], "iql": ["q", "v", "policy", "target"], "ips-policy": ["policy"]}
        names |= {"dr-policy": ["policy", "q"], "cost-sensitive": ["scores", "q"]}
        self.nets = {name: Net(state[name], member) for name in names.get(settings.algorithm, ["online", "target"])}
        self.optimisers = [
            torch.optim.Adam(
                net.leaves(),
                lr=settings.learning_rate,
                betas=(0.9, settings.adam_beta2),
                eps=settings.adam_epsilon,
                weight_decay=settings.l2,
            )
            for name, net in self.nets.items()
            if name != "target"
        ]

    def update(self, batch: list[Transition]) -> float:
        """One gradient step; the loss that the agent reports."""
        losses = [self.losses(one) for one in batch]
        for name in losses[0]:
            torch.stack([loss[name] for loss in losses]).mean().backward()  # type: ignore[no-untyped-call]
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = self.learning_rate()
            optimiser.step()
            optimiser.zero_grad()
        self.updates += 1
        self.follow()
        reported = "q" if self.settings.algorithm == "iql" else next(iter(losses[0]))
        return sum(loss[reported].item() for loss in losses) / len(losses)

    def learning_rate(self) -> float:
        if self.settings.lr_schedule == "constant":
            return self.settings.learning_rate
        low, done = self.settings.lr_final_fraction, self.updates / (self.total_updates - 1)
        return self.settings.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * done)) / 2)

    def follow(self) -> None:
        if "target" not in self.nets:
            return
        followed = self.nets["q" if self.settings.algorithm == "iql" else "online"]
        for mine, its in zip(self.nets["target"].leaves(), followed.leaves(), strict=True):
            if self.settings.target_update == "soft":
                mine.data.mul_(1 - self.settings.soft_rate).add_(its.data, alpha=self.settings.soft_rate)
            elif self.updates % self.settings.target_update_every == 0:
                mine.data.copy_(its.data)

    def losses(self, one: Transition) -> dict[str, Tensor]:
        """Of one transition, by the network that it trains."""
        settings, nets = self.settings, self.nets
        if settings.algorithm == "bc":
            return {"network": -torch.log_softmax(nets["network"](one.state), 0)[one.action]}
        if settings.algorithm == "iql":
            value = nets["target"](one.state)[one.action].detach()
            advantage = value - nets["v"](one.state)[0]
            weight = settings.iql_expectile if advantage >= 0 else 1 - settings.iql_expectile
            target = self.target(one, nets["v"](one.following)[0].detach())
            likelihood = torch.log_softmax(nets["policy"](one.state), 0)[one.action]
            preference = min(math.exp(settings.iql_inverse_temperature * advantage.item()), settings.iql_max_weight)
            return {
                "q": self.apart(nets["q"](one.state)[one.action] - target),
                "v": weight * advantage**2,
                "policy": -preference * likelihood,
            }
        if settings.algorithm in ("ips-policy", "dr-policy", "cost-sensitive"):
            return self.of_decisions(one)
        values = nets["online"](one.state)
        loss = self.apart(values[one.action] - self.target(one, self.bootstrap(one)))
        if settings.algorithm == "cql":
            loss = loss + settings.cql_alpha * (torch.logsumexp(values, 0) - values[one.action])
        return {"online": loss}

    def of_decisions(self, one: Transition) -> dict[str, Tensor]:
        """Losses of the agents that learn from single decisions."""
        settings, nets, action = self.settings, self.nets, one.action
        reward, most = one.reward / settings.value_scale, settings.policy_max_weight
        if settings.algorithm == "ips-policy":
            rewards = [transition(row, settings.n_step).reward for row in range(DATA.n_transitions)]
            chance = torch.softmax(nets["policy"](one.state), 0)[action]
            baseline = float(np.mean(rewards)) / settings.value_scale
            return {"policy": -torch.minimum(chance / one.propensity, torch.tensor(most)) * (reward - baseline)}
        q = nets["q"](one.state)
        known = q.detach()
        losses = {"q": self.apart(q[action] - reward)}
        if settings.algorithm == "dr-policy":
            chances = torch.softmax(nets["policy"](one.state), 0)
            weight = torch.minimum(chances[action] / one.propensity, torch.tensor(most))
            return {"policy": -((chances * known).sum() + weight * (reward - known[action])), **losses}
        brought = known.clone()
        brought[action] += min(1 / one.propensity, most) * (reward - float(known[action]))
        return {"scores": ((nets["scores"](one.state) - brought) ** 2).mean(), **losses}

    def bootstrap(self, one: Transition) -> Tensor:
        following = self.nets["target"](one.following).detach()
        if self.settings.algorithm == "dqn":
            return following.max()
        if self.settings.algorithm == "one-step":
            return (one.next_behavior * following).sum()
        scores = self.nets["online"](one.following).detach()
        if self.settings.algorithm == "ddqn-bcq":
            scores[~one.allowed] = -torch.inf
        return following[scores.argmax()]

    def target(self, one: Transition, bootstrap: Tensor) -> Tensor:
        target = one.reward / self.settings.value_scale + one.discount * bootstrap
        if self.settings.value_bounds == "none":
            return target
        low, high = min(0.0, DATA.rewards.min()), max(0.0, DATA.rewards.max())
        return target.clamp(low / (1 - DISCOUNT), high / (1 - DISCOUNT))

    def apart(self, residual: Tensor) -> Tensor:
        if self.settings.loss == "mse":
            return residual**2
        return residual**2 / 2 if residual.abs() < 1 else residual.abs() - 0.5


def rows(settings: AgentSettings) -> Iterator[Tensor]:
    rng = np.random.default_rng(0)
    for _ in range(2):
        yield from minibatches(DATA.n_transitions, settings.batch_size, rng, settings.updates_per_epoch)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_two_epochs_are_those_of_the_reference(algorithm: str, variant: str) -> None:
    settings = AgentSettings.model_validate(
        {
            "algorithm": algorithm,
            "embedder": (6,),
            "middleware": (5,),
            "batch_size": 9,
            "target_update_every": 4,
            "discount": DISCOUNT,
            "learning_rate": 0.01,
            "cql_alpha": 0.7,
            "iql_max_weight": 2.0,
            "policy_max_weight": 1.5,
            **VARIANTS[variant],
        }
    )
    data = Transitions.of(DATA, settings, ALLOWED if algorithm == "ddqn-bcq" else None)
    agent = make_agent(Problem.of(data, settings, 2), settings, torch.Generator().manual_seed(0))
    if settings.value_bounds == "rewards":
        # Far outside of them, so that they matter.
        for network in (part for part in agent.state_dict().values() if isinstance(part, dict)):
            if "layers.2.bias" in network:
                network["layers.2.bias"] += 60
    members = [
        Member(settings, agent.state_dict(), member, 2 * updates_in_epoch(len(data), settings))
        for member in range(settings.ensemble)
    ]
    losses = [
        np.mean([member.update([transition(row, settings.n_step) for row in batch.tolist()]) for member in members])
        for batch in rows(settings)
    ]
    rng = np.random.default_rng(0)
    found = [agent.train_epoch(data, rng) for _ in range(2)]

    half = len(losses) // 2
    assert found[0].loss.mean == pytest.approx(np.mean(losses[:half]), rel=1e-3)
    assert found[1].loss.mean == pytest.approx(np.mean(losses[half:]), rel=1e-3)
    state = agent.state_dict()
    for number, member in enumerate(members):
        for name, net in member.nets.items():
            own = Net(state[name], number)
            for mine, its in zip(own.leaves(), net.leaves(), strict=True):
                torch.testing.assert_close(mine, its, rtol=2e-3, atol=2e-4, msg=name)


def test_bounds_of_values_are_those_of_logged_rewards_and_targets_keep_to_them() -> None:
    bounded = AgentSettings(value_bounds="rewards", discount=0.5)
    data = Transitions.of(DATA, bounded)
    low, high = DATA.rewards.min(), DATA.rewards.max()
    assert low < 0 < high
    assert Problem.of(data, bounded, 1).value_bounds == pytest.approx((2 * low, 2 * high))
    halved = bounded.model_copy(update={"value_scale": 2.0})
    batch = data.batch(torch.arange(len(data)))
    found = Problem.of(data, bounded, 1).targets(batch, torch.tensor([[1e6], [-1e6]]).expand(2, len(data)), halved)
    going_on = batch.discounts > 0
    assert torch.unique(found[:, going_on], dim=1).flatten().tolist() == pytest.approx([high, low])
    torch.testing.assert_close(found[0, ~going_on], batch.rewards[~going_on] / 2)
    assert Problem.of(data, AgentSettings(), 1).value_bounds is None
    # Without a discount there are none.
    assert Problem.of(data, AgentSettings(value_bounds="rewards", discount=1), 1).value_bounds is None


def test_inputs_are_standardised_over_the_training_transitions() -> None:
    states = torch.tensor([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])
    shift, scale = input_scaling(states)
    torch.testing.assert_close(shift, torch.tensor([3.0, 5.0]))
    torch.testing.assert_close(scale, torch.tensor([1 / math.sqrt(8 / 3), 1.0]))


def test_an_epoch_visits_every_row_once_and_keeps_the_short_last_batch() -> None:
    batches = list(minibatches(10, 4, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert sorted(torch.cat(batches).tolist()) == list(range(10))


@pytest.mark.parametrize(("updates", "least", "most"), [(1, 0, 1), (5, 2, 2), (7, 2, 3)])
def test_updates_per_epoch_says_how_many_minibatches(updates: int, least: int, most: int) -> None:
    batches = list(minibatches(10, 4, np.random.default_rng(0), updates))
    assert [len(batch) for batch in batches] == [4] * updates
    visits = np.bincount(torch.cat(batches).numpy(), minlength=10)
    assert (visits.min(), visits.max()) == (least, most)
    assert updates_in_epoch(10, AgentSettings(batch_size=4, updates_per_epoch=updates)) == updates
    assert updates_in_epoch(10, AgentSettings(batch_size=4)) == 3


def test_where_nothing_is_supported_a_random_fallback_draws_from_the_generator() -> None:
    settings = AgentSettings(algorithm="ddqn-bcq", embedder=(8,), middleware=(), target_update_every=1)
    chosen = []
    for seed in (0, 0, 1):
        data = Transitions.of(DATA, settings, ALLOWED, torch.ones(DATA.n_transitions, dtype=torch.bool))
        agent = make_agent(Problem.of(data, settings, 1), settings, torch.Generator().manual_seed(0))
        rng = np.random.default_rng(seed)
        batch = data.batch(torch.arange(len(data)))
        chosen.append([agent.update(batch, rng).loss.item() for _ in range(3)])
    assert chosen[0] == chosen[1] != chosen[2]
