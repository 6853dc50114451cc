"""Networks that descend losses which are written in plain torch.

::

    outputs  [E, B, A]      the network's own forward pass
    loss     [E]            plain torch on the outputs: the agent's own part
    gradient [E, B, A]      of the loss by the outputs: autograd's
    update                  the network's own backward pass, from that gradient, and Adam

No graph reaches into the layers, where the passes that are written out are faster. It begins at the outputs that a
``Learner`` gives and ends at the loss.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.agent import Agent, Problem
from batchrl.agents.networks import Network
from batchrl.agents.optimiser import Adam
from batchrl.agents.statistics import Signals
from batchrl.agents.targets import Target
from batchrl.agents.transitions import Batch
from presets.schema import AgentSettings


class Learner:
    """A network that descends a loss on its outputs.

    Args:
        network: whose parameters are changed.
        settings: the preset's section ``agent``.
        total_updates: of the whole run, for the schedule of the step size; None keeps it constant.
    """

    def __init__(self, network: Network, settings: AgentSettings, total_updates: int | None = None) -> None:
        self.network = network
        self.optimiser = Adam(network, settings, total_updates)
        self._seen: Tensor | None = None

    @property
    def seen(self) -> Tensor:
        """``[E, B, A]``, what the last call of ``outputs`` or ``outputs_and_others`` gave to be derived by.

        Raises:
            RuntimeError: there was none.
        """
        if self._seen is None:
            raise RuntimeError("no loss can be derived: neither outputs nor outputs_and_others was called before")
        return self._seen

    def outputs(self, states: Tensor) -> Tensor:
        """Outputs ``[E, B, A]`` of states ``[B, d]``: what the network's next loss is written on."""
        self._seen = self.network.forward(states).requires_grad_()
        return self._seen

    def outputs_and_others(self, states: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """``outputs`` of the states, and those of further states, which are constants to the loss; in one pass."""
        outputs = self.network.forward(torch.cat([states, others]))
        self._seen = outputs[:, : len(states)].requires_grad_()
        return self._seen, outputs[:, len(states) :]


def gradients(losses: Sequence[Tensor], outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The derivatives of the sum of all losses, each ``[E]``, by some outputs, each in its outputs' shape."""
    return torch.autograd.grad(losses, outputs, [torch.ones_like(loss) for loss in losses])


class LossAgent(Agent):
    """An agent that is told by its losses: what is common to all updates stands here, and so does the state.

    A subclass makes its networks in ``build``, by ``make_learner`` and, at most once, ``make_target``, and writes its
    losses. All of them are read before any network is updated.
    """

    target: Target | None

    def __init__(self, problem: Problem, settings: AgentSettings, generator: torch.Generator) -> None:
        self.learners: dict[str, Learner] = {}
        self.target = None
        super().__init__(problem, settings, generator)

    @abstractmethod
    def losses(self, batch: Batch, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """The loss ``[E]`` of each network by its name, averaged over the minibatch; the first is reported.

        Outputs enter by ``Learner.outputs``. The networks descend the sum of all losses: detach the outputs of one
        network where they are constants in the loss of another.

        Args:
            batch: the minibatch.
            rng: the source of everything random.
        """

    def make_learner(self, name: str, generator: torch.Generator, n_outputs: int | None = None) -> Learner:
        """A new network of the preset's layers, and its optimiser.

        Args:
            name: in ``losses`` and in checkpoints.
            generator: the source of the initial weights.
            n_outputs: numbers for each state; None: one an action.
        """
        network = self.problem.network(self.settings, generator, n_outputs)
        self.learners[name] = Learner(network, self.settings, self.problem.total_updates)
        return self.learners[name]

    def make_target(self, learner: Learner) -> Target:
        """A copy of a network that follows it more slowly, as the preset says, after each update."""
        self.target = Target(learner.network, self.settings)
        return self.target

    @property
    def learning_rate(self) -> float:
        """The step size that the next update takes."""
        return next(iter(self.learners.values())).optimiser.learning_rate

    def steady_updates(self) -> int | None:
        """Updates for which the target stays as it is; None without a target."""
        return None if self.target is None else self.target.steady_updates(self.updates)

    def update(self, batch: Batch, rng: np.random.Generator) -> Signals:
        """One gradient step on a minibatch."""
        losses = self.losses(batch, rng)
        self._check(losses)
        learners = self.learners.values()
        derivatives = gradients(list(losses.values()), [learner.seen for learner in learners])
        norms = [learner.optimiser.descend(one) for learner, one in zip(learners, derivatives, strict=True)]
        self.updates += 1
        copied = self.target is not None and self.target.follow(self.updates)
        norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
        return Signals(next(iter(losses.values())).detach().mean(), norm, self._values_seen(), copied)

    def _check(self, losses: Mapping[str, Tensor]) -> None:
        """Refuse losses that would teach something else than their author thinks."""
        where = f"{type(self).__name__}.losses"
        if losses.keys() != self.learners.keys():
            raise ValueError(
                f"{where} gives losses of {', '.join(losses)}; it must give one for each network that build made: "
                f"{', '.join(self.learners)}"
            )
        wanted = (self.settings.ensemble,)
        for name, loss in losses.items():
            if loss.shape != wanted:
                raise ValueError(
                    f"{where}: the loss of {name} has shape {list(loss.shape)}; it must be {list(wanted)}, one number "
                    "for each network of the ensemble: average over the minibatch, .mean(dim=1)"
                )

    def _values_seen(self) -> Tensor | None:
        """``[E, B, A]``, the values of the minibatch before the update, in the rewards' units."""
        scorer = self.values()
        for learner in self.learners.values():
            if scorer is not None and learner.network is scorer.network:
                return learner.seen.detach() * scorer.scale
        return None

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers and target, as tensors."""
        state: dict[str, Any] = {name: learner.network.state_dict() for name, learner in self.learners.items()}
        if self.target is not None:
            state["target"] = self.target.state_dict()
        optimisers = {name: learner.optimiser.state_dict() for name, learner in self.learners.items()}
        # A single one stands by itself, as it always did in checkpoints.
        state |= {"optimisers": optimisers} if len(optimisers) > 1 else {"optimiser": next(iter(optimisers.values()))}
        return state | {"updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        for name, learner in self.learners.items():
            learner.network.load_state_dict(state[name])
            learner.optimiser.load_state_dict(
                state["optimisers"][name] if "optimisers" in state else state["optimiser"]
            )
        if self.target is not None:
            self.target.load_state_dict(state["target"])
        self.updates = state["updates"]
