"""What an update cannot do without: the matrix products of one double DQN update, and a plain torch loop beside them.

The five groups of products are the online network on the states, the online and the target network on the next states,
the gradients of the weights, and the gradients of the hidden layers. Everything that they read and write lies ready,
so that nothing but multiplication is measured. They are measured twice: as ``torch.mm`` multiplies, which is what the
layers of a torch module do, and by the oneDNN library that torch also brings, which some processors serve better.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from batchrl.agents import fused
from batchrl.collect import Rollouts

# Writes the product of the first two, [n, k] and [k, m], into the third, or into memory of its own.
Multiply = Callable[[Tensor, Tensor, Tensor], None]
# Multiplications from which on oneDNN is worth its call.
LARGE = 4_000_000


def by_torch(left: Tensor, right: Tensor, out: Tensor) -> None:
    torch.mm(left, right, out=out)


def by_onednn() -> Multiply | None:
    """Multiplication by oneDNN where matrices are large; None where torch does not offer it."""
    if not fused.has_onednn():
        return None

    def multiply(left: Tensor, right: Tensor, out: Tensor) -> None:
        if out.numel() * left.shape[1] < LARGE:
            torch.mm(left, right, out=out)
        else:
            fused.linear(left, right.t())

    return multiply


class Products:
    """The matrix products of an update, and nothing else.

    Args:
        widths: of the input, every hidden layer and the output.
        batch_size: rows of a minibatch.
        multiply: how.
    """

    def __init__(self, widths: Sequence[int], batch_size: int, multiply: Multiply) -> None:
        self._multiply = multiply
        layers = list(itertools.pairwise(widths))
        # As torch's linear layers keep them, which is the faster of the two ways here.
        online, target = ([torch.rand(high, low) for low, high in layers] for _ in range(2))
        activations = [[torch.rand(batch_size, width) for width in widths] for _ in range(3)]
        self._forward = list(zip((online, online, target), activations, strict=True))
        self._online, self._below = online, activations[0]
        self._weight_gradients = [torch.empty(high, low) for low, high in layers]
        self._gradients = [torch.rand(batch_size, width) for width in widths]
        self._hidden_gradients = [torch.empty(batch_size, width) for width in widths]

    def seconds(self, updates: int) -> float:
        """CPU time of the products of so many updates."""
        began = time.process_time()
        for _ in range(updates):
            self._update()
        return time.process_time() - began

    def _update(self) -> None:
        for weights, activations in self._forward:
            for layer, weight in enumerate(weights):
                self._multiply(activations[layer], weight.t(), activations[layer + 1])
        for layer, gradient in enumerate(self._weight_gradients):
            self._multiply(self._gradients[layer + 1].t(), self._below[layer], gradient)
        for layer in range(1, len(self._online)):
            self._multiply(self._gradients[layer + 1], self._online[layer], self._hidden_gradients[layer])


class PlainLoop:
    """Double DQN as one writes it in torch: modules, autograd, fused Adam, the whole log as tensors.

    Args:
        log: what it learns from.
        widths: of the input, every hidden layer and the output.
        batch_size: rows of a minibatch.
        learning_rate: of Adam.
        target_every: updates between copies into the target network.
        discount: gamma.
    """

    def __init__(
        self,
        log: Rollouts,
        widths: Sequence[int],
        batch_size: int,
        learning_rate: float,
        target_every: int,
        discount: float,
    ) -> None:
        self._states, self._next_states = torch.from_numpy(log.states), torch.from_numpy(log.next_states)
        self._actions = torch.from_numpy(log.actions)[:, None]
        self._rewards = torch.from_numpy(log.rewards).float()
        self._goes_on = discount * torch.from_numpy(~log.terminal).float()
        layers: list[nn.Module] = []
        for low, high in itertools.pairwise(widths):
            layers += [nn.Linear(low, high), nn.ReLU()]
        self._online = nn.Sequential(*layers[:-1])
        self._target = copy.deepcopy(self._online)
        self._optimiser = torch.optim.Adam(self._online.parameters(), lr=learning_rate, fused=True)
        self._batch_size, self._target_every, self._updates = batch_size, target_every, 0

    def seconds(self, updates: int) -> float:
        """CPU time of so many updates."""
        began = time.process_time()
        for _ in range(updates):
            self._update(torch.randint(len(self._states), (self._batch_size,)))
        return time.process_time() - began

    def _update(self, rows: Tensor) -> None:
        with torch.no_grad():
            after = self._next_states[rows]
            chosen = self._online(after).argmax(1, keepdim=True)
            bootstrap = self._target(after).gather(1, chosen).squeeze(1)
            targets = self._rewards[rows] + self._goes_on[rows] * bootstrap
        values = self._online(self._states[rows]).gather(1, self._actions[rows]).squeeze(1)
        loss = nn.functional.mse_loss(values, targets)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._updates += 1
        if self._updates % self._target_every == 0:
            self._target.load_state_dict(self._online.state_dict())
