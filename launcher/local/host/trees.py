"""Measuring and removing what a job wrote, whatever that is."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

RM_SECONDS = 600
DU_SECONDS = 600

log = logging.getLogger(__name__)


def tree_bytes(path: Path) -> int:
    """Bytes on disk of a folder with all that it holds, links not followed; what cannot be told counts 0.

    By ``du``, which walks trees of any depth: a job's own may be deeper than Python's recursion, its paths longer than
    the system's limit.
    """
    command = ["du", "-sk", "--", str(path)]
    try:
        told = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=DU_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    kib = told.partition(b"\t")[0]
    return int(kib) * 1024 if kib.isdigit() else 0


def remove_tree(path: Path) -> str | None:
    """Remove a folder with all that it holds, or what lies in its place; links are removed, not followed.

    Returns:
        Why something is left; None when it is gone.
    """
    if not os.path.lexists(path):
        return None
    if path.is_dir() and not path.is_symlink():
        try:
            shutil.rmtree(path)
            return None
        except (OSError, RecursionError):  # it takes a descriptor and a call for each of a job's 2,000 levels
            pass
    try:
        command = ["rm", "-rf", "--", str(path)]
        ended = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=RM_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if not os.path.lexists(path):
        return None
    return ended.stderr.decode(errors="replace").partition("\n")[0] or "it is still there"


def remove_trees(roots: Iterable[Path]) -> None:
    """Remove folders as ``remove_tree`` does; what cannot be removed is logged."""
    for root in roots:
        if fault := remove_tree(root):
            log.warning("%s could not be removed: %s", root, fault)
