"""Which actions the data supports in a state (quirks 5, 7 and 18: where they differ from Coach's).

A mask depends on prefit models only, so the training loop reads a matrix that was computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.neighbours import Neighbours, nearest_distances
from batchrl.agents.networks import Network

if TYPE_CHECKING:
    # Not for serving, whose start pydantic would lengthen.
    from presets.schema import BcqSettings

STATES_AT_ONCE = 65_536
# A threshold is known well enough from the distances of so many states; of more, a uniform sample is taken.
THRESHOLD_STATES = 100_000
# Embeddings of one state differ by less than this share of their length when other states are in the matrix product.
EMBEDDING_NOISE = 1e-5
# Stands for the distance of an action that was never logged, among those that are.
FARTHEST = 1e300

Fallback = Literal["random", "unmasked_argmax", "most_likely"]


class ActionMask(Protocol):
    """A rule, fitted before the agent, that tells supported actions from others."""

    def support(self, states: Tensor, episodes: Tensor | None = None, eligible: Tensor | None = None) -> Support:
        """Support of every action in some states.

        Args:
            states: ``[B, d]``.
            episodes: ``[B]``, the episodes that logged states come from; None for new states. Only a mask that leaves
                a state's own episode out looks at them.
            eligible: ``[B, A]``, the actions that can be taken; None: all.
        """


@dataclass(frozen=True)
class Support:
    """How well the data supports each action in B states.

    Args:
        allowed: ``[B, A]``, whether the action is supported; one that is not eligible is not.
        likeliest: ``[B]``, the best supported action among the eligible ones, the fallback where none is allowed.
        eligible: ``[B, A]``, the actions that can be taken; None: all.
    """

    allowed: Tensor
    likeliest: Tensor
    eligible: Tensor | None = None

    def with_fallback(self, fallback: Fallback) -> tuple[Tensor, Tensor]:
        """What to do where no action is allowed.

        Args:
            fallback: ``random``: an action drawn among all (Coach); ``unmasked_argmax``: all actions compete;
                ``most_likely``: the best supported one. Of all that are eligible, in each case.

        Returns:
            ``[B, A]`` the actions to choose from, and ``[B]`` the states in which the choice is drawn at random.
        """
        none = self.none_allowed
        if fallback == "most_likely":
            likeliest = torch.zeros_like(self.allowed).scatter_(1, self.likeliest[:, None], True)
            return torch.where(none[:, None], likeliest, self.allowed), torch.zeros_like(none)
        every = none[:, None] if self.eligible is None else none[:, None] & self.eligible
        return self.allowed | every, none if fallback == "random" else torch.zeros_like(none)

    @property
    def none_allowed(self) -> Tensor:
        """``[B]``, whether no action is supported."""
        return ~self.allowed.any(dim=1)

    def masked_fraction(self) -> float:
        """Share of pairs of state and eligible action that are not allowed."""
        if self.eligible is not None:
            return 1.0 - self.allowed.double().sum().item() / max(1.0, self.eligible.double().sum().item())
        return 1.0 - self.allowed.double().mean().item() if self.allowed.numel() else 0.0

    def none_allowed_rate(self) -> float:
        """Share of states without any allowed action."""
        return self.none_allowed.double().mean().item() if len(self.allowed) else 0.0


@dataclass(frozen=True)
class NearestNeighbourMask:
    """An action is allowed where a logged use of it is near.

    Args:
        keys: for each action, embeddings ``[K_a, e]`` of the states in which it was taken; may be empty.
        thresholds: largest allowed distance for each action.
        embedding: the network whose embedding is compared; None compares raw states.
        episodes: for each action, ``[K_a]`` episodes of the keys: states of the same one are compared with the others
            only. None compares with all keys; so does a mask that was stored with a policy, which meets new states.
    """

    keys: tuple[Tensor, ...]
    thresholds: Sequence[float]
    embedding: Network | None
    episodes: tuple[Tensor, ...] | None = None

    def support(self, states: Tensor, episodes: Tensor | None = None, eligible: Tensor | None = None) -> Support:
        """Actions with a logged use near enough, [B, A]."""
        distances = self.distances(states, episodes)
        allowed = distances <= torch.tensor(self.thresholds, dtype=torch.float64)
        if eligible is None:
            return Support(allowed, distances.argmin(dim=1))
        # Beyond any distance, an infinite one too: an eligible action that was never logged is nearer.
        nearest = torch.where(eligible, distances.nan_to_num(posinf=FARTHEST), torch.inf).argmin(dim=1)
        return Support(allowed & eligible, nearest, eligible)

    def distances(self, states: Tensor, episodes: Tensor | None = None) -> Tensor:
        """``[B, A]`` in float64, to the nearest key of each action; see ``support`` for the arguments."""
        result = torch.empty(len(states), len(self.keys), dtype=torch.float64)
        compared = None if self.episodes is None else episodes
        for start in range(0, len(states), STATES_AT_ONCE):
            block = slice(start, start + STATES_AT_ONCE)
            embedded = _embed(self.embedding, states[block])
            for action, neighbours in enumerate(self._neighbours):
                own = None if compared is None else compared[block]
                result[block, action] = neighbours.distances(embedded, own)
        return result

    @cached_property
    def _neighbours(self) -> list[Neighbours]:
        episodes = self.episodes or [None] * len(self.keys)
        return [Neighbours.of(keys, own) for keys, own in zip(self.keys, episodes, strict=True)]


@dataclass(frozen=True)
class ImitationMask:
    """An action is allowed where a classifier of the behaviour finds it likely.

    Args:
        classifier: its outputs are logits ``[1, B, A]``.
        threshold: least probability; with ``relative``, least share of the most likely action's.
        relative: whether the threshold is relative (Fujimoto et al. 2019, "Benchmarking Batch Deep RL"). It always
            allows the most likely action, so that a fallback is never needed.
        absent: actions that were never logged; never allowed.
    """

    classifier: Network
    threshold: float
    relative: bool
    absent: Sequence[int] = ()

    def support(self, states: Tensor, episodes: Tensor | None = None, eligible: Tensor | None = None) -> Support:
        """Actions that the classifier finds likely enough among the eligible ones, [B, A]."""
        logits = self.classifier.infer(states)[0]
        logits[:, list(self.absent)] = -torch.inf
        if eligible is not None:
            logits = logits.masked_fill(~eligible, -torch.inf)
        probabilities = logits.softmax(dim=1)
        top, likeliest = probabilities.max(dim=1, keepdim=True)
        if self.relative:
            # A share of exactly 1 must pass, so that the most likely action is always allowed.
            allowed = (probabilities > self.threshold * top) | (probabilities == top)
        else:
            allowed = (probabilities >= self.threshold) & (probabilities > 0)
        if eligible is None:
            return Support(allowed, likeliest.squeeze(1))
        # Where only actions that were never logged are eligible, the classifier knows of none.
        unknown = probabilities.isnan().any(dim=1)
        likeliest = torch.where(unknown, eligible.int().argmax(dim=1), likeliest.squeeze(1))
        return Support(allowed & eligible & ~unknown[:, None], likeliest, eligible)


@dataclass(frozen=True)
class LoggedActions:
    """What an index of neighbours is made of.

    Args:
        states: ``[N, d]``.
        actions: ``[N]``.
        episodes: ``[N]``, a number for each state's episode.
        n_actions: A.
    """

    states: Tensor
    actions: Tensor
    episodes: Tensor
    n_actions: int

    def rows(self, action: int | None, most: int, rng: np.random.Generator) -> Tensor:
        """Ascending rows of an action, or of all; of more than ``most``, a uniform sample (quirk 18)."""
        actions = self.actions.numpy()
        rows = np.arange(len(actions)) if action is None else np.flatnonzero(actions == action)
        return torch.from_numpy(np.sort(rng.choice(rows, most, replace=False)) if len(rows) > most else rows)


def nearest_neighbour_mask(
    logged: LoggedActions, settings: BcqSettings, embedding: Network | None, rng: np.random.Generator
) -> NearestNeighbourMask:
    """Index logged states by action, at most ``knn_capacity`` of each, and set the thresholds.

    ``mean_distance``: ``average_dist_coefficient`` times ``(1/N) sum_i sum_a d_a(s_i)``, for every action, as in Coach
    (quirk 7: it grows with the number of actions). Actions without a key are left out of it: their distance is
    infinite. ``quantile``: for each action that quantile of the distances between the states in which it was logged,
    each to the nearest of another episode; so about that share of its own uses would pass, had they not been logged.
    Where all uses lie in one episode there is no such distance, and only they pass.

    Args:
        logged: states to index.
        settings: the preset's section ``bcq``.
        embedding: the network whose embedding is compared; None compares raw states.
        rng: the source of the subsamples.
    """
    rows = [logged.rows(action, settings.knn_capacity, rng) for action in range(logged.n_actions)]
    keys = tuple(_embed(embedding, logged.states[of_action]) for of_action in rows)
    episodes = tuple(logged.episodes[of_action] for of_action in rows)
    own_left_out = episodes if settings.knn_leave_own_episode_out else None
    mask = NearestNeighbourMask(keys, [0.0] * logged.n_actions, embedding, own_left_out)
    if settings.knn_threshold == "quantile":
        thresholds = [
            _own_quantile(logged, action, mask.keys[action], episodes[action], settings.knn_quantile, embedding, rng)
            for action in range(logged.n_actions)
        ]
    else:
        sample = logged.rows(None, THRESHOLD_STATES, rng)
        distances = mask.distances(logged.states[sample], logged.episodes[sample])
        mean = sum(_mean_of_finite(of_action) for of_action in distances.T)
        thresholds = [settings.average_dist_coefficient * mean] * logged.n_actions
    if embedding is not None and embedding.shape.hidden:
        # A state must not be far from itself where logged states coincide and all distances are 0.
        noise = [EMBEDDING_NOISE * of_action.norm(dim=1).mean().item() if len(of_action) else 0.0 for of_action in keys]
        thresholds = [max(pair) for pair in zip(thresholds, noise, strict=True)]
    return NearestNeighbourMask(keys, thresholds, embedding, own_left_out)


def _own_quantile(
    logged: LoggedActions,
    action: int,
    keys: Tensor,
    episodes: Tensor,
    quantile: float,
    embedding: Network | None,
    rng: np.random.Generator,
) -> float:
    sample = logged.rows(action, THRESHOLD_STATES, rng)
    distances = nearest_distances(_embed(embedding, logged.states[sample]), keys, logged.episodes[sample], episodes)
    finite = distances[distances.isfinite()]
    return float(np.quantile(finite.numpy(), quantile)) if len(finite) else 0.0


def _mean_of_finite(distances: Tensor) -> float:
    finite = distances[distances.isfinite()]
    return finite.mean().item() if len(finite) else 0.0


def _embed(embedding: Network | None, states: Tensor) -> Tensor:
    return states if embedding is None else embedding.embed(states)
