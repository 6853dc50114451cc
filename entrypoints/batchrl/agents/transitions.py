"""Training episodes as tensors, and minibatches of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from batchrl.data.dataset import Dataset
from presets.schema import AgentSettings

ROWS_AT_ONCE = 1_048_576


@dataclass(frozen=True)
class Transitions:
    """What agents learn from; the tensors share the dataset's memory where they can.

    A transition begins at a logged step t and sums the rewards of k steps, k being ``n_step`` or fewer where the
    episode ends before. The logging policy at the state after an episode that was cut short is not in the log: the last
    step's stands in for it.

    Args:
        states: ``[N, d]``.
        actions: ``[N]``.
        rewards: ``[N]``, ``sum_j discount^j r_t+j``.
        all_next_states: ``[N, d]``, the state after each logged step.
        discounts: ``[N]``, ``discount^k``; 0 where nothing is bootstrapped.
        n_actions: A.
        behavior_policy: ``[N, A]`` at ``states``; None where only the taken actions' probabilities are known.
        reward_range: least and greatest logged reward of one step.
        last: ``[N]``, the last step of each transition; None where that is the step itself.
        ends_episode: ``[N]``, whether an episode ends with the step.
        all_allowed: ``[N, A]``, actions that a constrained bootstrap may take after each step; None: all.
        all_at_random: ``[N]``, whether that action is drawn among all instead; None: never.
        taken_propensities: ``[N]``, probability of the taken action, where ``behavior_policy`` is None, or is that of
            each row's own logger and the loggers are balanced.
        eligible: ``[N, A]``, actions that could be taken; None: all. After a step, ``all_allowed`` has none but those.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    all_next_states: Tensor
    discounts: Tensor
    n_actions: int
    behavior_policy: Tensor | None
    reward_range: tuple[float, float]
    last: Tensor | None
    ends_episode: Tensor
    all_allowed: Tensor | None = None
    all_at_random: Tensor | None = None
    taken_propensities: Tensor | None = None
    eligible: Tensor | None = None

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        settings: AgentSettings,
        allowed: Tensor | None = None,
        at_random: Tensor | None = None,
    ) -> Transitions:
        """The transitions of whole episodes.

        Args:
            dataset: the training episodes.
            settings: discount and number of steps.
            allowed: ``[N, A]`` at the states after each step, of the eligible ones there; None: all of those.
            at_random: ``[N]``.
        """
        n = dataset.n_transitions
        ends = np.zeros(n, dtype=np.bool_)
        ends[dataset.offsets[1:] - 1] = True
        rewards, over, last = dataset.rewards.astype(np.float32), dataset.terminal, None
        # A number for all where it can be one: the data may be nearly as large as the memory.
        carried = np.asarray(settings.discount, dtype=np.float32)
        if settings.n_step > 1:
            remaining = np.repeat(dataset.offsets[1:], dataset.lengths) - np.arange(n)
            steps = np.minimum(remaining, settings.n_step)
            rewards = _summed(dataset.rewards, steps, settings.discount).astype(np.float32)
            carried = np.power(settings.discount, steps).astype(np.float32)
            ending = np.arange(n) + steps - 1
            over, last = dataset.terminal[ending], torch.from_numpy(ending)
        of_all = dataset.behavior_policy is not None and dataset.mixture is None
        discounts = np.where(over, np.float32(0), carried)
        if allowed is None and (after := dataset.eligible_after()) is not None:
            allowed = torch.from_numpy(after)
        return cls(
            states=torch.from_numpy(dataset.states),
            actions=torch.from_numpy(dataset.actions),
            rewards=torch.from_numpy(rewards),
            all_next_states=torch.from_numpy(dataset.next_states),
            discounts=torch.from_numpy(discounts),
            n_actions=dataset.n_actions,
            behavior_policy=None if dataset.behavior_policy is None else torch.from_numpy(dataset.behavior_policy),
            reward_range=(float(dataset.rewards.min()), float(dataset.rewards.max())),
            last=last,
            ends_episode=torch.from_numpy(ends),
            all_allowed=allowed,
            all_at_random=at_random,
            taken_propensities=None if of_all else torch.from_numpy(dataset.propensities),
            eligible=None if dataset.eligible is None else torch.from_numpy(dataset.eligible),
        )

    def __len__(self) -> int:
        return len(self.actions)

    @cached_property
    def mean_reward(self) -> float:
        """Over all transitions."""
        return float(self.rewards.mean(dtype=torch.float64))

    def batch(self, rows: Tensor) -> Batch:
        """The transitions that begin at some steps ``[B]``."""
        return Batch(self, rows)


@dataclass(frozen=True)
class Batch:
    """Some transitions; each tensor is gathered when it is first asked for.

    Args:
        data: all transitions.
        rows: ``[B]``.
        whole: a larger batch that this one is a part of, and shares memory with; None where it is gathered itself.
        part: where it lies therein.
    """

    data: Transitions
    rows: Tensor
    whole: Batch | None = None
    part: slice = field(default_factory=lambda: slice(None))

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, size: int) -> Iterator[Batch]:
        """Parts of so many transitions, in order; the last may be shorter."""
        for start, rows in zip(range(0, len(self), size), torch.split(self.rows, size), strict=True):
            yield Batch(self.data, rows, self, slice(start, start + len(rows)))

    @cached_property
    def states(self) -> Tensor:
        """``[B, d]``."""
        return self.data.states[self.rows] if self.whole is None else self.whole.states[self.part]

    @cached_property
    def actions(self) -> Tensor:
        """``[B]``."""
        return self.data.actions[self.rows] if self.whole is None else self.whole.actions[self.part]

    @cached_property
    def rewards(self) -> Tensor:
        """``[B]``."""
        return self.data.rewards[self.rows] if self.whole is None else self.whole.rewards[self.part]

    @cached_property
    def propensities(self) -> Tensor:
        """``[B]``, float32: with which probability the logging policy took the actions."""
        if self.data.taken_propensities is not None:
            return self.data.taken_propensities[self.rows].float()
        assert self.data.behavior_policy is not None, "one of the two is known"
        return self.data.behavior_policy[self.rows, self.actions].float()

    @cached_property
    def discounts(self) -> Tensor:
        """``[B]``."""
        return self.data.discounts[self.rows] if self.whole is None else self.whole.discounts[self.part]

    @cached_property
    def next_states(self) -> Tensor:
        """``[B, d]``; meaningless where the discount is 0."""
        return self.data.all_next_states[self.last] if self.whole is None else self.whole.next_states[self.part]

    @cached_property
    def allowed(self) -> Tensor | None:
        """``[B, A]``, actions that the bootstrap may take; None: all."""
        if self.data.all_allowed is None:
            return None
        return self.data.all_allowed[self.last]

    @cached_property
    def eligible(self) -> Tensor | None:
        """``[B, A]``, actions that could be taken at ``states``; None: all."""
        return None if self.data.eligible is None else self.data.eligible[self.rows]

    @cached_property
    def at_random(self) -> Tensor | None:
        """``[B]``, whether the bootstrap's action is drawn among all instead; None: never."""
        return None if self.data.all_at_random is None else self.data.all_at_random[self.last]

    @cached_property
    def next_behavior(self) -> Tensor:
        """``[B, A]``, the logging policy at the next states, float32; where its probabilities are not known, 1 at the
        action that it took there (SARSA's target: a draw in place of the mean).
        """
        if self.whole is not None:
            return self.whole.next_behavior[self.part]
        following = self.last + (~self.data.ends_episode[self.last]).long()
        if self.data.behavior_policy is None:
            return torch.nn.functional.one_hot(self.data.actions[following], self.data.n_actions).float()
        return self.data.behavior_policy[following].float()

    @cached_property
    def last(self) -> Tensor:
        """``[B]``, the last logged step of each transition."""
        return self.rows if self.data.last is None else self.data.last[self.rows]


def epoch_order(n_rows: int, batch_size: int, rng: np.random.Generator, updates: int | None = None) -> Tensor:
    """The rows that an epoch visits, in order; minibatches are consecutive.

    Args:
        n_rows: N.
        batch_size: B.
        rng: the source of the order.
        updates: number of minibatches; None: one shuffled pass without replacement, whose last, short batch is kept.
            More rows than there are mean further passes; with fewer, none comes twice.
    """
    if updates is None:
        return torch.from_numpy(rng.permutation(n_rows))
    passes, rest = divmod(updates * batch_size, n_rows)
    parts = [rng.permutation(n_rows) for _ in range(passes)]
    return torch.from_numpy(np.concatenate([*parts, rng.choice(n_rows, rest, replace=False)]))


def minibatches(n_rows: int, batch_size: int, rng: np.random.Generator, updates: int | None = None) -> Iterator[Tensor]:
    """Row numbers ``[B]`` of one epoch, as ``epoch_order`` has them."""
    yield from torch.split(epoch_order(n_rows, batch_size, rng, updates), batch_size)


def updates_in_epoch(n_rows: int, settings: AgentSettings) -> int:
    """Minibatches of an epoch over N transitions."""
    return settings.updates_per_epoch or -(-n_rows // settings.batch_size)


def input_scaling(states: Tensor) -> tuple[Tensor, Tensor]:
    """``[d]`` mean and ``[d]`` inverse of the (population) deviation of states ``[N, d]``; 1 for constant features."""
    blocks = torch.split(states, ROWS_AT_ONCE)
    mean = _sum_of(block.sum(dim=0, dtype=torch.float64) for block in blocks) / len(states)
    squares = _sum_of((block.double() - mean).square().sum(dim=0) for block in blocks)
    deviation = torch.sqrt(squares / len(states))
    scale = torch.where(deviation > 0, 1 / deviation, torch.ones_like(deviation))
    return mean.float(), scale.float()


def _sum_of(tensors: Iterable[Tensor]) -> Tensor:
    """The sum of at least one tensor."""
    return functools.reduce(torch.add, tensors)


def _summed(rewards: np.ndarray, steps: np.ndarray, discount: float) -> np.ndarray:
    """``[N]``, ``sum_j<steps[t] discount^j rewards[t + j]``."""
    total = np.zeros(len(rewards))
    for ahead in range(int(steps.max())):
        inside = np.flatnonzero(steps > ahead)
        total[inside] += discount**ahead * rewards[inside + ahead]
    return total
