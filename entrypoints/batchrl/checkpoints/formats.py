"""Versions of what training leaves; they change when an older version's files could not be read any more."""

from __future__ import annotations

from batchrl.contract.errors import InputError

CHECKPOINT_FORMAT = 2
MODEL_FORMAT = 2


def check_format(what: str, found: object, expected: int) -> None:
    """Refuse what another version wrote.

    Args:
        what: the file.
        found: its version.
        expected: the one that this code reads.

    Raises:
        InputError: they differ.
    """
    if found != expected:
        raise InputError(
            f"{what} has format {found}; this version of batchrl reads format {expected}.",
            "Train again with this version, or use it with the version of batchrl that wrote it.",
        )
