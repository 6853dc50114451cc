"""Whether an ONNX graph gives what the policy gives that it was made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from batchrl.agents.masks import NearestNeighbourMask
from batchrl.agents.model import PolicyModel
from batchrl.data.dataset import Flags, Floats32

COMPARED_STATES = 512
# Of float32 numbers that were summed in another order, in shares of the largest one.
TOLERANCE = 1e-4
# States in which such a difference decides between two actions, or about a threshold.
MOST_UNDECIDED = 0.01


@dataclass(frozen=True)
class Comparison:
    """How a graph differs from the policy that it was made of.

    Args:
        states: that were compared.
        values: largest difference of a value, as a share of the largest one; 0 without values.
        probabilities: largest difference of a probability, where mask and action are the same.
        undecided: states with another mask or action.
    """

    states: int
    values: float
    probabilities: float
    undecided: int

    @property
    def holds(self) -> bool:
        """Whether ONNX and torch agree closely enough to keep the file."""
        return (
            self.values <= TOLERANCE
            and self.probabilities <= TOLERANCE
            and self.undecided <= MOST_UNDECIDED * self.states
        )


def eligible_for(model: PolicyModel) -> Flags:
    """Actions ``[n, A]`` that can be taken in the states that are compared: some of them, at least one, or all."""
    eligible = np.random.default_rng(2).random((COMPARED_STATES, model.n_actions)) < 0.5
    return eligible | ~eligible.any(axis=1, keepdims=True)


def states_for(model: PolicyModel) -> Floats32:
    """States ``[n, d]`` that a policy is likely to tell apart: about its inputs' means, or near what its mask knows."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(COMPARED_STATES, model.n_features))
    network = model.preferences.network
    if network.input_shift is not None and network.input_scale is not None:
        states = states / network.input_scale.numpy() + network.input_shift.numpy()
    mask = model.mask
    if isinstance(mask, NearestNeighbourMask) and mask.embedding is None:
        keys = torch.cat(mask.keys).numpy()
        known = keys[rng.integers(len(keys), size=COMPARED_STATES)]
        # Half of them exactly, which are at distance 0 from themselves.
        states = known + np.where(rng.random((COMPARED_STATES, 1)) < 0.5, 0.0, 0.1 * keys.std(axis=0)) * states
    result: Floats32 = states.astype(np.float32)
    return result


def compare(
    model: PolicyModel, outputs: Mapping[str, Any], states: Floats32, eligible: Flags | None = None
) -> Comparison:
    """Compare a graph's outputs for some states with the model's own, where some actions can be taken, None: all."""
    wanted = model.decide(states, model.target, eligible)
    differing = outputs["action"] != wanted.probabilities.argmax(axis=1)
    if wanted.allowed is not None:
        differing |= (outputs["mask"] != wanted.allowed).any(axis=1)
    values = 0.0
    if wanted.values is not None:
        values = float(np.abs(outputs["values"] - wanted.values).max() / max(1.0, np.abs(wanted.values).max()))
        expected = (wanted.probabilities * wanted.values).sum(axis=1)
        alike = np.abs(outputs["value"] - expected)[~differing]
        values = max(values, float(alike.max(initial=0.0)) / max(1.0, np.abs(expected).max()))
    # A softmax magnifies differences of large scores.
    scores = model.preferences(states)
    magnified = max(1.0, float(np.abs(scores).max()) / model.target.temperature)
    probabilities = np.abs(outputs["probabilities"] - wanted.probabilities)[~differing]
    largest = float(probabilities.max(initial=0.0)) / magnified
    return Comparison(
        len(states),
        values if math.isfinite(values) else math.inf,
        largest if math.isfinite(largest) else math.inf,
        int(differing.sum()),
    )
