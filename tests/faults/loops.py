"""The loop that faults hit: one tiny round of ``batchrl iterate``, and what must be equal between two of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from faults.clouds import Cloud

LOOP = (
    *("--preset", "cartpole-iterate", "--instance-type", "local_process", "--rounds", "1"),
    *("--set", "collect.episodes=100", "--set", "collect.num_envs=50"),
    *("--set", "train.epochs=2", "--set", "train.agent.updates_per_epoch=100", "--set", "train.agent.ensemble=1"),
    *("--set", "train.agent.batch_size=64", "--set", "train.data.test_ratio=0"),
    *("--set", "train.tensorboard=false", "--set", "gate.canary_episodes=50", "--set", "evaluate.preset=null"),
)
LOOP_SECONDS = 400.0
KEPT = ("*.parquet", "decision.json", "model.safetensors")


def iterate(folder: Path) -> tuple[str, ...]:
    """Python's arguments for the loop in a folder."""
    return ("-m", "launcher.cli", "iterate", *LOOP, "--output", str(folder))


def loop_content(folder: Path) -> dict[str, bytes]:
    """Episodes, models and decisions of a loop."""
    found = (path for pattern in KEPT for path in folder.rglob(pattern))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def run_loop(cloud: Cloud, folder: Path) -> subprocess.CompletedProcess[str]:
    """Take a loop to its end."""
    return subprocess.run(
        [sys.executable, *iterate(folder)],
        env=os.environ | {"BATCHRL_HOME": str(cloud.folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LOOP_SECONDS,
    )
