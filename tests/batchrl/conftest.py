"""Logged episodes of a small made-up environment, and training runs on them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from scripts import script_module

from batchrl.commandline.arguments import parse_arguments
from batchrl.contract import columns

# A busy machine is not a fault of the code.
settings.register_profile("batchrl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("batchrl")

# Tests share mdp.py.
sys.path.insert(0, str(Path(__file__).parent))


# A run that takes about a second: small networks and few epochs, but every part of the real one.
SMALL = {
    "preset": "cartpole-ddqn-bcq",
    "epochs": "5",
    "agent.embedder": "[16]",
    "agent.middleware": "[16]",
    "agent.batch_size": "32",
    "agent.target_update_every": "7",
    "reward_model.epochs": "2",
    "ope.bootstrap_resamples": "50",
}

Frame = Callable[..., pd.DataFrame]
Train = Callable[..., Path]


def make_frame(episodes: int = 40, seed: int = 0, actions: int = 2, features: int = 3) -> pd.DataFrame:
    """A random walk that pays for staying near 0; the logging policy depends on the state."""
    rng = np.random.default_rng(seed)
    rows = []
    for episode in range(episodes):
        state = rng.normal(size=features)
        for step in range(int(rng.integers(2, 12))):
            scores = np.exp(0.3 * state[0] * np.arange(actions))
            chances = scores / scores.sum()
            action = int(rng.choice(actions, p=chances))
            reward = float(1.0 - abs(state).mean())
            cells = {columns.ACTION: action, columns.ALL_ACTION_PROBABILITIES: json.dumps(chances.tolist())}
            cells |= {columns.EPISODE_ID: episode, columns.REWARD: reward, "step": step}
            rows.append(cells | {f"{columns.STATE_FEATURE_PREFIX}{i}": value for i, value in enumerate(state)})
            state = 0.9 * state + 0.3 * rng.normal(size=features) - 0.2 * (action - (actions - 1) / 2)
    return pd.DataFrame(rows).drop(columns="step")


@pytest.fixture
def frame() -> Frame:
    return make_frame


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv of 40 episodes."""
    path = tmp_path_factory.mktemp("data") / "log.csv"
    make_frame().to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def train_script() -> ModuleType:
    """``entrypoints/train.py`` as a module."""
    return script_module("train")


def arguments_of(changes: dict[str, str], data: Path, output: Path) -> list[str]:
    given = {**SMALL, **changes, "training": str(data), "output": str(output)}
    return [part for key, value in given.items() for part in (f"--{key}", value)]


@pytest.fixture
def command_line() -> Callable[[dict[str, str], Path, Path], list[str]]:
    """The arguments of a small run."""
    return arguments_of


@pytest.fixture(scope="session")
def train(train_script: ModuleType, data_file: Path) -> Train:
    """Train in this process; dots in the names of settings are written as two underscores."""

    def run(output: Path, data: Path = data_file, **changes: str) -> Path:
        named = {key.replace("__", "."): value for key, value in changes.items()}
        train_script.train(parse_arguments(arguments_of(named, data, output)))
        return output

    return run


@pytest.fixture(scope="session")
def trained(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of one uninterrupted small run; read it only."""
    return train(tmp_path_factory.mktemp("trained"))
