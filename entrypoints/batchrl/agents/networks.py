"""Fully connected networks that learn side by side, with gradients of our own.

All agents use networks of one kind: ReLU layers and a linear head, E of them at once (an ensemble). Their parameters
lie in one flat vector and so do the gradients, so that an optimiser's step is one operation, whatever the depth. The
backward pass is written out: it is two matrix products a layer, and nothing of a graph has to be recorded.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from batchrl.agents.products import linear, weight_gradient

# Numbers in the widest layer's output when many states are looked at: they stay in a core's cache.
NUMBERS_AT_ONCE = 262_144


@dataclass(frozen=True)
class NetworkShape:
    """What a network is, apart from its parameters.

    Args:
        n_features: length of a state, d.
        n_outputs: numbers for each state, A where there is one an action.
        hidden: units of every hidden layer; the last one's output is the state embedding.
        ensemble: networks side by side, E.
    """

    n_features: int
    n_outputs: int
    hidden: tuple[int, ...]
    ensemble: int = 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the input, every hidden layer and the output."""
        return (self.n_features, *self.hidden, self.n_outputs)


class Network:
    """E networks of one shape; weights Glorot uniform, biases zero.

    Args:
        shape: of each.
        generator: the source of the initial weights.
        input_shift: ``[d]``, subtracted from states, or None.
        input_scale: ``[d]``, by which the difference is multiplied, or None.
    """

    def __init__(
        self,
        shape: NetworkShape,
        generator: torch.Generator,
        input_shift: Tensor | None = None,
        input_scale: Tensor | None = None,
    ) -> None:
        self.shape = shape
        self.input_shift = input_shift
        self.input_scale = input_scale
        layers = list(itertools.pairwise(shape.widths))
        self.parameters = torch.zeros(shape.ensemble * sum((low + 1) * high for low, high in layers))
        self.gradient = torch.zeros_like(self.parameters)
        self._weights, self._biases = self._views(self.parameters)
        self._weight_gradients, self._bias_gradients = self._views(self.gradient)
        self._activations: list[Tensor] = []
        for (low, high), weight in zip(layers, self._weights, strict=True):
            bound = math.sqrt(6 / (low + high))
            weight.uniform_(-bound, bound, generator=generator)

    def copy(self) -> Network:
        """A network with the same parameters in a memory of its own."""
        other = Network(self.shape, torch.Generator(), self.input_shift, self.input_scale)
        other.parameters.copy_(self.parameters)
        return other

    def forward(self, states: Tensor) -> Tensor:
        """Outputs ``[E, B, A]`` of states ``[B, d]``; remembers what ``backward`` needs."""
        self._activations = self._layers(states, len(self._weights))
        return self._activations.pop()

    def backward(self, output_gradient: Tensor) -> None:
        """Write the gradient of a loss into ``gradient``.

        Args:
            output_gradient: ``[E, R, A]``, derivatives of the loss by the outputs of the first R states of the last
                ``forward``; the others do not enter the loss.
        """
        rows = output_gradient.shape[1]
        current = output_gradient
        for layer in reversed(range(len(self._weights))):
            below = self._activations[layer][:, :rows]
            weight_gradient(current, below, out=self._weight_gradients[layer])
            torch.sum(current, dim=1, keepdim=True, out=self._bias_gradients[layer])
            if layer:
                # The sign of what a ReLU gave out is its derivative; multiplying numbers is faster than by flags.
                current = linear(current, self._weights[layer].transpose(1, 2)).mul_(below.sign())

    def infer(self, states: Tensor) -> Tensor:
        """Outputs ``[E, B, A]`` of any number of states ``[B, d]``, in blocks that bound the memory."""
        return torch.cat([self._layers(block, len(self._weights))[-1] for block in self._blocks(states)], dim=1)

    def embed(self, states: Tensor) -> Tensor:
        """State embeddings ``[B, E * hidden[-1]]`` of any number of states; the scaled states without hidden layers."""
        last = len(self._weights) - 1
        return torch.cat([self._layers(block, last)[-1].transpose(0, 1).flatten(1) for block in self._blocks(states)])

    def state_dict(self) -> dict[str, Tensor]:
        """Named parameters, ``layers.0.weight`` ``[E, high, low]``, and the scaling of the input; they are views."""
        tensors: dict[str, Tensor] = {}
        for number, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            tensors[f"layers.{number}.weight"] = weight
            tensors[f"layers.{number}.bias"] = bias.squeeze(1)
        if self.input_shift is not None and self.input_scale is not None:
            tensors |= {"input.shift": self.input_shift, "input.scale": self.input_scale}
        return tensors

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            KeyError: a tensor is missing.
            RuntimeError: one has another shape.
        """
        for number, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            weight.copy_(tensors[f"layers.{number}.weight"])
            bias.squeeze(1).copy_(tensors[f"layers.{number}.bias"])
        scaled = "input.shift" in tensors
        self.input_shift = tensors["input.shift"].clone() if scaled else None
        self.input_scale = tensors["input.scale"].clone() if scaled else None

    def _layers(self, states: Tensor, count: int) -> list[Tensor]:
        """The scaled states ``[E, B, d]`` and the outputs ``[E, B, high]`` of so many layers."""
        results = [self._scaled(states).expand(self.shape.ensemble, -1, -1)]
        for number in range(count):
            rectify = number < len(self._weights) - 1
            results.append(linear(results[-1], self._weights[number], self._biases[number], rectify))
        return results

    def _blocks(self, states: Tensor) -> tuple[Tensor, ...]:
        return torch.split(states, max(1, NUMBERS_AT_ONCE // max(self.shape.widths)))

    def _scaled(self, states: Tensor) -> Tensor:
        if self.input_shift is None or self.input_scale is None:
            return states
        return (states - self.input_shift) * self.input_scale

    def _views(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Weights ``[E, high, low]`` and biases ``[E, 1, high]`` of each layer within a flat vector."""
        weights, biases = [], []
        start = 0
        n = self.shape.ensemble
        for low, high in itertools.pairwise(self.shape.widths):
            weights.append(flat[start : (start := start + n * high * low)].view(n, high, low))
            biases.append(flat[start : (start := start + n * high)].view(n, 1, high))
        return weights, biases
