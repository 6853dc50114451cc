"""The exported model: ``model.safetensors`` and ``model.json``, readable without pickles and without a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch

from batchrl.agents.model import PolicyModel
from batchrl.checkpoints.files import publish, publish_json
from batchrl.checkpoints.formats import MODEL_FORMAT, check_format
from batchrl.contract.errors import DamagedContent
from batchrl.contract.paths import RESOLVED_PRESET_NAME

WEIGHTS_NAME = "model.safetensors"
DESCRIPTION_NAME = "model.json"


def export_model(folder: Path, model: PolicyModel, facts: dict[str, Any], preset_json: str) -> None:
    """Write a policy for deployment; the description comes last, so that a folder with it is whole.

    Args:
        folder: where to; made if missing.
        model: the policy.
        facts: where it comes from, in JSON's types.
        preset_json: the resolved preset.
    """
    config, tensors = model.pack()
    publish(folder / RESOLVED_PRESET_NAME, preset_json.encode())
    # Each tensor is a view of its network's flat vector; the format wants them apart.
    apart = {name: tensor.clone() for name, tensor in tensors.items()}
    weights = publish(folder / WEIGHTS_NAME, safetensors.torch.save(apart))
    description = {"format": MODEL_FORMAT, "policy": config, "weights_sha256": weights.sha256, **facts}
    publish_json(folder / DESCRIPTION_NAME, description)


def import_model(folder: Path) -> tuple[PolicyModel, dict[str, Any]]:
    """Read a policy that ``export_model`` wrote, and its facts.

    Raises:
        DamagedContent: a file is missing or cut short.
        InputError: another version wrote it.
    """
    try:
        description: dict[str, Any] = json.loads((folder / DESCRIPTION_NAME).read_bytes())
        check_format(str(folder / DESCRIPTION_NAME), description["format"], MODEL_FORMAT)
        tensors = safetensors.torch.load_file(folder / WEIGHTS_NAME)
        return PolicyModel.unpack(description["policy"], tensors), description
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise DamagedContent(f"the model in {folder} cannot be read: {error}") from error
