"""Which actions the data supports in a state (section 3, with the corrections of 3.3).

A mask depends on frozen models only, so the training loop reads a matrix that was computed once. Distances are exact:
the nearest key is found by blocked matrix products in float64, its distance is then computed by subtraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.networks import QNetwork, in_blocks

QUERIES_AT_ONCE = 2_048
KEYS_AT_ONCE = 16_384

Fallback = Literal["random", "unmasked_argmax", "most_likely"]


class ActionMask(Protocol):
    """A frozen rule that tells supported actions from others."""

    def support(self, states: Tensor) -> Support:
        """Support of every action in states ``[B, d]``."""


@dataclass(frozen=True)
class Support:
    """How well the data supports each action in B states.

    Args:
        allowed: ``[B, A]``, whether the action is supported.
        likeliest: ``[B]``, the best supported action, the fallback where none is allowed.
    """

    allowed: Tensor
    likeliest: Tensor

    def with_fallback(self, fallback: Fallback) -> tuple[Tensor, Tensor]:
        """What to do where no action is allowed (section 3.3).

        Args:
            fallback: ``random``: an action drawn among all (Coach); ``unmasked_argmax``: all actions compete;
                ``most_likely``: the best supported one.

        Returns:
            ``[B, A]`` the actions to choose from, and ``[B]`` the states in which the choice is drawn at random.
        """
        none = self.none_allowed
        if fallback == "most_likely":
            likeliest = torch.zeros_like(self.allowed).scatter_(1, self.likeliest[:, None], True)
            return torch.where(none[:, None], likeliest, self.allowed), torch.zeros_like(none)
        return self.allowed | none[:, None], none if fallback == "random" else torch.zeros_like(none)

    @property
    def none_allowed(self) -> Tensor:
        """``[B]``, whether no action is supported."""
        return ~self.allowed.any(dim=1)

    def masked_fraction(self) -> float:
        """Share of pairs of state and action that are not allowed."""
        return 1.0 - self.allowed.double().mean().item() if self.allowed.numel() else 0.0

    def none_allowed_rate(self) -> float:
        """Share of states without any allowed action."""
        return self.none_allowed.double().mean().item() if len(self.allowed) else 0.0


@dataclass(frozen=True)
class NearestNeighbourMask:
    """An action is allowed where a logged use of it is near (section 3.1).

    Args:
        keys: for each action, embeddings ``[K_a, e]`` of the states in which it was taken; may be empty.
        threshold: largest allowed distance.
        embedding: the network whose embedding is compared; None compares raw states.
    """

    keys: tuple[Tensor, ...]
    threshold: float
    embedding: QNetwork | None

    def support(self, states: Tensor) -> Support:
        distances = nearest_distances(_embed(self.embedding, states), self.keys)
        return Support(distances <= self.threshold, distances.argmin(dim=1))


@dataclass(frozen=True)
class ImitationMask:
    """An action is allowed where a classifier of the behaviour finds it likely (sections 3.2 and 3.3).

    Args:
        classifier: its outputs are logits ``[B, A]``.
        threshold: least probability; with ``relative``, least share of the most likely action's.
        relative: whether the threshold is relative (Fujimoto et al. 2019, "Benchmarking Batch Deep RL").
    """

    classifier: QNetwork
    threshold: float
    relative: bool

    def support(self, states: Tensor) -> Support:
        probabilities = in_blocks(self.classifier, states).softmax(dim=1)
        top, likeliest = probabilities.max(dim=1, keepdim=True)
        if self.relative:
            # A share of exactly 1 must pass, so that the most likely action is always allowed.
            allowed = (probabilities > self.threshold * top) | (probabilities == top)
        else:
            allowed = probabilities >= self.threshold
        return Support(allowed, likeliest.squeeze(1))


@dataclass(frozen=True)
class NoMask:
    """Every action is allowed: plain double DQN."""

    n_actions: int

    def support(self, states: Tensor) -> Support:
        shape = (len(states), self.n_actions)
        return Support(torch.ones(shape, dtype=torch.bool), torch.zeros(len(states), dtype=torch.int64))


def nearest_neighbour_mask(
    states: Tensor,
    actions: Tensor,
    n_actions: int,
    coefficient: float,
    capacity: int,
    embedding: QNetwork | None,
    rng: np.random.Generator,
) -> NearestNeighbourMask:
    """Index logged states by action; the threshold is ``coefficient`` mean distances.

    The mean distance is ``(1/N) sum_i sum_a d_a(s_i)`` over the indexed transitions, as in Coach (quirk 7: it grows
    with the number of actions). Actions without a key are left out of it: their distance is infinite.

    Args:
        states: ``[N, d]``.
        actions: ``[N]``.
        n_actions: A.
        coefficient: the preset's ``average_dist_coefficient``.
        capacity: most keys of an action; more are subsampled uniformly (quirk 18).
        embedding: the network whose embedding is compared; None compares raw states.
        rng: the source of the subsample.
    """
    embedded = _embed(embedding, states)
    keys = []
    for action in range(n_actions):
        rows = np.flatnonzero(actions.numpy() == action)
        if len(rows) > capacity:
            rows = np.sort(rng.choice(rows, capacity, replace=False))
        keys.append(embedded[torch.from_numpy(rows)])
    distances = nearest_distances(embedded, tuple(keys))
    finite = distances[:, [len(key) > 0 for key in keys]]
    return NearestNeighbourMask(tuple(keys), coefficient * finite.sum(dim=1).mean().item(), embedding)


def nearest_distances(queries: Tensor, keys: tuple[Tensor, ...]) -> Tensor:
    """Euclidean distance of each query to the nearest key of each action.

    Args:
        queries: ``[B, e]``.
        keys: for each action ``[K_a, e]``.

    Returns:
        ``[B, A]`` in float64; infinite for an action without keys, exactly 0 for a query that is a key.
    """
    unique, inverse = torch.unique(queries, dim=0, return_inverse=True)
    columns = [
        torch.cat([_nearest(block, of_action) for block in torch.split(unique, QUERIES_AT_ONCE)])
        if len(of_action) and len(unique)
        else torch.full((len(unique),), torch.inf, dtype=torch.float64)
        for of_action in keys
    ]
    return torch.stack(columns, dim=1)[inverse]


def _nearest(queries: Tensor, keys: Tensor) -> Tensor:
    wide = queries.double()
    least = torch.full((len(queries),), torch.inf, dtype=torch.float64)
    nearest = torch.zeros(len(queries), dtype=torch.int64)
    start = 0
    for block in torch.split(keys, KEYS_AT_ONCE):
        wide_keys = block.double()
        # |q - k|^2 without |q|^2, which is the same for every key.
        scores = torch.addmm(wide_keys.square().sum(dim=1)[None, :], wide, wide_keys.T, alpha=-2.0)
        values, positions = scores.min(dim=1)
        closer = values < least
        least[closer] = values[closer]
        nearest[closer] = positions[closer] + start
        start += len(block)
    distances: Tensor = torch.linalg.vector_norm(wide - keys[nearest].double(), dim=1)
    return distances


def _embed(embedding: QNetwork | None, states: Tensor) -> Tensor:
    return states if embedding is None else in_blocks(embedding, states, embed=True)
