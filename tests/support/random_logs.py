"""A small log at random, and small settings of agents that learn from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from batchrl.data.dataset import Dataset
from presets.schema import AgentSettings

SMALL: dict[str, Any] = {"embedder": (8,), "middleware": (8,), "batch_size": 8, "target_update_every": 3}


def dataset(episodes: int = 12, seed: int = 0) -> Dataset:
    """A random walk of three features and three actions; a third of the episodes is cut short."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, episodes)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    n = int(offsets[-1])
    terminal = np.zeros(n, dtype=np.bool_)
    terminal[offsets[1:] - 1] = np.arange(episodes) % 3 > 0
    behavior = rng.dirichlet(np.ones(3), n)
    return Dataset(
        states=rng.normal(size=(n, 3)).astype(np.float32),
        actions=rng.integers(0, 3, n),
        rewards=rng.normal(size=n),
        next_states=rng.normal(size=(n, 3)).astype(np.float32),
        terminal=terminal,
        behavior_policy=behavior,
        offsets=offsets,
        episode_ids=tuple(str(number) for number in range(episodes)),
        state_columns=("a", "b", "c"),
    )


def settings_of(algorithm: str, **changes: Any) -> AgentSettings:
    return AgentSettings.model_validate({"algorithm": algorithm, **SMALL, **changes})
