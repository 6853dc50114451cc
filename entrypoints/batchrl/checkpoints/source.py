"""A policy that is to be exported, from wherever it lies, with all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from batchrl.agents.model import PolicyModel
from batchrl.checkpoints.export import import_model
from batchrl.checkpoints.files import read_state
from batchrl.checkpoints.policy import load_policy
from batchrl.contract import jsontext
from batchrl.contract.errors import DamagedContent
from batchrl.contract.inference import CODE_FOLDER, InferenceCode
from batchrl.contract.paths import RESOLVED_PRESET_NAME
from batchrl.contract.pointers import POINTERS

CHECKPOINT_SUFFIX = ".pt"
# What a description says of its files, not of the policy.
WRITTEN = frozenset(
    {"format", "policy", "weights_sha256", "target_policy", "n_features", "n_actions", "versions", "code"}
)


@dataclass(frozen=True)
class Source:
    """A policy and its making.

    Args:
        model: networks, target policy and mask.
        facts: where it comes from, in JSON's types.
        preset_json: the settings of its training.
        code: that travels with it.
    """

    model: PolicyModel
    facts: dict[str, Any]
    preset_json: str
    code: InferenceCode


def read_source(path: Path, which: Literal["best", "latest"] = "best") -> Source:
    """Read a policy.

    Args:
        path: a folder of checkpoints, one of their files, or a folder with an exported model.
        which: the checkpoint of a folder.

    Raises:
        InputError: there is nothing of that kind at the path, or another version wrote it.
        DamagedContent: what is there is damaged.
    """
    loaded = load_policy(path, which)
    found = Path(loaded.describe()["source"])
    if found.suffix != CHECKPOINT_SUFFIX:
        return _exported(loaded.model, found)
    state = read_state(found)
    facts = {
        **jsontext.parsed(state["facts"]),
        "epoch": state["epoch"],
        "selection": _reason(found, state["epoch"], which),
    }
    return Source(loaded.model, facts, state["preset"], InferenceCode.own())


def _exported(model: PolicyModel, folder: Path) -> Source:
    _, description = import_model(folder)
    facts = {name: fact for name, fact in description.items() if name not in WRITTEN}
    try:
        preset_json = (folder / RESOLVED_PRESET_NAME).read_text()
    except OSError as error:
        raise DamagedContent(f"the model in {folder} lacks its {RESOLVED_PRESET_NAME}: {error.strerror}.") from error
    code = InferenceCode.below(folder / CODE_FOLDER)
    # Models of old bring none.
    return Source(model, facts, preset_json, code if code.has_server else InferenceCode.own())


def _reason(checkpoint: Path, epoch: int, which: str) -> str:
    """Why this checkpoint, as its folder says."""
    for name in dict.fromkeys((POINTERS[which], *POINTERS.values())):
        try:
            pointer = jsontext.parsed((checkpoint.parent / name).read_bytes())
            if pointer["epoch"] == epoch and pointer["checkpoint"] == checkpoint.name:
                return str(pointer["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return "this epoch was named"
