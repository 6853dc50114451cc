"""Pointers: small JSON files beside checkpoints that name one of them."""

from __future__ import annotations

from pathlib import PurePosixPath

from batchrl.contract import jsontext
from batchrl.contract.layout import BEST_NAME, LATEST_NAME

# Files by what a user calls them; the best one is looked for first.
POINTERS = {"best": BEST_NAME, "latest": LATEST_NAME}
NAMES = frozenset(POINTERS.values())
CHECKPOINT = "checkpoint"


def is_pointer(path: str) -> bool:
    """Whether a file is one, by its name."""
    return PurePosixPath(path).name in NAMES


def pointed(content: bytes) -> str:
    """The name of the file that a pointer names; it lies beside the pointer.

    Raises:
        ValueError: this is no pointer.
    """
    values = jsontext.parsed(content)
    name = values.get(CHECKPOINT) if isinstance(values, dict) else None
    if not isinstance(name, str) or not PurePosixPath(name).name:
        raise ValueError(f"it names no {CHECKPOINT}")
    return PurePosixPath(name).name
