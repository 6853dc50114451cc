"""A trained policy as plain tensors and JSON, and back: what checkpoints and exported models hold, without pickles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.masks import ActionMask, Fallback, ImitationMask, NearestNeighbourMask
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract.records import from_json, to_json
from batchrl.data.dataset import Flags, Floats32, Floats64

Config = dict[str, Any]
Tensors = dict[str, Tensor]

# In place of the values' description where they are the preferences.
SAME = "preferences"


@dataclass(frozen=True)
class Scorer:
    """One number an action: the outputs of an ensemble, averaged.

    Args:
        network: the ensemble.
        scale: what its outputs are multiplied by.
    """

    network: Network
    scale: float = 1.0

    def __call__(self, states: Floats32) -> Floats32:
        """``[B, A]`` of states ``[B, d]``."""
        outputs = self.network.infer(torch.from_numpy(states))
        averaged: Floats32 = (outputs[0] if len(outputs) == 1 else outputs.mean(dim=0)).mul_(self.scale).numpy()
        return averaged


@dataclass(frozen=True)
class PolicyDecision:
    """What a policy does in B states.

    Args:
        probabilities: ``[B, A]``, of the target policy.
        values: ``[B, A]``; None for an algorithm without values.
        allowed: ``[B, A]``, what the mask allows, before any fallback; None for a policy that acts without a mask.
    """

    probabilities: Floats64
    values: Floats32 | None
    allowed: Flags | None


@dataclass(frozen=True)
class PolicyModel:
    """What a policy prefers, the target policy that comes of it, and the mask that it acts under.

    Args:
        preferences: the greedy action is the one with the highest score.
        values: ``Q(s, a)``; None for an algorithm without values. Often the preferences themselves.
        target: turns preferences into probabilities.
        mask: the actions that it may take; None where it acts without one.
        fallback: what to do in states where the mask allows nothing.
    """

    preferences: Scorer
    values: Scorer | None
    target: TargetPolicy
    mask: ActionMask | None
    fallback: Fallback

    @property
    def n_features(self) -> int:
        """Number of features of a state."""
        return self.preferences.network.shape.n_features

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        return self.preferences.network.shape.n_outputs

    def q_values(self, states: Floats32) -> Floats32:
        """Values ``[B, A]`` of states ``[B, d]``; 0 for an algorithm without values."""
        if self.values is None:
            return np.zeros((len(states), self.n_actions), dtype=np.float32)
        return self.values(states)

    def action_probabilities(self, states: Floats32, eligible: Flags | None = None) -> Floats64:
        """Probabilities ``[B, A]`` of the target policy in states ``[B, d]``; see ``evaluate_targets``."""
        return self.evaluate(states, eligible)[1]

    def evaluate(self, states: Floats32, eligible: Flags | None = None) -> tuple[Floats32, Floats64]:
        """Values and probabilities, both ``[B, A]``; see ``evaluate_targets``."""
        ((_, probabilities),) = self.evaluate_targets(states, [self.target], eligible)
        return self.q_values(states), probabilities

    def evaluate_targets(
        self, states: Floats32, targets: Sequence[TargetPolicy], eligible: Flags | None = None
    ) -> list[tuple[TargetPolicy, Floats64]]:
        """Probabilities ``[B, A]`` of several target policies, under the same mask.

        Args:
            states: ``[B, d]``.
            targets: how preferences become probabilities.
            eligible: ``[B, A]``, the actions that can be taken, at least one a row; others have the probability 0.
                None: all.
        """
        scores = self.preferences(states)
        _, *choices = self._choices(states, eligible)
        return [(target, target.probabilities(scores, *choices)) for target in targets]

    def decide(self, states: Floats32, target: TargetPolicy, eligible: Flags | None = None) -> PolicyDecision:
        """Everything about some states ``[B, d]``, with one pass over each network; see ``evaluate_targets``."""
        scores = self.preferences(states)
        values: Floats32 | None = None
        if self.values is not None:
            values = scores if self.values is self.preferences else self.values(states)
        supported, *choices = self._choices(states, eligible)
        return PolicyDecision(target.probabilities(scores, *choices), values, supported)

    def _choices(self, states: Floats32, eligible: Flags | None) -> tuple[Flags | None, Flags | None, Flags | None]:
        """``[B, A]`` what the mask allows before any fallback, ``[B, A]`` what is chosen from, None for all, and
        ``[B]`` where the choice is drawn.
        """
        if self.mask is None:
            return None, eligible, None
        given = None if eligible is None else torch.from_numpy(eligible)
        support = self.mask.support(torch.from_numpy(states), eligible=given)
        allowed, at_random = support.with_fallback(self.fallback)
        return support.allowed.numpy(), allowed.numpy(), at_random.numpy()

    def pack(self) -> tuple[Config, Tensors]:
        """The model as JSON and tensors, which share its memory."""
        mask, tensors = pack_mask(self.mask)
        preferences, weights = _pack_scorer(self.preferences, "preferences.")
        tensors |= weights
        values: Config | str | None = None
        if self.values is not None and self.values.network is self.preferences.network:
            values = SAME
        elif self.values is not None:
            values, weights = _pack_scorer(self.values, "values.")
            tensors |= weights
        described = {
            "preferences": preferences,
            "values": values,
            "target": asdict(self.target),
            "mask": mask,
            "fallback": self.fallback,
        }
        return described, tensors

    @classmethod
    def unpack(cls, config: Config, tensors: Tensors) -> PolicyModel:
        """The model that ``pack`` wrote."""
        preferences = _unpack_scorer(config["preferences"], tensors, "preferences.")
        values = None if config["values"] is None else preferences
        if isinstance(config["values"], dict):
            values = _unpack_scorer(config["values"], tensors, "values.")
        return cls(
            preferences=preferences,
            values=values,
            target=TargetPolicy(**config["target"]),
            mask=unpack_mask(config["mask"], tensors),
            fallback=config["fallback"],
        )


def pack_mask(mask: ActionMask | None) -> tuple[Config | None, Tensors]:
    """A mask and its prefit models as JSON and tensors."""
    match mask:
        case NearestNeighbourMask(keys, thresholds, embedding):
            tensors = {f"mask.keys.{action}": key.contiguous() for action, key in enumerate(keys)}
            network = None
            if embedding is not None:
                network, weights = _pack_network(embedding, "mask.embedding.")
                tensors |= weights
            config = {"kind": "nearest", "n_actions": len(keys), "thresholds": list(thresholds), "embedding": network}
            return config, tensors
        case ImitationMask(classifier, threshold, relative, absent):
            network, tensors = _pack_network(classifier, "mask.classifier.")
            config = {"kind": "imitation", "threshold": threshold, "relative": relative, "absent": list(absent)}
            return config | {"classifier": network}, tensors
        case _:
            return None, {}


def unpack_mask(config: Config | None, tensors: Tensors) -> ActionMask | None:
    """The mask that ``pack_mask`` wrote."""
    if config is None:
        return None
    if config["kind"] == "imitation":
        classifier = _unpack_network(config["classifier"], tensors, "mask.classifier.")
        return ImitationMask(classifier, config["threshold"], config["relative"], config["absent"])
    described = config["embedding"]
    embedding = None if described is None else _unpack_network(described, tensors, "mask.embedding.")
    keys = tuple(tensors[f"mask.keys.{action}"] for action in range(config["n_actions"]))
    return NearestNeighbourMask(keys, config["thresholds"], embedding)


def _pack_scorer(scorer: Scorer, prefix: str) -> tuple[Config, Tensors]:
    network, weights = _pack_network(scorer.network, prefix)
    return {"network": network, "scale": scorer.scale}, weights


def _unpack_scorer(config: Config, tensors: Tensors, prefix: str) -> Scorer:
    return Scorer(_unpack_network(config["network"], tensors, prefix), config["scale"])


def _pack_network(network: Network, prefix: str) -> tuple[Config, Tensors]:
    weights = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    return to_json(network.shape), weights


def _unpack_network(config: Config, tensors: Tensors, prefix: str) -> Network:
    network = Network(from_json(NetworkShape, config), torch.Generator())
    network.load_state_dict(
        {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    )
    return network
