"""What is fitted once, before the agent: the reward model and the action mask (sections 2.5, 3 and 4)."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.masks import ActionMask, ImitationMask, NoMask, nearest_neighbour_mask
from batchrl.agents.model import pack_mask, unpack_mask
from batchrl.agents.networks import QNetwork, hidden_layers, in_blocks
from batchrl.agents.supervised import fit, imitation_loss, reward_loss
from batchrl.checkpoints.files import State
from batchrl.data.dataset import Dataset, Floats64
from batchrl.data.split import Parts
from presets.schema import TrainPreset

# A rate needs no more states than this to be known to a percent.
RATE_STATES = 10_000


@dataclass(frozen=True)
class FrozenModels:
    """Models that no epoch changes.

    Args:
        reward_model: outputs ``[B, A]``, the expected immediate reward of each action.
        acting_mask: the mask under which the policy acts; None where the preset wants it in the bootstrap only.
        allowed: ``[N, A]``, actions that the bootstrap may take at the training episodes' next states.
        at_random: ``[N]``, whether the bootstrap's action is drawn among all instead.
        masked_fraction: share of pairs of training next state and action that the mask forbids.
        none_allowed_rate: share of evaluation states in which it forbids everything.
    """

    reward_model: QNetwork
    acting_mask: ActionMask | None
    allowed: Tensor
    at_random: Tensor
    masked_fraction: float
    none_allowed_rate: float

    def rewards(self, dataset: Dataset) -> Floats64:
        """``[N, A]``, the modelled rewards in the states of a dataset."""
        modelled: Floats64 = in_blocks(self.reward_model, torch.from_numpy(dataset.states)).numpy().astype(np.float64)
        return modelled

    def state_dict(self) -> State:
        config, tensors = pack_mask(self.acting_mask)
        return {
            "reward_model": self.reward_model.state_dict(),
            "mask_config": json.dumps(config),
            "mask_tensors": tensors,
            "allowed": self.allowed,
            "at_random": self.at_random,
            "masked_fraction": self.masked_fraction,
            "none_allowed_rate": self.none_allowed_rate,
        }

    @classmethod
    def from_state(cls, state: State, dataset: Dataset, preset: TrainPreset) -> FrozenModels:
        """The models that ``state_dict`` described."""
        reward_model = _network(dataset, preset, torch.Generator())
        reward_model.load_state_dict(state["reward_model"])
        return cls(
            reward_model=reward_model.requires_grad_(False),
            acting_mask=unpack_mask(json.loads(state["mask_config"]), state["mask_tensors"]),
            allowed=state["allowed"],
            at_random=state["at_random"],
            masked_fraction=state["masked_fraction"],
            none_allowed_rate=state["none_allowed_rate"],
        )


def fit_frozen_models(
    parts: Parts, dataset: Dataset, preset: TrainPreset, generator: torch.Generator, rng: np.random.Generator
) -> FrozenModels:
    """Fit the reward model on the training episodes, then the mask.

    Args:
        parts: the split.
        dataset: all episodes; only read where ``bcq.knn_source`` is ``all`` (Coach's leak, quirk 5).
        preset: the settings.
        generator: the source of initial weights.
        rng: the source of shuffles and subsamples.
    """
    train = parts.train
    states, actions = torch.from_numpy(train.states), torch.from_numpy(train.actions)
    reward_model = _network(dataset, preset, generator)
    rewards = torch.from_numpy(train.rewards.astype(np.float32))
    fit(reward_model, states, reward_loss(actions, rewards), preset.reward_model.epochs, preset.agent, rng)
    reward_model.requires_grad_(False)

    indexed = dataset if preset.bcq.knn_source == "all" else train
    mask = _fit_mask(train, indexed, preset, reward_model, generator, rng)
    support = mask.support(torch.from_numpy(train.next_states))
    allowed, at_random = support.with_fallback(preset.bcq.fallback)
    bootstrapped = torch.from_numpy(~train.terminal)
    counted = support.allowed[bootstrapped]
    return FrozenModels(
        reward_model=reward_model,
        acting_mask=mask if preset.bcq.mask_at_action_time and preset.bcq.mode != "none" else None,
        allowed=allowed,
        at_random=at_random,
        masked_fraction=1.0 - counted.double().mean().item() if len(counted) else 0.0,
        none_allowed_rate=mask.support(_sample(parts.evaluation)).none_allowed_rate(),
    )


def _sample(dataset: Dataset) -> Tensor:
    """At most ``RATE_STATES`` states of a dataset, evenly spaced."""
    return torch.from_numpy(dataset.states[:: -(-dataset.n_transitions // RATE_STATES)].copy())


def _fit_mask(
    train: Dataset,
    indexed: Dataset,
    preset: TrainPreset,
    reward_model: QNetwork,
    generator: torch.Generator,
    rng: np.random.Generator,
) -> ActionMask:
    bcq = preset.bcq
    if bcq.mode == "none":
        return NoMask(train.n_actions)
    if bcq.mode == "coach_knn":
        return nearest_neighbour_mask(
            torch.from_numpy(indexed.states),
            torch.from_numpy(indexed.actions),
            train.n_actions,
            bcq.average_dist_coefficient,
            bcq.knn_capacity,
            reward_model if bcq.use_state_embedding else None,
            rng,
        )
    classifier = _network(train, preset, generator)
    loss = imitation_loss(torch.from_numpy(train.actions))
    fit(classifier, torch.from_numpy(train.states), loss, bcq.imitation_epochs, preset.agent, rng)
    relative = bcq.mode == "discrete_bcq"
    threshold = bcq.relative_threshold if relative else bcq.mask_out_threshold
    return ImitationMask(classifier.requires_grad_(False), threshold, relative)


def _network(dataset: Dataset, preset: TrainPreset, generator: torch.Generator) -> QNetwork:
    return QNetwork(dataset.n_features, dataset.n_actions, hidden_layers(preset.agent), generator)
