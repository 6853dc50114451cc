"""What is fitted once, before the agent: the reward model and the action mask."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor

from batchrl.agents.masks import (
    ActionMask,
    ImitationMask,
    LoggedActions,
    NearestNeighbourMask,
    nearest_neighbour_mask,
)
from batchrl.agents.model import pack_mask, unpack_mask
from batchrl.agents.neighbours import expected_seconds
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.registry import agent_class
from batchrl.agents.supervised import Loss, fit, imitation_loss, reward_loss
from batchrl.agents.transitions import input_scaling
from batchrl.contract.files import State
from batchrl.data.dataset import Dataset, Flags, Floats64
from batchrl.data.split import Parts
from presets.schema import AgentSettings, TrainPreset

# A rate needs no more states than this to be known to a percent.
RATE_STATES = 10_000
# Above so many products of two numbers, minutes on one core, a search for neighbours is announced.
UNANNOUNCED_PRODUCTS = 5e12


@dataclass(frozen=True)
class PrefitModels:
    """Models that no epoch changes.

    Args:
        reward_model: outputs ``[1, B, A]``, the expected immediate reward of each action.
        acting_mask: the mask under which the policy acts; None where the preset wants it in the bootstrap only.
        allowed: ``[N, A]``, actions that the bootstrap may take after each step of the training episodes; all where
            an episode ends. None for an agent whose bootstrap is not restricted.
        at_random: ``[N]``, whether the bootstrap's action is drawn among all instead; None: never.
        masked_fraction: share of pairs of training next state and action that the mask forbids; 0 without a mask.
        none_allowed_rate: share of evaluation states in which it forbids everything.
    """

    reward_model: Network
    acting_mask: ActionMask | None
    allowed: Tensor | None
    at_random: Tensor | None
    masked_fraction: float
    none_allowed_rate: float

    def rewards(self, dataset: Dataset) -> Floats64:
        """``[N, A]``, the modelled rewards in the states of a dataset."""
        modelled: Floats64 = self.reward_model.infer(torch.from_numpy(dataset.states))[0].numpy().astype(np.float64)
        return modelled

    def described(self, mode: str) -> str:
        """What the mask does, for people."""
        if self.allowed is None and self.acting_mask is None:
            return "no action is masked"
        return (
            f"mask {mode} forbids {self.masked_fraction:.1%} of next actions, "
            f"and every action in {self.none_allowed_rate:.1%} of evaluation states"
        )

    def state_dict(self) -> State:
        """Reward model and mask as JSON and tensors, for a checkpoint."""
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
    def from_state(cls, state: State, dataset: Dataset, preset: TrainPreset) -> PrefitModels:
        """The models that ``state_dict`` described."""
        reward_model = Network(_shape(dataset, preset.agent), torch.Generator())
        reward_model.load_state_dict(state["reward_model"])
        return cls(
            reward_model=reward_model,
            acting_mask=unpack_mask(json.loads(state["mask_config"]), state["mask_tensors"]),
            allowed=state["allowed"],
            at_random=state["at_random"],
            masked_fraction=state["masked_fraction"],
            none_allowed_rate=state["none_allowed_rate"],
        )


def fit_prefit_models(
    parts: Parts, dataset: Dataset, preset: TrainPreset, generator: torch.Generator, rng: np.random.Generator
) -> PrefitModels:
    """Fit the reward model on the training episodes, then the mask, if the agent or its policy keeps to one.

    Args:
        parts: the split.
        dataset: all episodes; only read where ``bcq.knn_source`` is ``all`` (Coach's leak, quirk 5).
        preset: the settings.
        generator: the source of initial weights.
        rng: the source of shuffles and subsamples.
    """
    train, bcq = parts.train, preset.bcq
    fitting = _Fitting(train, preset, generator, rng)
    rewards = torch.from_numpy(train.rewards.astype(np.float32))
    reward_model = fitting.network(reward_loss(fitting.actions, rewards), preset.reward_model.epochs)

    restricted, acting = _uses(preset)
    if not (restricted or acting):
        return PrefitModels(reward_model, None, None, None, masked_fraction=0.0, none_allowed_rate=0.0)

    numbers = {episode: number for number, episode in enumerate(dataset.episode_ids)}
    mask = _fit_mask(fitting, dataset if bcq.knn_source == "all" else train, reward_model, numbers)
    # What lies beyond an episode's end takes no part.
    goes_on = np.flatnonzero(~train.terminal)
    followed = torch.from_numpy(goes_on)
    support = mask.support(
        torch.from_numpy(train.next_states)[followed],
        _episodes(train, numbers)[followed],
        _tensor(train.eligible_after(goes_on)),
    )
    allowed, at_random = support.with_fallback(bcq.fallback)
    sample = slice(None, None, max(1, -(-parts.evaluation.n_transitions // RATE_STATES)))
    evaluated = mask.support(
        torch.from_numpy(parts.evaluation.states[sample].copy()),
        _episodes(parts.evaluation, numbers)[sample],
        _tensor(None if parts.evaluation.eligible is None else parts.evaluation.eligible[sample].copy()),
    )
    return PrefitModels(
        reward_model=reward_model,
        acting_mask=mask if acting else None,
        allowed=_scattered(allowed, followed, train.n_transitions, True) if restricted else None,
        at_random=_scattered(at_random, followed, train.n_transitions, False)
        if restricted and at_random.any()
        else None,
        masked_fraction=support.masked_fraction(),
        none_allowed_rate=evaluated.none_allowed_rate(),
    )


def costly_mask(dataset: Dataset, preset: TrainPreset) -> str | None:
    """What to know before a mask of neighbours is fitted to much data: how long it may take, and what is cheaper.

    Args:
        dataset: all episodes.
        preset: the settings.

    Returns:
        A sentence, or None where the search is short.
    """
    bcq, n = preset.bcq, dataset.n_transitions
    restricted, acting = _uses(preset)
    if bcq.mode != "coach_knn" or not (restricted or acting):
        return None
    indexed = 1.0 if bcq.knn_source == "all" else preset.data.train_ratio
    counts = np.bincount(dataset.actions, minlength=dataset.n_actions)
    keys = int(np.minimum(counts * indexed, bcq.knn_capacity).sum())
    searches = n * preset.data.train_ratio
    if acting:
        searches += preset.epochs * n * (1 - preset.data.train_ratio)
    on_embeddings = bcq.embedding in ("reward_model", "behavior_model")
    width = _shape(dataset, preset.agent).widths[-2] if on_embeddings else dataset.n_features
    if searches * keys * width < UNANNOUNCED_PRODUCTS:
        return None
    duration = timedelta(seconds=round(expected_seconds(round(searches), keys, width)))
    return (
        f"bcq.mode coach_knn searches for {searches:,.0f} states among {keys:,} logged ones of width {width}, "
        f"about {duration} (h:mm:ss) of one run; a smaller bcq.knn_capacity takes less in proportion, "
        "and bcq.mode discrete_bcq needs no search"
    )


@dataclass(frozen=True)
class _Fitting:
    """The training episodes, and the sources of everything random in models that are fitted on them."""

    train: Dataset
    preset: TrainPreset
    generator: torch.Generator
    rng: np.random.Generator

    @property
    def states(self) -> Tensor:
        return torch.from_numpy(self.train.states)

    @property
    def actions(self) -> Tensor:
        return torch.from_numpy(self.train.actions)

    def network(self, loss: Loss, epochs: int) -> Network:
        """A new network with one output an action, after some epochs."""
        settings = self.preset.agent
        scaling = input_scaling(self.states) if settings.standardise_inputs else (None, None)
        network = Network(_shape(self.train, settings), self.generator, *scaling)
        fit(network, self.states, loss, epochs, settings, self.rng)
        return network

    def classifier(self) -> Network:
        """Logits of the logged actions."""
        return self.network(
            imitation_loss(self.actions, _tensor(self.train.eligible)), self.preset.bcq.imitation_epochs
        )


def _uses(preset: TrainPreset) -> tuple[bool, bool]:
    """Whether the bootstrap keeps to supported actions, and whether the policy does."""
    some = preset.bcq.mode != "none"
    return some and agent_class(preset.agent.algorithm).constrained, some and preset.bcq.mask_at_action_time


def _fit_mask(fitting: _Fitting, indexed: Dataset, reward_model: Network, numbers: dict[str, int]) -> ActionMask:
    bcq, train = fitting.preset.bcq, fitting.train
    if bcq.mode == "coach_knn":
        return _fit_nearest(fitting, indexed, reward_model, numbers)
    relative = bcq.mode == "discrete_bcq"
    threshold = bcq.relative_threshold if relative else bcq.mask_out_threshold
    absent = np.flatnonzero(np.bincount(train.actions, minlength=train.n_actions) == 0).tolist()
    return ImitationMask(fitting.classifier(), threshold, relative, absent)


def _fit_nearest(
    fitting: _Fitting, indexed: Dataset, reward_model: Network, numbers: dict[str, int]
) -> NearestNeighbourMask:
    bcq = fitting.preset.bcq
    embedding: Network | None = None
    if bcq.embedding == "reward_model":
        embedding = reward_model
    elif bcq.embedding == "behavior_model":
        embedding = fitting.classifier()
    elif bcq.embedding == "standardised_state":
        # Without hidden layers a network's embedding is its scaled input.
        shape = NetworkShape(indexed.n_features, indexed.n_actions, ())
        embedding = Network(shape, fitting.generator, *input_scaling(fitting.states))
    logged = LoggedActions(
        torch.from_numpy(indexed.states),
        torch.from_numpy(indexed.actions),
        _episodes(indexed, numbers),
        indexed.n_actions,
    )
    return nearest_neighbour_mask(logged, bcq, embedding, fitting.rng)


def _episodes(dataset: Dataset, numbers: dict[str, int]) -> Tensor:
    """``[N]``, the number of each transition's episode."""
    own = np.array([numbers[episode] for episode in dataset.episode_ids], dtype=np.int64)
    return torch.from_numpy(np.repeat(own, dataset.lengths))


def _tensor(flags: Flags | None) -> Tensor | None:
    return None if flags is None else torch.from_numpy(flags)


def _scattered(values: Tensor, rows: Tensor, n_rows: int, elsewhere: bool) -> Tensor:
    """``[n_rows, ...]`` with values at some rows."""
    result = torch.full((n_rows, *values.shape[1:]), elsewhere)
    result[rows] = values
    return result


def _shape(dataset: Dataset, settings: AgentSettings) -> NetworkShape:
    return NetworkShape(dataset.n_features, dataset.n_actions, (*settings.embedder, *settings.middleware))
