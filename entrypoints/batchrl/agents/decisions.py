"""Agents that learn from logs of single decisions, where the probability of what was done corrects for who did it.

::

    p = probability with which the logging policy took a;  w = min(pi(a | x) / p, max)
    q: (1/B) sum (r - q(x, a))^2                                       (huber: as in values)

max is ``policy_max_weight``; a decision beyond it has no gradient, so that nothing is won by ever larger weights.
Inside, everything is as if the rewards had been divided by ``value_scale``. A value agent with such a log is a
regression of rewards: nothing follows that it could bootstrap from.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.learning import Learner, LossAgent
from batchrl.agents.losses import among, residual_loss, taken
from batchrl.agents.model import Scorer
from batchrl.agents.transitions import Batch


class DecisionAgent(LossAgent):
    """What these agents share."""

    single_decisions: ClassVar[bool] = True

    def rewards_of(self, batch: Batch) -> Tensor:
        """``[B]``, divided by ``value_scale``."""
        return batch.rewards / self.settings.value_scale

    def weights(self, logits: Tensor, batch: Batch) -> Tensor:
        """``[E, B]``, w of a policy with logits ``[E, B, A]``, minus infinity for actions that could not be taken."""
        likelihoods = taken(logits.log_softmax(dim=2), batch.actions)
        return (likelihoods - batch.propensities.log()).exp().clamp(max=self.settings.policy_max_weight)


class IPSPolicy(DecisionAgent):
    """``loss = -(1/B) sum w (r - b)``: a softmax policy climbs its inverse propensity score (Strehl et al. 2010).

    b is the mean logged reward. Where no weight is cut it changes the score by a constant; without it, a policy that
    avoids what was logged would gain wherever all rewards are negative (Swaminathan & Joachims 2015). There are no
    values.
    """

    def build(self, generator: torch.Generator) -> None:
        """Make the network."""
        self.policy = self.make_learner("policy", generator)

    def losses(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The negative score of the minibatch."""
        gains = self.rewards_of(batch) - batch.data.mean_reward / self.settings.value_scale
        logits = among(self.policy.outputs(batch.states), batch.eligible)
        return {"policy": -(self.weights(logits, batch) * gains).mean(dim=1)}

    def preferences(self) -> Scorer:
        """The policy's logits."""
        return Scorer(self.policy.network)

    def values(self) -> None:
        """None: a score of the policy is no value of an action."""


class ModelledDecisionAgent(DecisionAgent):
    """One that learns a reward model beside what it prefers, both from all decisions."""

    q: Learner

    def fitted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss ``[E]`` of q, and q itself ``[E, B, A]`` as a constant."""
        outputs = self.q.outputs(batch.states)
        loss = residual_loss(taken(outputs, batch.actions) - self.rewards_of(batch), self.settings.loss)
        return loss, outputs.detach()

    @abstractmethod
    def values(self) -> Scorer:
        """Expected rewards, in the rewards' units."""


class DoublyRobustPolicy(ModelledDecisionAgent):
    """``loss = -(1/B) sum (sum_a pi(a | x) q(x, a) + w (r - q(x, a)))`` (Dudik, Langford & Li 2011).

    q is a reward model that learns at the same time; where it is wrong, the weighted residual says so.
    """

    def build(self, generator: torch.Generator) -> None:
        """Make the networks of policy and reward model."""
        self.policy = self.make_learner("policy", generator)
        self.q = self.make_learner("q", generator)

    def losses(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The negative doubly robust estimate of the minibatch, and the reward model's loss."""
        loss_of_q, q = self.fitted(batch)
        logits = among(self.policy.outputs(batch.states), batch.eligible)
        direct = (logits.softmax(dim=2) * q).sum(dim=2)
        residuals = self.rewards_of(batch) - taken(q, batch.actions)
        return {"policy": -(direct + self.weights(logits, batch) * residuals).mean(dim=1), "q": loss_of_q}

    def preferences(self) -> Scorer:
        """The policy's logits."""
        return Scorer(self.policy.network)

    def values(self) -> Scorer:
        """The reward model."""
        return Scorer(self.q.network, self.settings.value_scale)


class CostSensitive(ModelledDecisionAgent):
    """``loss = (1/(B A)) sum_a (f(x, a) - (q(x, a) + 1(a taken) min(1/p, max) (r - q(x, a))))^2``.

    Cost-sensitive classification, one against all, on doubly robust rewards (Dudik, Langford & Li 2011; Bietti, Agarwal
    & Langford 2021): f learns what each action would have brought, and the action with the most is taken.
    """

    def build(self, generator: torch.Generator) -> None:
        """Make the networks of f and of the reward model."""
        self.scores = self.make_learner("scores", generator)
        self.q = self.make_learner("q", generator)

    def losses(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The squared error of f over all actions, and the reward model's loss."""
        loss_of_q, q = self.fitted(batch)
        weights = (1 / batch.propensities).clamp(max=self.settings.policy_max_weight)
        corrections = weights * (self.rewards_of(batch) - taken(q, batch.actions))
        places = batch.actions.expand(len(q), -1)[..., None]
        rewards = q.scatter_add(2, places, corrections[..., None])
        errors = self.scores.outputs(batch.states) - rewards
        if batch.eligible is not None:
            errors = errors.masked_fill(~batch.eligible, 0)
        return {"scores": errors.square().mean(dim=(1, 2)), "q": loss_of_q}

    def preferences(self) -> Scorer:
        """f, which ranks the actions."""
        return Scorer(self.scores.network, self.settings.value_scale)

    def values(self) -> Scorer:
        """f as well: the expected reward of each action."""
        return self.preferences()
