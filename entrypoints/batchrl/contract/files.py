"""Files of a folder that others write to: which of them are whole, and what they hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What is written as JSON or as a checkpoint: values by key.
State = dict[str, Any]


# Whoever writes a file that others watch writes it under this name first, and renames it when it is whole.
TEMPORARY_SUFFIX = ".tmp"


def published_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Relative paths (with ``/``) and stats of the files of a folder that are whole; links are not followed."""
    stack = [folder]
    while stack:
        current = stack.pop()
        try:
            entries = list(os.scandir(current))
        except FileNotFoundError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(TEMPORARY_SUFFIX):
                    yield Path(entry.path).relative_to(folder).as_posix(), entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue


def file_sha256(path: Path) -> str:
    """Digest of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
