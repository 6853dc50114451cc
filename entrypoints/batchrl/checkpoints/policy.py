"""Policies from what a training job left: checkpoints or an exported model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from batchrl.agents.model import PolicyModel
from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints.export import import_model
from batchrl.checkpoints.files import read_state
from batchrl.checkpoints.folder import CheckpointFolder
from batchrl.checkpoints.formats import CHECKPOINT_FORMAT, check_format
from batchrl.contract import jsontext
from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.inference import DESCRIPTION_NAME
from batchrl.contract.layout import BEST_NAME, LATEST_NAME
from batchrl.contract.pointers import POINTERS, pointed
from batchrl.data.dataset import Flags, Floats32, Floats64, default_names
from batchrl.data.encoding import Encoding


class LoadedPolicy:
    """A trained policy and where it comes from.

    Args:
        model: values, target policy and mask.
        facts: in JSON's types.
    """

    def __init__(self, model: PolicyModel, facts: dict[str, Any]) -> None:
        self._model = model
        self._facts = facts

    @property
    def model(self) -> PolicyModel:
        """The policy as networks and settings."""
        return self._model

    def with_target(self, target: TargetPolicy) -> LoadedPolicy:
        """The same model, acting as another target policy of its preferences, under the same mask."""
        return LoadedPolicy(replace(self._model, target=target), self._facts)

    @property
    def encoding(self) -> Encoding | None:
        """What becomes of raw states; None where the policy takes the columns of the log as they are."""
        return Encoding.of_facts(self._facts)

    def of_plain_numbers(self) -> LoadedPolicy:
        """This policy, if it can act on states that are plain numbers, as those of an environment.

        Raises:
            InputError: it takes raw records of named columns.
        """
        if (encoding := self.encoding) is not None:
            raise InputError(
                f"the policy in {self._facts.get('source')} takes raw records of {', '.join(encoding.columns)}; an "
                "environment's states are numbers without names.",
                "Estimate its value from a log instead: batchrl ope.",
            )
        return self

    @property
    def needs_eligible(self) -> bool:
        """Whether it was trained on rows that say which actions could be taken, so that it has to be told."""
        return bool(self._facts.get("eligible_actions", False))

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        return self._model.n_actions

    @property
    def action_names(self) -> tuple[str, ...]:
        """What the log that it was trained on calls the actions, ``A`` names; of an older model, their numbers."""
        return tuple(self._facts.get("actions") or default_names(self.n_actions))

    @property
    def n_features(self) -> int:
        """Number of features of a state."""
        return self._model.n_features

    @property
    def column_names(self) -> tuple[str, ...]:
        """What the log calls the features, ``d`` names; none where raw records are encoded, or an older model is."""
        names = tuple(self._facts.get("preprocessing", {}).get("state_columns", ()))
        return names if self.encoding is None and len(names) == self.n_features else ()

    def q_values(self, states: Floats32) -> Floats32:
        """Values ``[B, A]`` of states ``[B, d]``.

        Raises:
            InputError: the states have another number of features.
        """
        return self._model.q_values(self._checked(states))

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Probabilities ``[B, A]`` of the target policy (``describe()["target_policy"]``) in states ``[B, d]``.

        The most probable action is the greedy one, among those that the mask allows where the policy acts under one.

        Raises:
            InputError: the states have another number of features, or it has to be told what can be taken.
        """
        if self.needs_eligible:
            raise InputError(
                f"the policy in {self._facts.get('source')} was trained on rows that list the actions that could be "
                "taken: it has to be told which can be.",
                'An environment tells it in its infos, by action_mask; a record by "eligible".',
            )
        return self._model.action_probabilities(self._checked(states))

    def probabilities_among(self, states: Floats32, eligible: Flags) -> Floats64:
        """The same of states in which only some actions can be taken, those of ``[B, A]``."""
        return self._model.action_probabilities(self._checked(states), eligible)

    def describe(self) -> dict[str, Any]:
        """Where the policy comes from and what it does, in JSON's types."""
        return {
            **self._facts,
            "target_policy": str(self._model.target),
            "acts_under_mask": self._model.mask is not None,
            "n_features": self.n_features,
            "n_actions": self.n_actions,
            "hidden": list(self._model.preferences.network.shape.hidden),
            "ensemble": self._model.preferences.network.shape.ensemble,
        }

    def _checked(self, states: Floats32) -> Floats32:
        if states.ndim != 2 or states.shape[1] != self.n_features:
            raise InputError(
                f"the policy takes states of {self.n_features} features, but got an array of shape {states.shape}.",
                "Was it trained for another environment?",
            )
        return states


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def load_policy(
    path: Path | str, which: Literal["best", "latest"] = "best", warn: Callable[[str], None] = _warn
) -> LoadedPolicy:
    """Load a trained policy.

    Args:
        path: a folder of checkpoints, one checkpoint file, or a folder with an exported model.
        which: the checkpoint of a folder. Where its pointer is missing, the newest checkpoint is taken; where it names
            one that is missing or damaged, the newest whole one, and ``describe()["instead_of"]`` says so.
        warn: told about checkpoints that are passed over.

    Raises:
        InputError: there is nothing of that kind at the path, or another version wrote it.
        DamagedContent: what is there is damaged.
    """
    path = Path(path)
    if path.is_file():
        return _from_checkpoint(path)
    if (path / DESCRIPTION_NAME).is_file():
        model, facts = import_model(path)
        return LoadedPolicy(model, {"source": str(path), **facts})
    pointer = path / POINTERS[which]
    fault: DamagedContent | None = None
    if pointer.is_file():
        try:
            return _from_checkpoint(_pointed(pointer))
        except DamagedContent as error:
            fault = error
    if (newest := _newest(CheckpointFolder(path, keep=1), fault, warn)) is not None:
        return newest
    if fault is not None:
        raise fault
    found = ", ".join(sorted(file.name for file in path.iterdir())[:5]) if path.is_dir() else "nothing"
    raise InputError(
        f"{path}: there is no policy here; found {found or 'an empty folder'}.",
        f"Give a folder of checkpoints ({BEST_NAME}, {LATEST_NAME}, epoch_0001.pt, ...), one of those .pt files, "
        f"or an exported model ({DESCRIPTION_NAME}).",
    )


def _pointed(pointer: Path) -> Path:
    try:
        named = pointer.with_name(pointed(pointer.read_bytes()))
    except ValueError as error:
        raise DamagedContent(f"{pointer} cannot be read: {error}.") from error
    if not named.is_file():
        raise DamagedContent(f"{pointer} names {named.name}, which is not there.")
    return named


def _newest(folder: CheckpointFolder, fault: DamagedContent | None, warn: Callable[[str], None]) -> LoadedPolicy | None:
    """The newest whole checkpoint of a folder, instead of one that is at fault; None where there is none."""
    for epoch in reversed(folder.epochs()):
        file = folder.file(epoch)
        try:
            loaded = _from_checkpoint(file)
        except DamagedContent as error:
            fault = fault or error
            continue
        if fault is None:
            return loaded
        warn(f"{fault.message.rstrip('.')}. The newest whole checkpoint is taken instead: {file.name}.")
        return LoadedPolicy(loaded.model, {**loaded._facts, "instead_of": fault.message})
    return None


def _from_checkpoint(path: Path) -> LoadedPolicy:
    try:
        state = read_state(path)
        check_format(str(path), state["format"], CHECKPOINT_FORMAT)
        config = jsontext.parsed(state["policy"])
        model = PolicyModel.unpack(config, state["policy_tensors"])
        facts = jsontext.parsed(state["facts"])
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such checkpoint.") from None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedContent(f"{path} is no checkpoint of batchrl: {error}") from error
    return LoadedPolicy(model, {"source": str(path), "epoch": state["epoch"], **facts})
