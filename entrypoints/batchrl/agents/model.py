"""A trained policy as plain tensors and JSON, and back: what checkpoints and exported models hold, without pickles."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from batchrl.agents.masks import ActionMask, Fallback, ImitationMask, NearestNeighbourMask, NoMask
from batchrl.agents.networks import QNetwork, in_blocks
from batchrl.agents.target_policy import TargetPolicy
from batchrl.data.dataset import Floats32, Floats64

Config = dict[str, Any]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class PolicyModel:
    """Values, the target policy, and the mask that it acts under.

    Args:
        network: gives the values.
        target: turns values into probabilities.
        mask: the actions that it may take; None where it acts without one.
        fallback: what to do in states where the mask allows nothing.
    """

    network: QNetwork
    target: TargetPolicy
    mask: ActionMask | None
    fallback: Fallback

    def q_values(self, states: Floats32) -> Floats32:
        """Values ``[B, A]`` of states ``[B, d]``."""
        values: Floats32 = in_blocks(self.network, torch.from_numpy(states)).numpy()
        return values

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Probabilities ``[B, A]`` of the target policy in states ``[B, d]``."""
        return self.evaluate(states)[1]

    def evaluate(self, states: Floats32) -> tuple[Floats32, Floats64]:
        """Values and probabilities, both ``[B, A]``, from one pass through the network."""
        values = self.q_values(states)
        if self.mask is None:
            return values, self.target.probabilities(values)
        allowed, at_random = self.mask.support(torch.from_numpy(states)).with_fallback(self.fallback)
        return values, self.target.probabilities(values, allowed.numpy(), at_random.numpy())

    def pack(self) -> tuple[Config, Tensors]:
        """The model as JSON and tensors."""
        config, tensors = pack_mask(self.mask)
        network, weights = _pack_network(self.network, "q.")
        described = {"network": network, "target": asdict(self.target), "mask": config, "fallback": self.fallback}
        return described, weights | tensors

    @classmethod
    def unpack(cls, config: Config, tensors: Tensors) -> PolicyModel:
        """The model that ``pack`` wrote."""
        return cls(
            network=_unpack_network(config["network"], tensors, "q."),
            target=TargetPolicy(**config["target"]),
            mask=unpack_mask(config["mask"], tensors),
            fallback=config["fallback"],
        )


def pack_mask(mask: ActionMask | None) -> tuple[Config | None, Tensors]:
    """A mask and its frozen models as JSON and tensors."""
    match mask:
        case NearestNeighbourMask(keys, threshold, embedding):
            tensors = {f"mask.keys.{action}": key.contiguous() for action, key in enumerate(keys)}
            network = None
            if embedding is not None:
                network, weights = _pack_network(embedding, "mask.embedding.")
                tensors |= weights
            config = {"kind": "nearest", "n_actions": len(keys), "threshold": threshold, "embedding": network}
            return config, tensors
        case ImitationMask(classifier, threshold, relative):
            network, tensors = _pack_network(classifier, "mask.classifier.")
            return {"kind": "imitation", "threshold": threshold, "relative": relative, "classifier": network}, tensors
        case NoMask(n_actions):
            return {"kind": "none", "n_actions": n_actions}, {}
        case _:
            return None, {}


def unpack_mask(config: Config | None, tensors: Tensors) -> ActionMask | None:
    """The mask that ``pack_mask`` wrote."""
    if config is None:
        return None
    if config["kind"] == "none":
        return NoMask(config["n_actions"])
    if config["kind"] == "imitation":
        classifier = _unpack_network(config["classifier"], tensors, "mask.classifier.")
        return ImitationMask(classifier, config["threshold"], config["relative"])
    described = config["embedding"]
    embedding = None if described is None else _unpack_network(described, tensors, "mask.embedding.")
    keys = tuple(tensors[f"mask.keys.{action}"] for action in range(config["n_actions"]))
    return NearestNeighbourMask(keys, config["threshold"], embedding)


def _pack_network(network: QNetwork, prefix: str) -> tuple[Config, Tensors]:
    config = {"n_features": network.n_features, "n_actions": network.n_actions, "hidden": list(network.hidden)}
    weights = {f"{prefix}{name}": tensor.detach().clone() for name, tensor in network.state_dict().items()}
    return config, weights


def _unpack_network(config: Config, tensors: Tensors, prefix: str) -> QNetwork:
    network = QNetwork(config["n_features"], config["n_actions"], config["hidden"], torch.Generator())
    network.load_state_dict(
        {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    )
    return network.requires_grad_(False).eval()
