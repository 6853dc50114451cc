"""A policy as a torch module whose graph ONNX can hold: states ``[B, d]`` in, all that the server answers out.

The arithmetic is that of ``batchrl.agents``, written again with operations that ONNX has. ``onnx_export`` compares the
two. A mask of nearest neighbours finds its candidates by a matrix product in float64, and their distances by
subtraction, as the exact search does; only a distance that the product cannot tell from the ``CANDIDATES`` nearest ones
could be missed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from batchrl.agents.masks import FARTHEST, ActionMask, Fallback, ImitationMask, NearestNeighbourMask
from batchrl.agents.model import PolicyModel, Scorer
from batchrl.agents.networks import Network
from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints.onnx_encoding import EncodingGraph

CANDIDATES = 16


class PolicyGraph(nn.Module):
    """The whole policy.

    Args:
        model: preferences, values and mask.
        target: the target policy.
    """

    def __init__(self, model: PolicyModel, target: TargetPolicy) -> None:
        super().__init__()
        self.preferences = ScorerGraph(model.preferences)
        self.values: nn.Module | None = None
        self._shares_values = model.values is model.preferences
        if model.values is not None and not self._shares_values:
            self.values = ScorerGraph(model.values)
        self.mask = None if model.mask is None else mask_graph(model.mask)
        self._fallback = model.fallback
        self._target = target
        self.output_names = ["probabilities", "action"]
        if model.values is not None:
            self.output_names += ["value", "values"]
        if model.mask is not None:
            self.output_names.append("mask")

    def forward(self, states: Tensor, eligible: Tensor | None = None) -> tuple[Tensor, ...]:
        """What ``output_names`` names: probabilities, values and mask ``[B, A]``, action and value ``[B]``.

        Args:
            states: ``[B, d]``.
            eligible: ``[B, A]``, the actions that can be taken; None: all. For a row without any, see ``unless``.
        """
        scores = self.preferences(states)
        if self.mask is None:
            mask = torch.ones_like(scores, dtype=torch.bool)
            allowed, at_random = mask if eligible is None else eligible, None
        else:
            mask, likeliest = self.mask(states, eligible)
            allowed, at_random = with_fallback(mask, likeliest, self._fallback, eligible)
        probabilities = target_probabilities(self._target, scores.double(), allowed, at_random)
        outputs = [probabilities, probabilities.argmax(dim=1)]
        if self._shares_values or self.values is not None:
            values = scores if self.values is None else self.values(states)
            outputs += [(probabilities * values).sum(dim=1).float(), values]
        if self.mask is not None:
            outputs.append(mask)
        if eligible is None:
            return tuple(outputs)
        return tuple(unless(eligible.any(dim=1), output) for output in outputs)


class RecordGraph(nn.Module):
    """A policy of raw records, whose cells are numbers already.

    For a record that cannot be read, or whose numbers are too large, see ``unless``.

    Args:
        encoding: from cells to features.
        policy: from features to outputs.
    """

    def __init__(self, encoding: EncodingGraph, policy: PolicyGraph) -> None:
        super().__init__()
        self.encoding, self.policy = encoding, policy
        self.output_names = policy.output_names

    def forward(self, cells: Tensor, eligible: Tensor | None = None) -> tuple[Tensor, ...]:
        """Of cells ``[B, C]`` what ``PolicyGraph`` gives of states."""
        states, readable = self.encoding(cells)
        outputs = self.policy(states, eligible)
        for output in outputs:
            if output.dtype.is_floating_point:
                finite = output.isfinite()
                readable = readable & (finite if output.dim() == 1 else finite.all(dim=1))
        return tuple(unless(readable, output) for output in outputs)


def unless(readable: Tensor, output: Tensor) -> Tensor:
    """An output ``[B]`` or ``[B, A]`` of readable rows, ``[B]``; of others ``nan``, the action -1, or an empty mask."""
    rows = readable if output.dim() == 1 else readable.unsqueeze(1)
    if output.dtype == torch.bool:
        return output & rows
    return torch.where(rows, output, torch.nan if output.dtype.is_floating_point else -1)


class NetworkGraph(nn.Module):
    """A network, or its embedding.

    Args:
        network: whose weights are copied.
        embedding: whether the outputs are the embeddings ``[B, E * hidden[-1]]`` rather than ``[E, B, n]``.
    """

    def __init__(self, network: Network, embedding: bool = False) -> None:
        super().__init__()
        tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        count = len(network.shape.hidden) + (0 if embedding else 1)
        # [E, k, n] each, as they are multiplied.
        self.weights = nn.ParameterList(
            nn.Parameter(tensors[f"layers.{layer}.weight"].transpose(1, 2).contiguous(), requires_grad=False)
            for layer in range(count)
        )
        self.biases = nn.ParameterList(
            nn.Parameter(tensors[f"layers.{layer}.bias"].unsqueeze(1), requires_grad=False) for layer in range(count)
        )
        self._ensemble = network.shape.ensemble
        self._rectified = len(network.shape.hidden)
        self._embedding = embedding
        self.shift: Tensor | None
        self.scale: Tensor | None
        self.register_buffer("shift", tensors.get("input.shift"))
        self.register_buffer("scale", tensors.get("input.scale"))

    def forward(self, states: Tensor) -> Tensor:
        """Outputs of all members, [E, B, A], of states [B, F]."""
        scaled = states if self.shift is None or self.scale is None else (states - self.shift) * self.scale
        outputs = scaled.unsqueeze(0).expand(self._ensemble, -1, -1)
        for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            outputs = torch.matmul(outputs, weights) + biases
            if layer < self._rectified:
                outputs = outputs.relu()
        return outputs.transpose(0, 1).flatten(1) if self._embedding else outputs


class ScorerGraph(nn.Module):
    """The averaged outputs of an ensemble, ``[B, A]``.

    Args:
        scorer: which.
    """

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.network = NetworkGraph(scorer.network)
        self._scale = scorer.scale

    def forward(self, states: Tensor) -> Tensor:
        """Mean output of the members times the scale, [B, A]."""
        outputs: Tensor = self.network(states)
        return outputs.mean(dim=0) * self._scale


class ImitationGraph(nn.Module):
    """Mask ``[B, A]`` and likeliest action ``[B]`` by a classifier.

    Args:
        mask: which.
    """

    def __init__(self, mask: ImitationMask) -> None:
        super().__init__()
        self.classifier = NetworkGraph(mask.classifier)
        self._threshold, self._relative = mask.threshold, mask.relative
        logged = torch.ones(mask.classifier.shape.n_outputs, dtype=torch.bool)
        logged[list(mask.absent)] = False
        self.logged: Tensor
        self.register_buffer("logged", logged)

    def forward(self, states: Tensor, eligible: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Support of a classifier's mask: allowed actions and the likeliest one, among the eligible ones."""
        known = self.logged if eligible is None else self.logged & eligible
        logits = torch.where(known, self.classifier(states)[0], -torch.inf)
        probabilities = logits.softmax(dim=1)
        top = probabilities.amax(dim=1, keepdim=True)
        if self._relative:
            allowed = (probabilities > self._threshold * top) | (probabilities == top)
        else:
            allowed = (probabilities >= self._threshold) & (probabilities > 0)
        if eligible is None:
            return allowed, probabilities.argmax(dim=1)
        # Where only actions that were never logged are eligible, the classifier knows of none.
        some = known.any(dim=1)
        likeliest = torch.where(some, probabilities.argmax(dim=1), eligible.int().argmax(dim=1))
        return allowed & known & some.unsqueeze(1), likeliest


class NearestGraph(nn.Module):
    """Mask ``[B, A]`` and likeliest action ``[B]`` by the nearest logged uses of each action.

    Args:
        mask: which.
    """

    def __init__(self, mask: NearestNeighbourMask) -> None:
        super().__init__()
        self.embedding = None if mask.embedding is None else NetworkGraph(mask.embedding, embedding=True)
        self.keys = nn.ParameterList(nn.Parameter(keys.clone(), requires_grad=False) for keys in mask.keys)
        self._sizes = [len(keys) for keys in mask.keys]
        self.thresholds: Tensor
        self.register_buffer("thresholds", torch.tensor(mask.thresholds, dtype=torch.float64))

    def forward(self, states: Tensor, eligible: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Support of a nearest-neighbour mask: allowed actions and the nearest one, among the eligible ones."""
        queries = (states if self.embedding is None else self.embedding(states)).double()
        distances = torch.stack(
            [self._nearest(queries, keys, size) for keys, size in zip(self.keys, self._sizes, strict=True)], dim=1
        )
        near = distances <= self.thresholds
        if eligible is None:
            return near, distances.argmin(dim=1)
        finite = torch.where(distances.isinf(), FARTHEST, distances)
        return near & eligible, torch.where(eligible, finite, torch.inf).argmin(dim=1)

    def _nearest(self, queries: Tensor, keys: Tensor, size: int) -> Tensor:
        """Distances ``[B]`` to the nearest of some keys; infinite where there are none."""
        if not size:
            return torch.full_like(queries[:, 0], torch.inf)
        points = keys.double()
        scores = points.square().sum(dim=1) - 2 * queries @ points.T
        _, candidates = scores.topk(min(CANDIDATES, size), dim=1, largest=False)
        differences = points[candidates] - queries.unsqueeze(1)
        return differences.square().sum(dim=2).sqrt().amin(dim=1)


def mask_graph(mask: ActionMask) -> nn.Module:
    """The graph of a mask."""
    if isinstance(mask, ImitationMask):
        return ImitationGraph(mask)
    assert isinstance(mask, NearestNeighbourMask)
    return NearestGraph(mask)


def with_fallback(
    mask: Tensor, likeliest: Tensor, fallback: Fallback, eligible: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """What ``Support.with_fallback`` gives; None where no choice is drawn at random."""
    none = ~mask.any(dim=1, keepdim=True)
    if fallback == "most_likely":
        actions = torch.arange(mask.shape[1])
        # Not torch.where: onnxruntime chooses between numbers only.
        return mask | (none & (actions == likeliest.unsqueeze(1))), None
    every = none if eligible is None else none & eligible
    return mask | every, none if fallback == "random" else None


def target_probabilities(target: TargetPolicy, scores: Tensor, allowed: Tensor, at_random: Tensor | None) -> Tensor:
    """What ``TargetPolicy.probabilities`` gives."""
    count = scores.shape[1]
    uniform = allowed.double() / allowed.double().sum(dim=1, keepdim=True)
    limited = torch.where(allowed, scores, -torch.inf)
    if target.kind == "softmax":
        exponents = ((limited - limited.amax(dim=1, keepdim=True)) / target.temperature).exp()
        result = exponents / exponents.sum(dim=1, keepdim=True)
    else:
        result = (torch.arange(count) == limited.argmax(dim=1, keepdim=True)).double()
        if target.kind == "epsilon_greedy":
            result = (1 - target.epsilon) * result + target.epsilon * uniform
    return result if at_random is None else torch.where(at_random, uniform, result)
