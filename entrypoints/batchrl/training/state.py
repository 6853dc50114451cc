"""Everything that a run is: what the next epoch depends on, and what a checkpoint holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from batchrl.agents.agent import Agent, Problem
from batchrl.agents.model import PolicyModel
from batchrl.agents.prefit import PrefitModels, fit_prefit_models
from batchrl.agents.registry import agent_class, make_agent
from batchrl.agents.target_policy import TargetPolicy
from batchrl.agents.transitions import Transitions
from batchrl.checkpoints.formats import CHECKPOINT_FORMAT
from batchrl.contract.errors import InputError
from batchrl.contract.files import State
from batchrl.data.dataset import Dataset
from batchrl.data.encoding import Encoding
from batchrl.data.loader import LoadedData, load_dataset
from batchrl.data.split import Parts, Split, split_for_run
from batchrl.ope.study.fqe import check_updates
from batchrl.ope.study.logged import of_decisions
from batchrl.seeds import Stream
from batchrl.training.randomness import numpy_stream, state_of, torch_stream, with_state
from presets.dataschema import stored_settings
from presets.schema import TrainPreset

# Settings that may differ between a checkpoint and the run that resumes it: none changes an epoch that was done.
FREE_KEYS = frozenset(
    {
        "name",
        "epochs",
        "keep_checkpoints",
        "tensorboard",
        "data.storage",
        "ope.ess_floor",
        "ope.q_function",
        "ope.fqe_updates",
        "selection.rule",
        "selection.estimate",
        "selection.window_ess_floor",
    }
)


@dataclass
class RunState:
    """A run between two epochs.

    Args:
        preset: the settings.
        data_sha256: of the dataset.
        state_columns: names of the features.
        action_names: names of the actions.
        encoding: by which they came of the columns of the files; None where they are those columns.
        job_name: of the job that does the run, if it is one.
        split: of the episodes.
        parts: the episodes, split.
        models: fitted before the first epoch.
        agent: the networks and the optimisers.
        transitions: what it learns from.
        rng: the source of shuffles.
        rows: of the csv, one an epoch that was done.
        seconds: of work so far.
    """

    preset: TrainPreset
    data_sha256: str
    state_columns: tuple[str, ...]
    action_names: tuple[str, ...]
    encoding: Encoding | None
    job_name: str | None
    split: Split
    parts: Parts
    models: PrefitModels
    agent: Agent
    transitions: Transitions
    rng: np.random.Generator
    rows: list[Mapping[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """The last complete epoch; 0 before the first."""
        return len(self.rows)

    def policy(self) -> PolicyModel:
        """The policy of the agent as it is now; it shares the agent's network."""
        target = TargetPolicy.of(self.preset.ope)
        agent, models = self.agent, self.models
        return PolicyModel(agent.preferences(), agent.values(), target, models.acting_mask, self.preset.bcq.fallback)

    def facts(self) -> dict[str, Any]:
        """Where the policy comes from, in JSON's types."""
        # Standardised inputs are scaled inside the network, whose scaling travels with its weights.
        scaling = "standardised by the network" if self.preset.agent.standardise_inputs else "none"
        taken: dict[str, Any] = {"state_columns": list(self.state_columns), "scaling": scaling, "dtype": "float32"}
        if self.encoding is not None:
            taken["encoding"] = self.encoding.to_json()
        return {
            "job_name": self.job_name,
            "preset": self.preset.name,
            "seed": self.preset.seed,
            "algorithm": self.preset.agent.algorithm,
            "discount": self.preset.agent.discount,
            "data_sha256": self.data_sha256,
            "actions": list(self.action_names),
            **({"eligible_actions": True} if self.parts.train.eligible is not None else {}),
            "preprocessing": taken,
        }

    def state_dict(self) -> State:
        """Tensors and plain values that ``resumed`` reads back; the tensors are the run's own."""
        config, tensors = self.policy().pack()
        return {
            "format": CHECKPOINT_FORMAT,
            "epoch": self.epoch,
            "preset": self.preset.to_json(),
            "data_sha256": self.data_sha256,
            "split": {
                name: torch.from_numpy(getattr(self.split, name).copy()) for name in ("train", "evaluation", "test")
            },
            "models": self.models.state_dict(),
            "agent": self.agent.state_dict(),
            "rng": state_of(self.rng),
            "rows": [dict(row) for row in self.rows],
            "seconds": self.seconds,
            "policy": json.dumps(config),
            "policy_tensors": tensors,
            "facts": json.dumps(self.facts()),
        }


def read_log(source: Path, preset: TrainPreset, saved: State | None) -> LoadedData:
    """The log of a run; states that are no plain numbers are encoded as its training episodes ask for.

    Args:
        source: where it lies.
        preset: the settings.
        saved: the checkpoint that the run goes on from, with the encoding that it began with; None for a new run.

    Raises:
        InputError: the log is faulty, a column is empty in all episodes that train, or see ``split_episodes``.
    """
    encoding = None if saved is None else Encoding.of_facts(json.loads(saved["facts"]))
    return load_dataset(
        source, preset.data, encoding=encoding, learnt_from=lambda dataset: new_split(preset, dataset).train
    )


def started(preset: TrainPreset, dataset: Dataset, split: Split, job_name: str | None) -> RunState:
    """A new run: the reward model and the mask are fitted here.

    Raises:
        InputError: the preset wants fitted Q evaluation at the end, with too few updates for these episodes, or its
            agent learns from single decisions, which these episodes are not.
    """
    if agent_class(preset.agent.algorithm).single_decisions and not of_decisions(dataset):
        raise InputError(
            f"agent.algorithm {preset.agent.algorithm} learns from single decisions, but the log has episodes of up to "
            f"{dataset.lengths.max()} steps, or ends that were cut short.",
            "Take an agent that looks ahead, such as ddqn-bcq; or log every decision as an episode of its own.",
        )
    parts = Parts.of(dataset, split)
    if preset.ope.q_function == "fqe":
        check_updates(parts.train, preset.agent.discount, preset.ope.fqe_updates)
    models = fit_prefit_models(
        parts,
        dataset,
        preset,
        torch_stream(preset.seed, Stream.MODELS),
        numpy_stream(preset.seed, Stream.MODELS),
    )
    return _run(preset, dataset, dataset.sha256(), job_name, split, parts, models)


def resumed(state: State, preset: TrainPreset, dataset: Dataset, job_name: str | None) -> RunState:
    """The run that a checkpoint holds, to the bit.

    Its split is the checkpoint's; one of a version that cut at transitions goes on with that setting. That version's
    target policy was shown and served, but the greedy one was scored: the run goes on with what the preset says now.

    Raises:
        InputError: the checkpoint was made from other data, with other settings, or by another version.
    """
    data_sha256 = dataset.sha256()
    preset = _divided_as_stored(preset, state)
    _check_same_run(state, preset, data_sha256)
    split = Split(**{name: tensor.numpy() for name, tensor in state["split"].items()})
    parts = Parts.of(dataset, split)
    models = PrefitModels.from_state(state["models"], dataset, preset)
    run = _run(preset, dataset, data_sha256, job_name, split, parts, models)
    run.agent.load_state_dict(state["agent"])
    run.rng, run.rows, run.seconds = with_state(state["rng"]), list(state["rows"]), state["seconds"]
    return run


def new_split(preset: TrainPreset, dataset: Dataset) -> Split:
    """The split of a new run; see ``split_episodes`` for the errors."""
    return split_for_run(dataset, preset.data, preset.seed)


def _run(
    preset: TrainPreset,
    dataset: Dataset,
    data_sha256: str,
    job_name: str | None,
    split: Split,
    parts: Parts,
    models: PrefitModels,
) -> RunState:
    """A run before its first epoch, with a new agent and what it learns from."""
    constrained = agent_class(preset.agent.algorithm).constrained
    transitions = Transitions.of(
        parts.train,
        preset.agent,
        models.allowed if constrained else None,
        models.at_random if constrained else None,
    )
    problem = Problem.of(transitions, preset.agent, preset.epochs)
    return RunState(
        preset=preset,
        data_sha256=data_sha256,
        state_columns=dataset.state_columns,
        action_names=dataset.action_names,
        encoding=dataset.encoding,
        job_name=job_name,
        split=split,
        parts=parts,
        models=models,
        agent=make_agent(problem, preset.agent, torch_stream(preset.seed, Stream.AGENT)),
        transitions=transitions,
        rng=numpy_stream(preset.seed, Stream.AGENT),
    )


def _divided_as_stored(preset: TrainPreset, state: State) -> TrainPreset:
    """The settings, with the division of a checkpoint whose version had no setting for it."""
    if "split_by" in json.loads(state["preset"]).get("data", {}):
        return preset
    data = preset.data.model_copy(update={"split_by": stored_settings({})["data"]["split_by"]})
    return preset.model_copy(update={"data": data})


def _check_same_run(state: State, preset: TrainPreset, data_sha256: str) -> None:
    hint = "Give this run a checkpoint location of its own, or empty the folder."
    if state.get("format") != CHECKPOINT_FORMAT:
        raise InputError(f"the checkpoint has format {state.get('format')}, expected {CHECKPOINT_FORMAT}.", hint)
    before, now = (_flat(stored_settings(json.loads(text))) for text in (state["preset"], preset.to_json()))
    if "split_by" not in json.loads(state["preset"]).get("data", {}):
        before["ope.target_policy"] = now["ope.target_policy"]
    differing = [key for key in sorted(before | now) if key not in FREE_KEYS and before.get(key) != now.get(key)]
    if differing:
        shown = "; ".join(f"{key} is {now.get(key)!r}, there {before.get(key)!r}" for key in differing)
        raise InputError(f"the checkpoint of epoch {state['epoch']} was made with other settings: {shown}.", hint)
    if preset.agent.lr_schedule == "cosine" and before["epochs"] != now["epochs"]:
        raise InputError(
            f"the checkpoint of epoch {state['epoch']} was made with epochs {before['epochs']}, the preset says "
            f"{now['epochs']}: with agent.lr_schedule cosine this changes the step sizes of epochs that are done.",
            f"Set epochs to {before['epochs']}. {hint}",
        )
    if state["data_sha256"] != data_sha256:
        raise InputError(
            f"the checkpoint of epoch {state['epoch']} was made from other data "
            f"(sha256 {state['data_sha256'][:12]} there, {data_sha256[:12]} here).",
            hint,
        )
    if state["epoch"] > preset.epochs:
        raise InputError(
            f"the checkpoint has {state['epoch']} epochs, but the preset asks for {preset.epochs}.",
            f"Set epochs to {state['epoch']} or more. {hint}",
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            result |= _flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value
    return result
