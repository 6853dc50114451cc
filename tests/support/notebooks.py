"""Notebooks without Jupyter: their cells as text, and run one after the other in one namespace."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

ARTICLE = Path(__file__).resolve().parents[2] / "examples" / "article" / "batch_rl_cartpole.ipynb"


def code_cells(notebook: Path) -> list[str]:
    """The source of each code cell, in their order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run(notebook: Path, folder: Path) -> dict[str, Any]:
    """Run the code cells of a notebook as they are, in a copy of its folder; the names that they leave.

    Plots are drawn, and shown nowhere. What a cell raises names the cell.

    Args:
        notebook: the file; what lies beside it is copied.
        folder: where the copy goes, and where the cells work.
    """
    import matplotlib

    matplotlib.use("Agg")
    place = folder / notebook.parent.name
    shutil.copytree(notebook.parent, place)
    os.chdir(place)
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = code_cells(notebook)
    for number, source in enumerate(cells, start=1):
        began = time.monotonic()
        exec(compile(source, f"{notebook.name}, code cell {number}", "exec"), names)
        print(f"code cell {number} of {len(cells)}: {time.monotonic() - began:.1f} s", flush=True)
    return names
