"""The exported model: weights, description and inference code, readable without pickles and without a checkpoint.

Its layout stands in ``batchrl.contract.inference``. The same run with the same packages gives the same bytes.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from batchrl.agents.model import PolicyModel
from batchrl.checkpoints.files import publish, publish_json
from batchrl.checkpoints.formats import MODEL_FORMAT, check_format
from batchrl.contract import jsontext
from batchrl.contract.errors import DamagedContent
from batchrl.contract.files import file_sha256
from batchrl.contract.inference import (
    CODE_FOLDER,
    DESCRIPTION_NAME,
    PACKAGES,
    REQUIREMENTS,
    SERVER,
    WEIGHTS_NAME,
    InferenceCode,
    digest,
)
from batchrl.contract.paths import RESOLVED_PRESET_NAME

# AWS's image for inference with PyTorch has torch and numpy; its toolkit installs the rest before the first request.
TOOLKIT_NEEDS = "orjson>=3.10\nsafetensors>=0.5\n"


def export_model(
    folder: Path, model: PolicyModel, facts: dict[str, Any], preset_json: str, code: InferenceCode | None = None
) -> None:
    """Write a policy for deployment; the description comes last, so that a folder with it is whole.

    Args:
        folder: where to; made if missing.
        model: the policy.
        facts: where it comes from, in JSON's types.
        preset_json: the resolved preset.
        code: what serves it; None for what this process runs with.
    """
    config, tensors = model.pack()
    publish(folder / RESOLVED_PRESET_NAME, preset_json.encode())
    # Each tensor is a view of its network's flat vector; the format wants them apart.
    apart = {name: tensor.clone() for name, tensor in tensors.items()}
    weights = publish(folder / WEIGHTS_NAME, safetensors.torch.save(apart))
    description = {
        "format": MODEL_FORMAT,
        "policy": config,
        "weights_sha256": weights.sha256,
        "target_policy": str(model.target),
        "n_features": model.n_features,
        "n_actions": model.n_actions,
        "versions": versions(),
        "code": write_code(folder / CODE_FOLDER, code or InferenceCode.own()),
        **facts,
    }
    publish_json(folder / DESCRIPTION_NAME, description)


def write_code(folder: Path, code: InferenceCode) -> dict[str, Any]:
    """Write the code that serves a model beside it; returns what the description says of it."""
    for package in PACKAGES:
        shutil.rmtree(folder / package, ignore_errors=True)
    contents = {name: path.read_bytes() for name, path in code.files().items()}
    contents[REQUIREMENTS] = TOOLKIT_NEEDS.encode()
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    server = SERVER if SERVER in contents else None
    return {"folder": CODE_FOLDER, "server": server, "files": len(contents), "sha256": digest(contents)}


def versions() -> dict[str, str]:
    """Of what wrote a model, and can read it again."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
    }


def import_model(folder: Path) -> tuple[PolicyModel, dict[str, Any]]:
    """Read a policy that ``export_model`` wrote, and its facts.

    Raises:
        DamagedContent: a file is missing, cut short or another one.
        InputError: another version wrote it.
    """
    try:
        description: dict[str, Any] = jsontext.parsed((folder / DESCRIPTION_NAME).read_bytes())
        check_format(str(folder / DESCRIPTION_NAME), description["format"], MODEL_FORMAT)
        if file_sha256(folder / WEIGHTS_NAME) != description["weights_sha256"]:
            raise ValueError(f"{WEIGHTS_NAME} is not the file that {DESCRIPTION_NAME} describes")
        tensors = safetensors.torch.load_file(folder / WEIGHTS_NAME)
        return PolicyModel.unpack(description["policy"], tensors), description
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise DamagedContent(f"the model in {folder} cannot be read: {error}") from error
