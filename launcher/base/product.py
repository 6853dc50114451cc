"""Where the product's own files lie: its packages, the scripts of jobs, and what builds the image.

A checkout has them at its top. An installed wheel has its packages side by side and a copy of the other files below
``launcher/product``, where ``hatch_build.py`` puts them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import batchrl.contract

LAUNCHER = Path(__file__).resolve().parents[1]
COLLECT_SCRIPT = "collect.py"
TRAIN_SCRIPT = "train.py"
EVALUATE_SCRIPT = "evaluate.py"


def product_file(name: str) -> Path:
    """Where one of the product's files lies, such as ``docker/Dockerfile``.

    Args:
        name: its path in a checkout.

    Returns:
        The path; nothing is there in an installation that lacks it.
    """
    installed = LAUNCHER / "product"
    return (installed if installed.is_dir() else LAUNCHER.parent) / name


def library_folder(name: str) -> Path:
    """Folder of one of the product's import packages, ``batchrl`` or ``presets``.

    Raises:
        RuntimeError: it is not installed beside ``launcher``.
    """
    if name == "batchrl":
        return Path(batchrl.contract.__file__).parents[1]
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the package {name} is not installed beside launcher")
    return Path(next(iter(spec.submodule_search_locations)))


def product_scripts() -> dict[str, Path]:
    """The product's own entry points by file name (``train.py`` ...)."""
    return {path.name: path for path in sorted(product_file("entrypoints").glob("*.py"))}
