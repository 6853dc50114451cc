"""Values by averaging over logged neighbours: an operator that cannot diverge (Gordon 1995; Ormoneit and Sen 2002).

A logged step's value is its reward and what follows; a state's is the mean of those of its nearest steps::

    y_i = r_i + discount sum_a pi(a | s'_i) Q(s'_i, a),    Q(s, a) = mean of y over the k steps nearest to s that took a
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from batchrl.data.dataset import Dataset, Floats32, Floats64
from batchrl.ope.choice.features import standardised
from batchrl.ope.choice.steps import Conduct, Fit
from batchrl.ope.estimators.threads import one_torch_thread

NEIGHBOURS = 15
# Steps that are neighbours, and first states that are asked for, drawn where there are more: work is their product.
MOST_STEPS = 20_000
MOST_STARTS = 5_000
# Policies that are iterated together.
POLICIES_AT_ONCE = 16
QUERIES_AT_ONCE = 1_024
# The iteration ends when no value moves by more than this share of the largest.
SETTLED = 1e-4
MOST_ITERATIONS = 2_000


def fit_averager(
    dataset: Dataset, policies: Sequence[Conduct], discount: float, seed: int, neighbours: int = NEIGHBOURS
) -> Fit:
    """Values of policies by averages over neighbours.

    Args:
        dataset: the episodes.
        policies: what each does on them.
        discount: of one step.
        seed: of the steps that are drawn where there are more than ``MOST_STEPS``.
        neighbours: k; fewer where an action was taken less often.
    """
    rng = np.random.default_rng(seed)
    steps = np.sort(rng.permutation(dataset.n_transitions)[:MOST_STEPS])
    starts = np.sort(rng.permutation(dataset.n_episodes)[:MOST_STARTS])
    scaled = standardised(dataset.states)
    keys, actions = scaled(dataset.states[steps]), dataset.actions[steps]
    onward = steps[~dataset.terminal[steps]]
    places = np.flatnonzero(~dataset.terminal[steps])
    queries = np.concatenate([dataset.next_states[onward], dataset.states[dataset.offsets[:-1][starts]]])
    distinct, inverse = np.unique(scaled(queries), axis=0, return_inverse=True)
    asked = torch.from_numpy(inverse.reshape(-1))
    with one_torch_thread():
        near = [_nearest(keys, np.flatnonzero(actions == a), distinct, neighbours) for a in range(dataset.n_actions)]
        rewards = torch.from_numpy(dataset.rewards[steps].astype(np.float32))[:, None]
        found: list[Floats64] = []
        for begin in range(0, len(policies), POLICIES_AT_ONCE):
            some = policies[begin : begin + POLICIES_AT_ONCE]
            chances = _stacked([policy.following[onward] for policy in some])
            first = _stacked([policy.starts[starts] for policy in some])
            values = rewards.repeat(1, len(some))
            for _ in range(MOST_ITERATIONS):
                updated = rewards.repeat(1, len(some))
                updated[places] += discount * _averaged(values, near, asked[: len(onward)], chances)
                moved = float((updated - values).abs().max())
                values = updated
                if moved <= SETTLED * float(values.abs().max()):
                    break
            found.append(_averaged(values, near, asked[len(onward) :], first).mean(dim=0, dtype=torch.float64).numpy())
    return Fit(np.concatenate(found) if found else np.zeros(0))


def _stacked(chances: Sequence[Floats64]) -> Tensor:
    """``[A, N, K]`` of K arrays ``[N, A]``."""
    return torch.from_numpy(np.stack(chances).astype(np.float32)).permute(2, 1, 0).contiguous()


def _averaged(values: Tensor, near: Sequence[Tensor | None], asked: Tensor, chances: Tensor) -> Tensor:
    """``[m, K]``, what each policy's next action is worth; an action that no step took counts as 0.

    Args:
        values: ``[P, K]``, of the steps.
        near: for each action, ``[U, k]``, the nearest steps to each distinct state.
        asked: ``[m]``, which of those states.
        chances: ``[A, m, K]``.
    """
    result = torch.zeros(chances.shape[1:])
    for positions, of_action in zip(near, chances, strict=True):
        if positions is not None:
            means = torch.nn.functional.embedding_bag(positions, values, mode="mean")
            result.addcmul_(of_action, means[asked])
    return result


def _nearest(keys: Floats32, mine: np.ndarray, queries: Floats32, neighbours: int) -> Tensor | None:
    """``[U, k]``, positions among all steps of those of one action that are nearest to queries ``[U, d]``."""
    if not len(mine):
        return None
    points = torch.from_numpy(keys[mine])
    squares = points.square().sum(dim=1)
    positions = torch.from_numpy(mine)
    count = min(neighbours, len(mine))
    parts = [torch.zeros((0, count), dtype=torch.int64)]
    for block in torch.split(torch.from_numpy(queries), QUERIES_AT_ONCE):
        # The squared length of the query is the same for all keys.
        distances = torch.addmm(squares, block, points.T, alpha=-2)
        parts.append(positions[distances.topk(count, largest=False, sorted=False).indices])
    return torch.cat(parts)
