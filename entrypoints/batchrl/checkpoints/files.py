"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from batchrl.contract.errors import DamagedContent
from batchrl.contract.files import State, write_atomically


@dataclass(frozen=True)
class Published:
    """One file that was written.

    Args:
        path: of the file.
        size: in bytes.
        sha256: of its content.
    """

    path: Path
    size: int
    sha256: str


def publish(path: Path, content: bytes) -> Published:
    """Write a file under a temporary name, flush it to the disk, then rename it.

    Readers see the old file or the new one, and a sync leaves the temporary one alone.

    Raises:
        OSError: the disk is full or the folder not writable; the old file stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content, synced=True)
    return Published(path, len(content), hashlib.sha256(content).hexdigest())


def publish_json(path: Path, value: Any) -> Published:
    """Publish a value as JSON with sorted keys."""
    return publish(path, (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def publish_state(path: Path, state: State) -> Published:
    """Publish tensors and plain values in PyTorch's format."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return publish(path, buffer.getvalue())


def check_state(path: Path) -> None:
    """Check the checksum of every part of a file that ``publish_state`` wrote; PyTorch writes but never compares them.

    Raises:
        DamagedContent: the file is cut short or was changed, or is something else.
        FileNotFoundError: there is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile raises anything from zlib.error to NotImplementedError on damaged bytes
        raise DamagedContent(f"{path} is damaged or is no checkpoint: {error}.") from error
    if damaged is not None:
        raise DamagedContent(f"{path} is damaged: the checksum of its part '{damaged}' differs.")


def read_state(path: Path) -> State:
    """Read what ``publish_state`` wrote; nothing in the file is executed.

    Raises:
        DamagedContent: the file is cut short or was changed, or is something else.
        FileNotFoundError: there is no such file.
    """
    check_state(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, KeyError, EOFError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DamagedContent(f"{path} is no checkpoint: {reason}") from error
    if not isinstance(state, dict):
        raise DamagedContent(f"{path} holds no checkpoint.")
    return state
