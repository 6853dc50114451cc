"""What some kinds cannot do without: whether it is here."""

from __future__ import annotations

import functools
import os
import shutil

import services


def _root() -> str | None:
    return None if os.getuid() == 0 and shutil.which("mount") else "only root can mount file systems"


@functools.cache
def lack_of(name: str) -> str | None:
    """Why a service cannot be used, or None."""
    return _root() if name == "root" else services.lack_of(name)
