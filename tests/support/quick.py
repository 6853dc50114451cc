"""A preset for tests of whole runs: the default's, with less of what takes its time."""

from __future__ import annotations

from pathlib import Path

PRESETS = Path(__file__).resolve().parents[2] / "presets"


def quick_preset(folder: Path) -> Path:
    """A file with the preset ``cartpole-ddqn-bcq`` but 3 epochs of the reward model instead of 30."""
    text = (PRESETS / "cartpole-ddqn-bcq.yaml").read_text()
    slow = "reward_model:\n  epochs: 30\n"
    assert slow in text
    path = folder / "quick.yaml"
    path.write_text(text.replace(slow, "reward_model:\n  epochs: 3\n"))
    return path
