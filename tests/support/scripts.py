"""The product's scripts as modules: they lie in a folder that is no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "entrypoints"


def script_module(name: str, folder: Path = FOLDER) -> ModuleType:
    """``entrypoints/<name>.py``, or that of another folder, loaded anew."""
    spec = importlib.util.spec_from_file_location(f"{name}_script", folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
