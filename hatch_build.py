"""Puts into the wheel what a checkout has beside its packages: the scripts of jobs and what builds the image.

``launcher/base/product.py`` finds them in a checkout and in an installed wheel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PATTERNS = ("entrypoints/*.py", "docker/Dockerfile", "docker/requirements.txt", "docker/*.sh")
# What starts a store for the tests.
TESTS_ONLY = {"start-rgw.sh", "stop-rgw.sh"}
INSTALLED_IN = "launcher/product"


class ProductFiles(BuildHookInterface[Any]):
    """Called by hatchling for each wheel; an editable one needs no copies, its checkout is there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add each file under its path in the checkout, below ``launcher/product``."""
        if version == "editable":
            return
        root = Path(self.root)
        for pattern in PATTERNS:
            for path in sorted(root.glob(pattern)):
                if path.name not in TESTS_ONLY:
                    name = path.relative_to(root).as_posix()
                    build_data["force_include"][str(path)] = f"{INSTALLED_IN}/{name}"
