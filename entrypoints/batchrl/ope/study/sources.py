"""Trained policies to be scored: what they do, and what is known of their making."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pydantic

from batchrl.agents.model import PolicyModel
from batchrl.agents.prefit import PrefitModels
from batchrl.checkpoints.files import read_state
from batchrl.checkpoints.policy import LoadedPolicy, load_policy
from batchrl.contract import jsontext
from batchrl.contract.errors import InputError
from batchrl.contract.paths import RESOLVED_PRESET_NAME
from batchrl.data.dataset import Dataset, Floats64, default_names
from batchrl.data.encoding import Encoding
from batchrl.data.split import Split, split_for_run
from presets.dataschema import DataSettings, stored_settings
from presets.schema import TrainPreset

HINT = "Give a folder of checkpoints, one of their .pt files, an exported model, or a model.tar.gz."
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy and its making.

    Args:
        name: as the user named it.
        model: networks, target policy and mask.
        facts: where it comes from, in JSON's types.
        preset: the settings of its training; None where they cannot be read.
        split: of the episodes of its training data, where the checkpoint holds it.
        prefit: what the checkpoint holds of the models that were fitted before the agent.
    """

    name: str
    model: PolicyModel
    facts: Mapping[str, Any]
    preset: TrainPreset | None = None
    split: Split | None = None
    prefit: Mapping[str, Any] | None = None

    @property
    def discount(self) -> float | None:
        """The discount that the policy was trained with; None where that is unknown."""
        return None if self.preset is None else self.preset.agent.discount

    @property
    def data_settings(self) -> DataSettings | None:
        """How its training data was read, with the names of its actions where it had any."""
        if self.preset is None:
            return None
        names = tuple(self.facts.get("actions", ()))
        if self.preset.data.actions is not None or names == default_names(len(names)):
            return self.preset.data
        return self.preset.data.model_copy(update={"actions": names})

    @property
    def encoding(self) -> Encoding | None:
        """What becomes of the columns of a log; None where the policy takes them as they are."""
        return Encoding.of_facts(self.facts)

    @property
    def data_sha256(self) -> str | None:
        """Digest of its training data."""
        return self.facts.get("data_sha256")

    def without_mask(self) -> TrainedPolicy:
        """The same policy, free to take every action."""
        return replace(self, model=replace(self.model, mask=None))

    def split_of(self, dataset: Dataset, digest: str) -> Split | None:
        """The split of its training, if the dataset, whose digest is given, is what it was trained on."""
        if self.data_sha256 != digest:
            return None
        if self.split is None and self.preset is not None:
            return split_for_run(dataset, self.preset.data, self.preset.seed)
        return self.split

    def modelled_rewards(self, dataset: Dataset) -> Floats64 | None:
        """``[N, A]`` of the reward model of its run; None where the source holds none."""
        if self.prefit is None or self.preset is None:
            return None
        return PrefitModels.from_state(dict(self.prefit), dataset, self.preset).rewards(dataset)

    def check_fit(self, dataset: Dataset, source: str) -> None:
        """Whether the log is of the problem that it was trained for.

        Raises:
            InputError: states or actions have another size.
        """
        if self.encoding is None and dataset.encoding is not None:
            raise InputError(
                f"the policy {self.name} takes plain numbers, but {source} has others: "
                f"{'; '.join(dataset.encoding.notes)}.",
                "Give the data that it is for, or train it on such columns.",
            )
        if self.encoding != dataset.encoding:
            raise InputError(
                f"the policy {self.name} was trained with another encoding of the state's columns than the first one.",
                "Score them one by one.",
            )
        if self.model.n_features != dataset.n_features:
            raise InputError(
                f"the policy {self.name} takes states of {self.model.n_features} features, but {source} has "
                f"{dataset.n_features}: {', '.join(dataset.state_columns)}.",
                "Name the policy's columns in their order by --state-columns, or give the data that it is for.",
            )
        if self.model.n_actions != dataset.n_actions:
            raise InputError(
                f"the policy {self.name} has {self.model.n_actions} actions, but {source} logs {dataset.n_actions}.",
                "Was it trained for another problem?",
            )


def read_policy(name: str, path: Path) -> TrainedPolicy:
    """Read a policy from checkpoints, an exported model or an archive of one.

    Args:
        name: what the user calls it.
        path: where it lies; of a run's folder, its checkpoints are meant.

    Raises:
        InputError: there is no policy at the path, or more than one.
        DamagedContent: what is there is damaged.
    """
    if not path.exists():
        raise InputError(f"there is no policy {path}.", HINT)
    with _located(path / CHECKPOINTS if (path / CHECKPOINTS).is_dir() else path) as found:
        loaded = load_policy(found)
        return _from_checkpoint(name, loaded) if _checkpoint_of(loaded).suffix == ".pt" else _exported(name, loaded)


@contextmanager
def _located(path: Path) -> Iterator[Path]:
    """The folder or file that holds the policy; an archive is unpacked meanwhile."""
    from batchrl.checkpoints.finding import find_policy

    with TemporaryDirectory(prefix="batchrl-") as scratch:
        try:
            found = find_policy(path, Path(scratch) / "policy")
        except InputError as error:
            raise InputError(error.message, HINT) from error
        yield found


def _checkpoint_of(loaded: LoadedPolicy) -> Path:
    return Path(loaded.describe()["source"])


def _from_checkpoint(name: str, loaded: LoadedPolicy) -> TrainedPolicy:
    state = read_state(_checkpoint_of(loaded))
    split = Split(**{part: tensor.numpy() for part, tensor in state["split"].items()})
    preset = _preset(state["preset"])
    return TrainedPolicy(name, loaded.model, loaded.describe(), preset, split, state["models"])


def _exported(name: str, loaded: LoadedPolicy) -> TrainedPolicy:
    facts = loaded.describe()
    preset = Path(facts["source"]) / RESOLVED_PRESET_NAME
    facts = {key: value for key, value in facts.items() if key != "policy"}
    return TrainedPolicy(name, loaded.model, facts, _preset(preset.read_text()) if preset.is_file() else None)


def _preset(text: str) -> TrainPreset | None:
    """The settings of a run; None for those of a version whose keys were others."""
    try:
        return TrainPreset.model_validate(stored_settings(jsontext.parsed(text)))
    except (AttributeError, TypeError, ValueError, pydantic.ValidationError):
        return None
