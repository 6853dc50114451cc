"""What a run was made from, for whoever asks later: its log, its code and its programs, written before the first epoch.

As JSON (``training_inputs.json``, beside the checkpoints from the start and among the outputs at the end)::

    {"format": 1,
     "data": what ``data describe`` tells, but for the figures of slices,
     "thin": [{"column", "values", "rows", "action", "eligible", "taken", "thin"}], actions that parts of the log lack,
     "thin_left_out": number, how many more there are,
     "doubts": [{"kind", "message", "advice", "rows"}], what is odd about the log and may be meant,
     "accepted": [KIND], doubts that the settings say are meant,
     "code": {"entry_point", "sha256" of the archive that a job was given, or null},
     "versions": {"batchrl", "python", "torch", "numpy"}}
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from typing import Any

from batchrl.contract.files import file_sha256
from batchrl.contract.paths import JobPaths
from batchrl.data.describe import describe
from batchrl.data.loader import LoadedData
from batchrl.data.slices import Slices
from presets.schema import TrainPreset

FORMAT = 1
PACKAGES = ("batchrl", "torch", "numpy")
# So many of the places that lack an action are listed.
MOST_THIN = 50


def training_inputs(loaded: LoadedData, preset: TrainPreset, paths: JobPaths, entry_point: str) -> dict[str, Any]:
    """The document, in JSON's types.

    Args:
        loaded: the log.
        preset: the settings.
        paths: of the job; its archive of code need not be there.
        entry_point: name of the script that runs.
    """
    described = describe(loaded, preset.agent.discount)
    data = described.to_dict()
    del data["slices"]
    thin = list(_thin(described.slices))
    return {
        "format": FORMAT,
        "data": data,
        "thin": thin[:MOST_THIN],
        "thin_left_out": max(0, len(thin) - MOST_THIN),
        "doubts": [asdict(doubt) for doubt in loaded.doubts],
        "accepted": list(preset.data.accept),
        "code": {
            "entry_point": entry_point,
            "sha256": file_sha256(paths.code_archive) if paths.code_archive.is_file() else None,
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def _thin(slices: Slices) -> Iterator[dict[str, Any]]:
    """Each place that lacks an action which is taken elsewhere, the largest part of the log first."""
    for part in sorted(slices.found, key=lambda part: -part.rows):
        for support in part.support:
            if support.thin is not None:
                yield {
                    "column": part.column,
                    "values": part.values,
                    "rows": part.rows,
                    "action": support.action,
                    "eligible": support.eligible,
                    "taken": support.taken,
                    "thin": support.thin,
                }


def _version(package: str) -> str | None:
    """None for code that runs without having been installed, as in a container."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
