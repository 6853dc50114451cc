"""Fitted Q evaluation: the action values of a given policy, from logged transitions (Le, Voloshin & Yue 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.agent import Problem
from batchrl.agents.model import Scorer
from batchrl.agents.transitions import Batch, Transitions
from batchrl.agents.values import ValueAgent
from batchrl.contract.errors import InputError
from batchrl.contract.limits import effective_horizon, least_fqe_updates
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.estimators.threads import one_torch_thread
from presets.schema import AgentSettings

SLOWEST_SOFT_RATE = 0.01
# Values inside the network reach about so far (measured: returns of up to 100, learnt divided by 10).
LARGEST_SCALED_VALUE = 10.0
# Policies whose networks learn side by side.
MOST_AT_ONCE = 16


class FittedQ(ValueAgent):
    """``y = r + discount sum_a pi(a | s') Q-(s', a)``: expected SARSA of a fixed policy (Le et al. 2019).

    Each member of the ensemble has a policy of its own, ``[E, N, A]``, and the same weights at first.
    """

    next_probabilities: Tensor

    def build(self, generator: torch.Generator) -> None:
        """Make the networks, which chance must not tell apart: policies that do the same get the same values."""
        self.online = self.make_learner("online", generator)
        for name, tensor in self.online.network.state_dict().items():
            if name.startswith("layers."):
                tensor[1:] = tensor[:1].clone()
        self.target = self.make_target(self.online)

    def bootstrap(
        self, target_next: Tensor, online_next: Tensor | None, batch: Batch, rng: np.random.Generator
    ) -> Tensor:
        """The value that the scored policy's next action has on average, [E, B]."""
        return (target_next * self.next_probabilities[:, batch.rows]).sum(dim=2)


def fit_q_evaluation(
    dataset: Dataset,
    next_probabilities: Floats64,
    discount: float,
    updates: int,
    seed: int,
    hidden: tuple[int, ...] = (64, 64),
) -> Scorer:
    """Fit ``Q(s, a)`` of a policy: a network on standardised states, soft target updates, a cosine schedule.

    Targets are clipped to what the logged rewards allow, ``[min(0, min r), max(0, max r)] / (1 - discount)``. The
    target network moves by as much as ``COPIES_PER_HORIZON`` copies for each step of the effective horizon. The same
    arguments give the same values, bit by bit, on the same machine.

    As Q inside doubly robust estimates, fit it on other episodes than those that are estimated on. By itself it is
    optimistic for a policy that was chosen on the same transitions.

    Args:
        dataset: episodes to fit on.
        next_probabilities: ``[N, A]``, the policy at each ``next_states``; anything finite where terminal.
        discount: of one step.
        updates: gradient steps.
        seed: of weights and minibatches.
        hidden: units of each hidden layer; none for a linear Q.

    Returns:
        ``Q(s, .)``, ``[B, A]`` of states ``[B, d]``, in the rewards' units.

    Raises:
        InputError: there are too few updates to carry rewards over the horizon.
    """
    settings = _settings(dataset, discount, updates, hidden)
    return _fitted(dataset, next_probabilities[None], settings, seed).preferences()


def fit_start_values(
    dataset: Dataset,
    next_probabilities: Sequence[Floats64],
    discount: float,
    updates: int,
    seed: int,
    hidden: tuple[int, ...] = (64, 64),
) -> Floats64:
    """``Q`` of several policies in the first state of each episode: one network each, side by side.

    All begin with the same weights and see the same minibatches, so that they differ by what the policies do alone.

    Args:
        dataset: episodes to fit on.
        next_probabilities: for each of K policies, as in ``fit_q_evaluation``; K up to ``MOST_AT_ONCE``.
        discount, updates, seed, hidden: as in ``fit_q_evaluation``.

    Returns:
        ``[K, n, A]``, in the rewards' units.

    Raises:
        InputError: there are too few updates to carry rewards over the horizon.
    """
    settings = _settings(dataset, discount, updates, hidden, len(next_probabilities))
    agent = _fitted(dataset, np.stack(next_probabilities), settings, seed)
    starts = torch.from_numpy(dataset.states[dataset.offsets[:-1]])
    with one_torch_thread():
        outputs = agent.online.network.infer(starts).double() * agent.settings.value_scale
    values: Floats64 = outputs.numpy()
    return values


def enough_updates(dataset: Dataset, discount: float) -> int:
    """Gradient steps that carry rewards over the horizon twice as often as is needed at least."""
    return 2 * least_fqe_updates(_horizon(dataset, discount))


def _fitted(dataset: Dataset, next_probabilities: Floats64, settings: AgentSettings, seed: int) -> FittedQ:
    """The networks of policies ``[K, N, A]``, fitted."""
    data = Transitions.of(dataset, settings)
    problem = Problem.of(data, settings, epochs=1)
    agent = FittedQ(problem, settings, torch.Generator().manual_seed(seed))
    agent.next_probabilities = torch.from_numpy(next_probabilities.astype(np.float32))
    with one_torch_thread():
        agent.train_epoch(data, np.random.default_rng(seed))
    return agent


def check_updates(dataset: Dataset, discount: float, updates: int) -> None:
    """Refuse too few gradient steps for a fit, before anything is trained.

    Args:
        dataset: episodes to fit on.
        discount: of one step.
        updates: gradient steps.

    Raises:
        InputError: there are too few to carry rewards over the horizon.
    """
    horizon = _horizon(dataset, discount)
    copies = least_fqe_updates(horizon)
    if updates < copies:
        raise InputError(
            f"ope.fqe_updates is {updates}: fitted Q evaluation needs at least {copies} to carry rewards over "
            f"{horizon:g} steps.",
            f"Set ope.fqe_updates={10 * copies} or more.",
        )


def _horizon(dataset: Dataset, discount: float) -> float:
    return effective_horizon(float(dataset.lengths.max()), discount)


def _settings(
    dataset: Dataset,
    discount: float,
    updates: int,
    hidden: tuple[int, ...],
    policies: int = 1,
) -> AgentSettings:
    check_updates(dataset, discount, updates)
    horizon = _horizon(dataset, discount)
    largest = horizon * float(np.abs(dataset.rewards).max())
    return AgentSettings(
        discount=discount,
        learning_rate=1e-3,
        lr_schedule="cosine",
        batch_size=256,
        ensemble=policies,
        updates_per_epoch=updates,
        adam_beta2=0.999,
        adam_epsilon=1e-8,
        target_update="soft",
        soft_rate=max(SLOWEST_SOFT_RATE, least_fqe_updates(horizon) / updates),
        standardise_inputs=True,
        value_scale=largest / LARGEST_SCALED_VALUE if largest > 0 else 1.0,
        value_bounds="rewards",
        embedder=hidden,
        middleware=(),
    )
